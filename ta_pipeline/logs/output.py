"""Where a Python process logs to: its standard output or error, JSON or text by `TA_LOG_FORMAT`.

A line that cannot be written, because the disk is full or nobody reads any more, is lost and counted; it ends
nothing, and nothing is logged about it: the next line that can be written has the number in `left_out`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType
from typing import Literal

from ta_pipeline.errors import SettingsError
from ta_pipeline.logs.formatting import Hide, JsonFormatter, TextFormatter, as_it_is

_log = logging.getLogger("ta")
FORMAT_VARIABLE = "TA_LOG_FORMAT"
STDOUT, STDERR = 1, 2
Format = Literal["json", "text"]
FORMATS: tuple[Format, ...] = ("json", "text")


class Lines(logging.Handler):
    """Writes each record as a line, whole, to a file descriptor; never raises.

    Args:
        descriptor: where to. Not a stream: that would keep what it could not write, and try it again at exit.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lost = 0
        self._is_torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            if self._lost:
                record.left_out = self._lost + getattr(record, "left_out", 0)
            content = (self.format(record) + "\n").encode("utf-8", "replace")
        except Exception:  # whatever it is, who logs is not to suffer from it
            self._lost += 1
            return
        self._lost = 0 if self._write(content) else self._lost + 1

    def hide(self, hide: Hide) -> None:
        """From now on, take secrets out of every line: the settings that know them may come after the first line."""
        if isinstance(self.formatter, JsonFormatter | TextFormatter):
            self.formatter.hide = hide

    def _write(self, content: bytes) -> bool:
        """Whether all of it was written. What is left of a torn line gets its line break first."""
        if self._is_torn:
            content = b"\n" + content
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
                self._is_torn = bool(content)
        except OSError:
            return False
        return True


def format_in_force(descriptor: int = STDOUT) -> Format:
    """`TA_LOG_FORMAT`; without it text on a terminal, and JSON elsewhere.

    Raises:
        SettingsError: it is neither `json` nor `text`.
    """
    asked = os.environ.get(FORMAT_VARIABLE, "")
    for allowed in FORMATS:
        if asked == allowed:
            return allowed
    if asked:
        raise SettingsError(f"{FORMAT_VARIABLE}={asked!r} is not allowed: it is json or text; leave it empty for "
                            "text on a terminal and json elsewhere")  # fmt: skip
    return "text" if os.isatty(descriptor) else "json"


def log_to(component: str, descriptor: int = STDOUT, level: int = logging.INFO, hide: Hide = as_it_is) -> Lines:
    """Let everything that this process logs go to one place; returns the handler.

    So does an exception that nobody catches, of whatever thread.

    Args:
        component: what the lines say they are of.
        descriptor: standard output, or standard error.
        level: lines below it are not written.
        hide: takes secrets out of a text.

    Raises:
        SettingsError: `TA_LOG_FORMAT` is neither `json` nor `text`.
    """
    is_json = format_in_force(descriptor) == "json"
    lines = Lines(descriptor)
    lines.setFormatter(JsonFormatter(component, hide) if is_json else TextFormatter(hide))
    logging.basicConfig(level=level, handlers=[lines], force=True)
    sys.excepthook, threading.excepthook = _uncaught, _uncaught_in_thread
    return lines


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An exception that ends the process is a line as any other: with a time, a level, and without secrets."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    _log.error("this process ends: %s", kind.__name__, exc_info=(kind, error, traceback))


def _uncaught_in_thread(about: threading.ExceptHookArgs) -> None:
    if about.exc_value is None or issubclass(about.exc_type, SystemExit):
        return
    name = about.thread.name if about.thread is not None else "of before"
    about_it = (about.exc_type, about.exc_value, about.exc_traceback)
    _log.error("the thread %s ends: %s", name, about.exc_type.__name__, exc_info=about_it)
