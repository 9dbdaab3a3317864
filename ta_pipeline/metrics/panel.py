"""What a panel is: a question to Prometheus, and how its answer is shown. The panels: `ta_pipeline.metrics.panels`.

Grafana and `ta report` show the same ones. Expressions are PromQL with Grafana's variables:

    $namespace         namespaces, as a regular expression
    $deployment        the job's name, as Flink's reporter has it; its table job is `${deployment}_table`
    $__rate_interval   how far `rate` looks back
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["now", "lines", "states", "bars"]
"""One figure; lines over time; states over time, one of `Panel.states` each; the newest values, the largest first."""
Unit = Literal["seconds", "share", "per second", "count", "bytes", "state"]
Severity = Literal["warning", "critical"]
Tone = Literal["good", "neutral", "warning", "critical"]

_NAME = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\{")


@dataclass(frozen=True)
class Query:
    """One expression.

    Attributes:
        expr: in PromQL; each metric in it is followed by its selector in braces.
        legend: how its lines are called: a text with labels as `{{symbol}}`.
        is_limit: it gives what the other lines should stay below.
        least_step_seconds: Grafana's points are not closer; 0: as close as it has place for.
    """

    expr: str
    legend: str
    is_limit: bool = False
    least_step_seconds: int = 0


@dataclass(frozen=True)
class Threshold:
    """What the values should stay below, where it is a number that no setting changes.

    Attributes:
        value: in the panel's unit.
        severity: of the alert that has this limit.
        name: of that alert, or what it is.
    """

    value: float
    severity: Severity
    name: str


@dataclass(frozen=True)
class State:
    """What a value of a panel of states means."""

    value: int
    name: str
    tone: Tone


@dataclass(frozen=True)
class Panel:
    """One question.

    Attributes:
        title: what is shown.
        unit: of the values.
        queries: what is asked.
        description: what it means, for one who has not seen it before.
        kind: how it is shown.
        thresholds: what the values should stay below.
        states: what the values mean, where the unit is `state`.
        when_none: what it means that there is no series although what tells it is scraped, where that is no fault.
    """

    title: str
    unit: Unit
    queries: tuple[Query, ...]
    description: str
    kind: Kind = "lines"
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[State, ...] = ()
    when_none: str = ""

    def names(self) -> set[str]:
        """The metrics that its expressions ask for."""
        return {name for query in self.queries for name in names_in(query.expr)}


@dataclass(frozen=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


def names_in(expr: str) -> Iterator[str]:
    """The metrics in an expression."""
    return (found[1] for found in _NAME.finditer(expr))


def filled(expr: str, namespace: str, deployment: str, rate_interval: str) -> str:
    """The expression with its variables filled in, as Grafana does it."""
    values = {"namespace": namespace, "deployment": deployment, "__rate_interval": rate_interval}
    for name, value in values.items():
        expr = expr.replace("${" + name + "}", value).replace(f"${name}", value)
    return expr
