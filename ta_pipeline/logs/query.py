"""What is asked of the logs, and the lines that answer it: those of all components together, by time."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from ta_pipeline.errors import LogError
from ta_pipeline.instants import duration_of, rfc3339
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
        at = line.at if line.seen is None else line.seen
        return self.since is None or (at is not None and at >= self.since)

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
        LogError: it is neither, or has not come yet.
    """
    if (seconds := duration_of(text)) is not None:
        return now - seconds
    # Of digits alone something else could be made: a day, or epoch seconds.
    at = epoch_of(text.strip()) if "-" in text else None
    if at is None:
        raise LogError(f"--since is {text!r}; it is a duration (90s, 5m, 2h, 1d) or a time (2026-11-26T14:30:00Z)")
    if at > now:
        raise LogError(
            f"--since is {text!r}, which has not come yet: it is {rfc3339(now, 'milliseconds')}; it is a duration "
            "(90s, 5m, 2h, 1d) or a time that has passed, without a zone in local time"
        )
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


def answer(
    files: Iterable[LogFile], query: Query, last: int | None = None, *, is_followed: bool = False
) -> Iterator[Line]:
    """The lines that are there, by time; of these the last ones only where `last` is given.

    Lines are read as they are asked for; with `last` so many are kept.

    Args:
        files: the logs.
        query: which lines.
        last: only so many of them, from the end.
        is_followed: whether `follow` comes next, and is to have a line that is not complete yet.
    """
    from_end = last if last is not None and query.takes_every_line and query.since is None else None
    streams = [_in_order(file.lines(query.since, from_end, with_torn=not is_followed)) for file in files]
    merged = (line for _, line in heapq.merge(*streams, key=itemgetter(0)) if query.takes(line))
    return iter(deque(merged, last)) if last is not None else merged


def follow(files: Callable[[], Iterable[LogFile]], query: Query, pause: Callable[[], None]) -> Iterator[Line]:
    """The lines that are added from now on, by time as far as they come together; ends when `pause` raises.

    Args:
        files: those that are there; asked each time, for new ones may have come.
        query: which lines.
        pause: waits between two looks.
    """
    while True:
        fresh = sorted((found for file in files() for found in _in_order(file.added())), key=itemgetter(0))
        yield from (line for _, line in fresh if query.takes(line))
        pause()


def seconds_between_looks() -> None:
    """The pause of `follow`, for whoever watches a terminal."""
    time.sleep(0.25)


def _in_order(lines: Iterable[Line]) -> Iterator[tuple[float, Line]]:
    """Lines of one component with their places among those of others: none is before the one that it follows."""
    place = -math.inf
    for line in lines:
        place = max(place, place if line.at is None else line.at)
        yield place, line
