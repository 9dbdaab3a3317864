"""The time that a report covers, and how densely Prometheus is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ta_pipeline.errors import SettingsError
from ta_pipeline.instants import duration_of

POINTS = 300
"""Of a line: more than a picture has place for, far below the 11,000 that Prometheus gives."""
FINEST_SECONDS = 5.0
RATE_SECONDS = 60
"""The least that `rate` looks back: four scrapes of the 15 s that PodMonitors ask for."""
COUNT_SECONDS, _MOST_COUNT_SECONDS, _COUNTS = 30, 150, 20
"""Between two counts of five minutes: an event is in two of them at least. Of a long time, so many for each point."""
_LEAST, _MOST = 60.0, 31 * 86_400.0


@dataclass(frozen=True)
class Span:
    """From `start` to `end` in epoch seconds, with `step` seconds between two points."""

    start: float
    end: float
    step: float

    @property
    def rate_interval(self) -> str:
        """How far `rate` has to look back, so that neither a scrape nor a step is left out."""
        return f"{max(RATE_SECONDS, math.ceil(self.step) + 15)}s"

    @property
    def count_seconds(self) -> int:
        """Between two counts: Prometheus would take too long for a month, with half a minute between them."""
        return max(COUNT_SECONDS, min(_MOST_COUNT_SECONDS, math.floor(self.step / _COUNTS)))


def seconds_of(since: str) -> float:
    """Seconds of `90s`, `15m`, `2h`, `1d`.

    Raises:
        SettingsError: it is none of these, or not between a minute and 31 days.
    """
    seconds = duration_of(since)
    if seconds is None or not _LEAST <= seconds <= _MOST:
        raise SettingsError(
            f"--since {since!r} is not allowed: it is a number and its unit, like 90s, 15m, 2h or 1d, between a minute "
            "and 31 days"
        )
    return seconds


def span_until(end: float, seconds: float) -> Span:
    """The `seconds` before `end`; the points are at multiples of the step, so that two reports have the same ones."""
    step = max(FINEST_SECONDS, math.ceil(seconds / POINTS))
    last = math.floor(end / step) * step
    return Span(last - math.floor(seconds / step) * step, last, step)
