"""URLs that somebody has put a login into, which is shown nowhere; pure."""

from __future__ import annotations

import re

LOGIN = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)?.*@", re.DOTALL)
"""What a URL begins with that has a login in it, its scheme as the first group; a password may have any character."""


def without_login(url: str, instead: str = "") -> str:
    """The URL without user and password; it need not be a right one.

    Args:
        url: as somebody gave it.
        instead: stands where they were.
    """
    return LOGIN.sub(rf"\1{instead}", url)
