"""Moments and durations as text: RFC 3339 in UTC, and what a person gives to a command."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def rfc3339(epoch_seconds: float, precision: Literal["microseconds", "milliseconds"] = "microseconds") -> str:
    """UTC, with a Z.

    Args:
        epoch_seconds: the moment.
        precision: what is finer is cut off.
    """
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def duration_of(text: str) -> float | None:
    """Seconds of `90s`, `15m`, `2h`, `1d`; None: it is none of these."""
    found = _DURATION.fullmatch(text.strip())
    return float(found[1]) * _SECONDS[found[2]] if found else None
