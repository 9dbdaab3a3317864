"""What a benchmark has found, and the spread of figures over rounds; pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from ta_pipeline.bench.read_costs import Reading
from ta_pipeline.bench.samples import Drain
from ta_pipeline.bench.shapes import Shape, Steady
from ta_pipeline.compute import ComputeReport
from ta_pipeline.feed import FeedReport
from ta_pipeline.flink_answers import Checkpoints
from ta_pipeline.probe_report import ProbeReport


@dataclass(frozen=True)
class Run:
    """The job under a steady market."""

    steady: Steady
    sent_per_second: float
    """Messages, while it was measured."""
    fed: FeedReport
    seen: ProbeReport
    checkpoints: Checkpoints
    """Since the start of the job."""
    cpu_cores: float
    """Of the TaskManager, average."""
    memory_bytes: int
    """Highest resident size of the TaskManager."""
    backpressured: float
    """Share of the time that the most backpressured task was held back."""
    backpressured_task: str

    @property
    def cpu_us_per_message(self) -> float:
        """CPU of the TaskManager, in microseconds."""
        return self.cpu_cores / self.sent_per_second * 1e6 if self.sent_per_second else 0.0


@dataclass
class Results:
    """Everything measured so far; what was left out is empty."""

    drains: list[Drain] = field(default_factory=list)
    """Every variant on the dense and the sparse shape."""
    symbols: list[Drain] = field(default_factory=list)
    """The job as shipped with few and with many symbols."""
    runs: list[Run] = field(default_factory=list)
    computes: list[ComputeReport] = field(default_factory=list)
    """Of one recorded day."""
    readings: list[Reading] = field(default_factory=list)
    """Of a reader at a steady rate."""
    stopped_by: str = ""
    """The error that ended the benchmark before it was done."""

    @property
    def is_empty(self) -> bool:
        """Nothing was measured."""
        return not (self.drains or self.symbols or self.runs or self.computes or self.readings)

    def run(self, steady: Steady) -> Run | None:
        """The run of one steady market, if there was one."""
        return next((run for run in self.runs if run.steady.name == steady.name), None)

    @property
    def memory_bytes(self) -> int:
        """Highest resident size of the TaskManager in all of it; 0 when nothing was measured."""
        drains = [drain.memory_bytes for drain in (*self.drains, *self.symbols)]
        return max([*drains, *(run.memory_bytes for run in self.runs)], default=0)


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of a figure over repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """Of these values; None when there are none."""
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1]) if found else None

    def text(self, form: str, unit: str = "") -> str:
        """As in the report: `50,000 (40,000 to 60,000)`."""
        shown = f"{self.median:{form}}{unit}"
        return f"{shown} ({self.low:{form}} to {self.high:{form}})"


def rounds_of(drains: Iterable[Drain], shape: Shape, variant: str) -> list[Drain]:
    """The rounds of one variant on one shape, in order."""
    return [drain for drain in drains if drain.shape == shape and drain.variant == variant]


def ratio(over: Iterable[Drain], under: Iterable[Drain], figure: Callable[[Drain], float]) -> Spread | None:
    """A figure of one variant or shape over that of another, round by round."""
    below = {drain.number: figure(drain) for drain in under}
    return Spread.of(figure(drain) / below[drain.number] for drain in over if below.get(drain.number))


def rate(drain: Drain) -> float:
    """Events a second."""
    return drain.events_per_second


def cpu(drain: Drain) -> float:
    """CPU per event, microseconds."""
    return drain.cpu_us_per_event
