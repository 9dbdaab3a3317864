"""A record of Python's logging as a line: JSON with the fields of the table, or text for a person.

What a record is about is given by name: `log.warning("late", extra={"symbol": "NVDA", "lag_ms": 2100})`. Names that
are not in the table are not written. Formatting never raises: a record that cannot be put into words says so.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable

from ta_pipeline.instants import rfc3339
from ta_pipeline.logs.fields import (
    BY_NAME,
    DEFAULT_DEPLOYMENT,
    DEPLOYMENT_VARIABLE,
    NAMES,
    OF_THE_RECORD,
    level_of,
)

LONGEST = 16_384
"""Characters of a text: log4j's layout cuts there too, and a pipe or a store of logs takes only so much."""
CUT = "…"
Hide = Callable[[str], str]


def as_it_is(text: str) -> str:
    """What hides nothing."""
    return text


class JsonFormatter(logging.Formatter):
    """One JSON object, without its line break.

    Args:
        component: the process that logs.
        hide: takes secrets out of a text.
    """

    def __init__(self, component: str, hide: Hide = as_it_is) -> None:
        super().__init__()
        self.component = component
        self.hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        known: dict[str, object] = {
            "time": rfc3339(record.created, "milliseconds"),
            "level": level_of(record.levelname) or record.levelname,
            "logger": record.name,
            "message": self._fit(self.message_of(record)),
            "component": self.component,
            "deployment": os.environ.get(DEPLOYMENT_VARIABLE) or DEFAULT_DEPLOYMENT,
            "thread": record.threadName,
            "error": self._fit(self.error_of(record)) or None,
            **{name: self._fit(said) if isinstance(said, str) else said for name, said in self.about(record).items()},
        }
        line = {name: known[name] for name in NAMES if known.get(name) is not None}
        return json.dumps(line, default=str, ensure_ascii=False, allow_nan=False)

    def message_of(self, record: logging.LogRecord) -> str:
        """What is said; the pattern and its values as they are where they do not fit each other."""
        try:
            return record.getMessage()
        except Exception:  # a wrong pattern is no reason to lose what was to be said
            return f"{record.msg!s} {record.args!r}"

    def about(self, record: logging.LogRecord) -> dict[str, object]:
        """The fields that whoever logged has given."""
        given = record.__dict__
        return {name: _value(name, given[name]) for name in NAMES if name not in OF_THE_RECORD and name in given}

    def error_of(self, record: logging.LogRecord) -> str:
        """The traceback that was logged with it; empty when there is none."""
        traceback = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        return "\n".join(part for part in (traceback, record.stack_info) if part)

    def _fit(self, text: str) -> str:
        # In this order: of a secret that is cut in two, the beginning would be left.
        return cut(self.hide(text))


class TextFormatter(logging.Formatter):
    """For a terminal: time, level, logger, message, and what it is about as `name=value`.

    Args:
        hide: takes secrets out of a text.
    """

    def __init__(self, hide: Hide = as_it_is) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self.hide = hide
        self._fields = JsonFormatter("", hide)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name it has in the base class
        """The line of a record, without its traceback."""
        about = "".join(f" {name}={value}" for name, value in self._fields.about(record).items() if value is not None)
        return super().formatMessage(record) + about

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        return self.hide(super().format(record))


def cut(text: str) -> str:
    """A text that is not longer than a line's may be."""
    return text if len(text) <= LONGEST else text[:LONGEST] + CUT


def _value(name: str, value: object) -> object:
    kind = BY_NAME[name].kind
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        # JSON has no number that is none.
        return None
    if kind == "number" and isinstance(value, int | float):
        return value
    if kind == "time" and isinstance(value, int | float):
        try:
            return rfc3339(value / 1_000, "milliseconds")
        except (OverflowError, OSError, ValueError):
            # A record may tell of any time at all.
            return str(value)
    return str(value)
