"""A line of a log as it is shown: for a person, or as JSON for a program."""

from __future__ import annotations

import orjson

from ta_pipeline.instants import rfc3339
from ta_pipeline.logs.fields import BY_NAME
from ta_pipeline.logs.lines import Line, parse

_SHOWN = frozenset({"time", "level", "message", "component", "error", "logger", "thread", "deployment"})
"""Not shown as `name=value`: they have a place of their own, or would say the same on each line."""
_CONTROLS = {
    sign: f"\\x{sign:02x}" if sign < 0x100 else f"\\u{sign:04x}"
    # C0, DEL and C1, and those that turn the direction of writing around.
    for sign in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(sign) not in "\n\t"
}
"""What a terminal would obey, as it is shown."""
_STYLES = {"WARN": "yellow", "ERROR": "red", "FATAL": "bold red", "DEBUG": "dim", "TRACE": "dim"}


def as_json(line: Line) -> str:
    """One JSON object with the fields of the table; of a foreign line those that are known."""
    known = {"time": _time(line), "level": line.level, "message": line.message, "component": line.component}
    given = {name: value for name, value in known.items() if value}
    return orjson.dumps({**given, **line.fields, "component": line.component}).decode()


def as_text(line: Line, *, with_component: bool = True) -> str:
    """Time, level, component, what is said, what it is about; then the traceback, on lines of its own.

    Control characters are escaped, but for the line breaks of messages and tracebacks, and tabs.
    """
    whose = f"{line.component:<12} " if with_component else ""
    if line.is_foreign:
        return _shown(f"{whose}{line.message}")
    about = "".join(
        f" {name}={value}".replace("\n", r"\n")
        for name, value in line.fields.items()
        if name not in _SHOWN and name in BY_NAME
    )
    text = f"{whose}{_time(line)} {line.level:<5} {_short(line.fields.get('logger'))}{line.message}{about}"
    error = str(line.fields.get("error", "")).rstrip()
    return _shown(f"{text}\n{error}" if error else text)


def style_of(line: Line) -> str:
    """How grave lines stand out on a terminal."""
    return _STYLES.get(line.level, "")


def told(raw: str) -> str:
    """What a line of a process says, for whoever follows it: time and message, without names and fields."""
    line = parse("", raw.encode("utf-8", "replace"))
    return _shown(raw if line.is_foreign else f"{_time(line)} {line.message}")


def _time(line: Line) -> str:
    return "" if line.at is None else rfc3339(line.at, "milliseconds")


def _shown(text: str) -> str:
    return text.translate(_CONTROLS)


def _short(logger: object) -> str:
    return f"{str(logger).rpartition('.')[2]}: " if logger else ""
