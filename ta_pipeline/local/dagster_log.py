"""The log of Dagster on this machine: what its processes print, kept in a file for `ta logs dagster`, and shown.

supervisord keeps what the stack's components print; Dagster runs in a terminal, so `ta ui` keeps it itself, in the
same sizes. A file that cannot be written ends nothing: what is shown goes on.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.logs.output import FORMAT_VARIABLE

COMPONENT = "dagster"
STARTUP = REPOSITORY / "orchestration" / "startup"
"""What is in it runs first in each of Dagster's processes, and makes it log the platform's lines."""
KEPT_BYTES, KEPT_FILES = 50_000_000, 2


def dagster_log(local: LocalSettings) -> Path:
    """Where it is."""
    return local.dir / "logs" / f"{COMPONENT}.log"


def json_lines(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a Dagster process, changed so that it logs JSON lines with the fields of the table."""
    path = os.pathsep.join([str(STARTUP), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**environment, FORMAT_VARIABLE: "json", "TA_LOG_COMPONENT": COMPONENT, "PYTHONPATH": path}


def keep(printed: Iterable[bytes], path: Path, show: Callable[[bytes], None]) -> None:
    """Show each line and add it to the file, until there are no more.

    Args:
        printed: lines, with their line breaks.
        path: the file; its folder is made.
        show: told each line, without its line break.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    file = _File(path, maxBytes=KEPT_BYTES, backupCount=KEPT_FILES, delay=True, encoding="utf-8", errors="replace")
    try:
        for raw in printed:
            line = raw.rstrip(b"\r\n")
            file.handle(logging.makeLogRecord({"msg": line.decode("utf-8", "replace"), "args": ()}))
            with contextlib.suppress(OSError):
                show(line)
    finally:
        with contextlib.suppress(OSError):
            file.close()


class _File(RotatingFileHandler):
    """Its lines are there already, whole; for this user only, as all logs of the stack are."""

    def format(self, record: logging.LogRecord) -> str:
        return str(record.msg)

    def _open(self) -> io.TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return open(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name it has in the base class
        """Lose the line: nobody is to suffer from it."""
