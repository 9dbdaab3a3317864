"""What is asked of the logs, and the lines that answer it: those of all components together, by time."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ta_pipeline.errors import LogError
from ta_pipeline.instants import duration_of
from ta_pipeline.logs.fields import LEVELS, level_of
from ta_pipeline.logs.files import LogFile
from ta_pipeline.logs.lines import Line, epoch_of


@dataclass(frozen=True)
class Query:
    """Which lines are wanted; without anything all of them."""

    symbol: str = ""
    """Only lines that are about this one."""
    level: str = ""
    """At least this grave. Lines that do not say their level are left out then."""
    since: float | None = None
    """Epoch seconds."""

    def takes(self, line: Line) -> bool:
        """Whether a line is wanted."""
        if self.symbol and line.fields.get("symbol") != self.symbol:
            return False
        if self.level and (not line.level or LEVELS.index(line.level) < LEVELS.index(self.level)):
            return False
        return self.since is None or (line.at is not None and line.at >= self.since)

    @property
    def takes_every_line(self) -> bool:
        """Whether nothing but the time decides."""
        return not self.symbol and not self.level


def since_of(text: str, now: float) -> float:
    """The moment that `90s`, `5m`, `2h`, `1d` or a timestamp means, in epoch seconds.

    Args:
        text: a duration before `now`, or RFC 3339; without a zone it is local time.
        now: epoch seconds.

    Raises:
        LogError: it is neither.
    """
    if (seconds := duration_of(text)) is not None:
        return now - seconds
    # Of digits alone something else could be made: a day, or epoch seconds.
    at = epoch_of(text.strip()) if "-" in text else None
    if at is None:
        raise LogError(f"--since is {text!r}; it is a duration (90s, 5m, 2h, 1d) or a time (2026-11-26T14:30:00Z)")
    return at


def minimum_of(text: str) -> str:
    """The level that `--level` names.

    Raises:
        LogError: it is none.
    """
    level = level_of(text)
    if not level:
        raise LogError(f"--level is {text!r}; it is one of {', '.join(LEVELS)}")
    return level


def answer(files: Iterable[LogFile], query: Query, last: int | None = None) -> Iterator[Line]:
    """The lines that are there, by time; of these the last ones only where `last` is given.

    Lines are read as they are asked for; with `last` so many are kept.
    """
    from_end = last if last is not None and query.takes_every_line and query.since is None else None
    streams = [file.lines(query.since, from_end) for file in files]
    merged = (line for line in heapq.merge(*streams, key=_time_of) if query.takes(line))
    return iter(deque(merged, last)) if last is not None else merged


def follow(files: Callable[[], Iterable[LogFile]], query: Query, pause: Callable[[], None]) -> Iterator[Line]:
    """The lines that are added from now on, by time as far as they come together; ends when `pause` raises.

    Args:
        files: those that are there; asked each time, for new ones may have come.
        query: which lines.
        pause: waits between two looks.
    """
    while True:
        fresh = sorted((line for file in files() for line in file.added()), key=_time_of)
        yield from filter(query.takes, fresh)
        pause()


def seconds_between_looks() -> None:
    """The pause of `follow`, for whoever watches a terminal."""
    time.sleep(0.25)


def _time_of(line: Line) -> float:
    return line.at or 0.0
