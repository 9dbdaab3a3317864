"""Expressions for what happens seldom: no event is missed, however far apart the points of a line are.

A point of a line stands for the time since the point before it, and that may be hours. A count of five minutes at each
point would leave out most of them. So it is taken every half a minute, and a point gives the largest of its time.

Many counters begin with their first event. `increase` sees only what comes after that, so what a counter began with is
counted for as long as it is new.
"""

from __future__ import annotations

from ta_pipeline.metrics.panel import Query
from ta_pipeline.metrics.scope import SCOPE
from ta_pipeline.metrics.span import COUNT_SECONDS

EVERY = f"{COUNT_SECONDS}s"
WITHIN = "5m"
_UP = f"up{{{SCOPE}}} offset {WITHIN}"


def seldom(expr: str, legend: str) -> Query:
    """The largest value of an expression in the time of each point."""
    # Points that are closer would have times without a count in them.
    return Query(f"max_over_time({expr}[$__rate_interval:{EVERY}])", legend, least_step_seconds=COUNT_SECONDS)


def more_seldom(expr: str, seconds: int) -> str:
    """An expression with so many seconds between two counts; one without counts is as it was."""
    return expr.replace(f":{EVERY}]", f":{seconds}s]")


def risen(series: str) -> str:
    """How far each counter rose in `WITHIN`: by all it has, where it was not there before."""
    return f"(({_new(series)}) or increase({series}[{WITHIN}]))"


def risen_while_watched(series: str) -> str:
    """The same, without what may be old: what it has when Prometheus itself is new, or when its endpoint was away."""
    was_away = f"({_UP} == 0)"
    return f"(({_new(series)} unless on (job, instance) {was_away} and on () {_UP}) or increase({series}[{WITHIN}]))"


def _new(series: str) -> str:
    # Also that of a task that has ended since.
    return f"last_over_time({series}[{WITHIN}]) unless {series} offset {WITHIN}"
