"""Log files as components write them, and following them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ta_pipeline.instants import rfc3339
from ta_pipeline.logs.files import LogFile
from ta_pipeline.logs.lines import Line
from ta_pipeline.logs.query import Query, follow

T0 = 1_784_642_400.0
"""2026-07-21T14:00:00Z, epoch seconds."""


def own(at: float, message: str, level: str = "INFO", **fields: object) -> str:
    return json.dumps({"time": rfc3339(at, "milliseconds"), "level": level, "message": message, **fields})


def kafka(at: float, message: str, level: str = "INFO") -> str:
    return f"{rfc3339(at, 'milliseconds')} {level:<5} SocketServer {message}"


def write(path: Path, *lines: str, ending: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + ending)
    return path


def messages(lines: Iterator[Line]) -> list[str]:
    return [line.message for line in lines]


class EndError(Exception):
    """The end of following."""


def steps(*actions: Callable[[], object]) -> Callable[[], None]:
    """Something that happens in each pause; after the last one following ends."""
    left = iter(actions)

    def pause() -> None:
        action = next(left, None)
        if action is None:
            raise EndError
        action()

    return pause


def followed(files: list[LogFile], query: Query, *actions: Callable[[], object]) -> list[str]:
    lines = follow(lambda: files, query, steps(*actions))
    found: list[str] = []
    with pytest.raises(EndError):
        found.extend(line.message for line in lines)
    return found


class Opening(Protocol):
    """How a test opens a log."""

    def __call__(self, path: Path, component: str = "a") -> LogFile:
        """The log of a component in this file."""
