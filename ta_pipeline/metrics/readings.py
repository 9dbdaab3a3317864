"""The panels with what Prometheus says of them, and why one of them is empty."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

from ta_pipeline.errors import PrometheusError
from ta_pipeline.metrics.catalog import metric
from ta_pipeline.metrics.counted import more_seldom
from ta_pipeline.metrics.panel import Panel, Query, Row, filled, names_in
from ta_pipeline.metrics.prometheus import Prometheus, Series, Target
from ta_pipeline.metrics.span import Span

SESSION = "ta_session_open"
MOST_BARS = 10
_AT_ONCE = 4
_GAP_STEPS = 1.5
_OF_PROMETHEUS = {"up": "", "ALERTS": "an alert"}


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        name: as the query's legend says.
        points: (epoch seconds, value), with NaN where nothing was known: a gap stays a gap.
        is_limit: it is what the other lines should stay below.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    is_limit: bool = False

    @property
    def last(self) -> float:
        """Its newest value; NaN: none at the end."""
        return self.points[-1][1] if self.points else math.nan

    @property
    def most(self) -> float:
        """Its largest value."""
        return max((value for _, value in self.points if not math.isnan(value)), default=math.nan)


@dataclass(frozen=True)
class Reading:
    """One panel: its lines, or why there are none but limits."""

    panel: Panel
    lines: tuple[Line, ...]
    why_empty: str = ""

    @property
    def values(self) -> tuple[Line, ...]:
        """The lines that are no limits."""
        return tuple(line for line in self.lines if not line.is_limit)

    @property
    def is_missing(self) -> bool:
        """It has no values, and should have some."""
        return not self.values and not (self.panel.when_none and self.why_empty == self.panel.when_none)

    @property
    def limit(self) -> float:
        """The newest limit, a threshold or a line; NaN: there is none."""
        limits = [threshold.value for threshold in self.panel.thresholds]
        limits += [line.last for line in self.lines if line.is_limit and not math.isnan(line.last)]
        return min(limits, default=math.nan)


@dataclass(frozen=True)
class Asked:
    """What a report is about.

    Attributes:
        span: the time.
        namespace: a regular expression; `.*`: all of them, and none.
        deployment: the job's name, as Flink's reporter writes it.
    """

    span: Span
    namespace: str
    deployment: str

    def filled(self, expr: str) -> str:
        """The expression as it is asked."""
        expr = more_seldom(expr, self.span.count_seconds)
        return filled(expr, self.namespace, self.deployment, self.span.rate_interval)


def targets_of(prometheus: Prometheus) -> tuple[list[Target], str]:
    """What Prometheus scrapes now, and why that is not known; the second is empty where it is.

    It only explains empty panels: where it is refused, as by what does not scrape itself, or by a gateway, the report
    is made without.
    """
    try:
        return prometheus.targets(), ""
    except PrometheusError as error:
        return [], str(error)


def read(
    prometheus: Prometheus, rows: Sequence[Row], asked: Asked, targets: Collection[Target]
) -> dict[str, list[Reading]]:
    """Ask all panels; the readings of each row by its title.

    Args:
        prometheus: is asked.
        rows: of panels.
        asked: time and job.
        targets: what Prometheus scrapes now, as far as it is known.

    Raises:
        PrometheusError: Prometheus refused a query, or does not answer.
    """
    names = prometheus.names(asked.span)

    def one(panel: Panel) -> Reading:
        lines: list[Line] = []
        for query in panel.queries:
            found = prometheus.range(asked.filled(query.expr), asked.span)
            lines += [line_of(series, query, asked.span) for series in found]
        known = [line for line in lines if not math.isnan(line.most)]
        reading = Reading(panel, tuple(largest(known) if panel.kind == "bars" else known))
        return reading if reading.values else replace(reading, why_empty=why_empty(panel, names, targets, asked))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = iter(list(pool.map(one, [panel for row in rows for panel in row.panels])))
    return {row.title: [next(found) for _ in row.panels] for row in rows}


def open_spans(prometheus: Prometheus, asked: Asked) -> list[tuple[float, float]]:
    """When the session was open, as far as it is known: (from, to) in epoch seconds.

    Raises:
        PrometheusError: Prometheus refused the query, or does not answer.
    """
    series = prometheus.range(asked.filled(f'max({SESSION}{{namespace=~"$namespace"}}) == 1'), asked.span)
    found: list[tuple[float, float]] = []
    for at, _ in (point for one in series for point in one.points):
        if found and at - found[-1][1] <= _GAP_STEPS * asked.span.step:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def line_of(series: Series, query: Query, span: Span) -> Line:
    """A series as a line of a panel; pure. Where a point is missing, and at both ends, there is a NaN."""
    name = query.legend
    for label, value in series.labels.items():
        name = name.replace("{{" + label + "}}", value)
    known = [(at, value if math.isfinite(value) else math.nan) for at, value in series.points]
    if not known:
        return Line(name, (), query.is_limit)
    points = [known[0]]
    for before, after in pairwise(known):
        if after[0] - before[0] > _GAP_STEPS * span.step:
            points.append((before[0] + span.step, math.nan))
        points.append(after)
    if span.end - points[-1][0] > _GAP_STEPS * span.step:
        points.append((points[-1][0] + span.step, math.nan))
    return Line(name, tuple(points), query.is_limit)


def largest(lines: Iterable[Line]) -> list[Line]:
    """The lines with the largest newest values, those first; pure. `topk` over a time gives whoever was one of them."""
    return sorted((line for line in lines if not math.isnan(line.last)), key=lambda line: -line.last)[:MOST_BARS]


def why_empty(panel: Panel, names: Collection[str], targets: Iterable[Target], asked: Asked) -> str:
    """Why none of a panel's expressions gave a value, for a person; pure.

    Args:
        panel: the panel.
        names: the metrics that Prometheus has of the time.
        targets: what it scrapes now.
        asked: what was asked.
    """
    wanted = {name for query in panel.queries if not query.is_limit for name in names_in(query.expr)}
    # Of Prometheus itself, where it only says whether a counter is new.
    wanted = wanted - {"up"} or wanted
    missing = sorted(wanted - set(names))
    down = [target for target in targets if target.error]
    if panel.when_none and names and not down:
        return panel.when_none
    if missing != sorted(wanted):
        return (
            f"its metrics were scraped, but gave no value for namespace {asked.namespace!r} and job "
            f"{asked.deployment!r}, or not for {asked.span.rate_interval}"
        )
    what = f"Prometheus has no {', no '.join(missing)}"
    if down:
        return f"{what}; " + "; ".join(f"{one.job} ({one.url}) is not scraped: {one.error}" for one in down)
    if needs := [needed for name in missing if (needed := _needs(name))]:
        return f"{what}: there is none before {needs[0]}"
    return f"{what}: is what exports it scraped, and does it run?"


def _needs(name: str) -> str:
    """What has to have happened before there is a series."""
    return _OF_PROMETHEUS[name] if name in _OF_PROMETHEUS else metric(name).needs
