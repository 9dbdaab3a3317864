"""A line of a log file, as whoever wrote it meant it: JSON with the fields of the table, or foreign text.

Foreign lines (the broker's, the registry's, supervisord's) stay as they are; time and level are taken out of their
beginning where they can be, and that of a traceback is an ERROR. A line that is broken is a foreign one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
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
_CLOCK = re.compile(
    # As logback begins its lines before it is configured: S3's stand-in says no more.
    r"\s*(?P<clock>\d\d:\d\d:\d\d)[.,](?P<fraction>\d{3,9})(?=\s|$)\s*(?:(?:\|-|\[)?(?P<level>[A-Z]{4,8})\b)?"
)
_CRASH = re.compile(r"\s*(?:\+ Exception Group )?Traceback \(most recent call last\)|Exception in thread\b")
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
_CLOCKS_DIFFER_SECONDS = 1.0
"""A file system notes when a file was written by a clock that is a little behind."""


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
    seen: float | None = None
    """Of a line without a time of its own: epoch seconds at which it was new, where that is known."""

    def behind(self, before: Line) -> Line:
        """The same with the time, and the level, of the line before it where it has none: a traceback, say."""
        if self.at is not None:
            return self
        return replace(self, at=before.at, level=self.level or (before.level if self.is_foreign else ""))


def parse(component: str, raw: bytes, written: Callable[[], float] | None = None) -> Line:
    """What a line says; never raises.

    Args:
        component: whose log it is.
        raw: the line, with or without its line break.
        written: when its file was last written, epoch seconds: a time without a date is of the day before that moment.
    """
    content = raw.rstrip(b"\r\n")
    if content.startswith(b"{"):
        try:
            found = orjson.loads(content)
        except ValueError:
            found = None
        if isinstance(found, dict) and "message" in found:
            return _own(component, found)
    return _foreign(component, content.decode("utf-8", "replace"), written)


def epoch_of(text: object) -> float | None:
    """A moment as RFC 3339 has it, in epoch seconds; local time where no zone is given; None: it is no moment."""
    try:
        at = datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    # With its zone it may be a moment that has no date in UTC.
    return at if _EARLIEST <= at <= _LATEST else None


def _own(component: str, found: dict[str, Any]) -> Line:
    named = {_FORMER.get(name, name): value for name, value in found.items()}
    fields = {name: named[name] for name in NAMES if named.get(name) is not None}
    level = level_of(str(named.get("level", "")))
    return Line(component, epoch_of(named.get("time")), level, str(named["message"]), fields=fields)


def _foreign(component: str, text: str, written: Callable[[], float] | None) -> Line:
    if (begins := _BEGINNING.match(text)) is not None:
        at = epoch_of(f"{begins['month']}{begins['day']}T{_clock_of(begins)}{begins['zone'] or ''}")
        return Line(component, at, level_of(begins["level"] or ""), text, is_foreign=True)
    if written is not None and (begins := _CLOCK.match(text)) is not None:
        at = _last_time(_clock_of(begins), written())
        return Line(component, at, level_of(begins["level"] or ""), text, is_foreign=True)
    return Line(component, None, "ERROR" if _CRASH.match(text) else "", text, is_foreign=True)


def _clock_of(begins: re.Match[str]) -> str:
    return f"{begins['clock']}.{(begins['fraction'] or '0')[:6]:0<6}"


def _last_time(clock: str, until: float) -> float | None:
    """The last moment not after `until` at which local clocks showed this; None: they never do."""
    try:
        shown, day = time.fromisoformat(clock), datetime.fromtimestamp(until, UTC).astimezone().date()
        at = datetime.combine(day, shown).timestamp()
        if at <= until + _CLOCKS_DIFFER_SECONDS:
            return at
        return datetime.combine(day - timedelta(days=1), shown).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
