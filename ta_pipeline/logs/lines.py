"""A line of a log file, as whoever wrote it meant it: JSON with the fields of the table, or foreign text.

Foreign lines (the broker's, the registry's, supervisord's) stay as they are; time and level are taken out of their
beginning where they can be. A line that is broken is a foreign one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from ta_pipeline.logs.fields import NAMES, level_of

_FORMER = {"ts": "time", "exception": "error"}
"""Names that lines had before there was a table."""
_BEGINNING = re.compile(
    # Apicurio's own pattern puts the zone into the middle of the date.
    r"\s*(?P<month>\d{4}-\d\d)(?:[+-]\d\d)?(?P<day>-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?(?=\s|$)\s*(?:\[?(?P<level>[A-Z]{4,8})\b)?"
)


@dataclass(frozen=True)
class Line:
    """One line of the log of a component."""

    component: str
    """Whose log it is."""
    at: float | None
    """Epoch seconds; None: it does not say."""
    level: str
    """One of `fields.LEVELS`; empty: it does not say."""
    message: str
    """Of a foreign line all of it."""
    is_foreign: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    """Of a JSON line what it says, by the table's names; empty for a foreign one."""

    def behind(self, before: Line) -> Line:
        """The same with the time, and the level, of the line before it where it has none: a traceback, say."""
        if not self.is_foreign or (self.at is not None and self.level):
            return self if self.at is not None else replace(self, at=before.at)
        is_continued = self.at is None
        return replace(
            self, at=before.at if is_continued else self.at, level=before.level if is_continued else self.level
        )


def parse(component: str, raw: bytes) -> Line:
    """What a line says; never raises.

    Args:
        component: whose log it is.
        raw: the line, with or without its line break.
    """
    content = raw.rstrip(b"\r\n")
    if content.startswith(b"{"):
        try:
            found = orjson.loads(content)
        except ValueError:
            found = None
        if isinstance(found, dict) and "message" in found:
            return _own(component, found)
    return _foreign(component, content.decode("utf-8", "replace"))


def epoch_of(text: object) -> float | None:
    """A moment as RFC 3339 has it, in epoch seconds; local time where no zone is given; None: it is no moment."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _own(component: str, found: dict[str, Any]) -> Line:
    named = {_FORMER.get(name, name): value for name, value in found.items()}
    fields = {name: named[name] for name in NAMES if named.get(name) is not None}
    level = level_of(str(named.get("level", "")))
    return Line(component, epoch_of(named.get("time")), level, str(named["message"]), fields=fields)


def _foreign(component: str, text: str) -> Line:
    begins = _BEGINNING.match(text)
    if begins is None:
        return Line(component, None, "", text, is_foreign=True)
    moment = f"{begins['month']}{begins['day']}T{begins['clock']}.{(begins['fraction'] or '0')[:6]:0<6}"
    at = epoch_of(moment + (begins["zone"] or ""))
    return Line(component, at, level_of(begins["level"] or ""), text, is_foreign=True)
