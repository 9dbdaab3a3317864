"""From samples of a drain to its figures; pure.

A drain starts cold: Flink's SQL code is generated anew for each job, and the JIT compiler takes a core for the first 20
to 30 s. So the first part of the backlog is a warm-up, and rate, CPU and garbage collection are differences between two
samples: the one at which the warm-up was over, and the one at which the measurement was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ta_pipeline.bench.shapes import Shape

WARM_UP_SECONDS = 60.0
"""A variant so slow that it has not read the warm-up by then is warm all the same."""
LEAST_SECONDS = 10.0
"""Between the two samples: Flink's figures are up to 2 s old."""
SHORTEST_SECONDS = 3.0
"""A backlog that ends before `LEAST_SECONDS` is measured from its warm-up to its end, or, if that is shorter than
this, from its first trade: then the figure is too low."""
MOST_SECONDS = 60.0
"""A slow variant is not measured for longer: rates are by the second."""


@dataclass(frozen=True)
class Sample:
    """The state of a drain at one time."""

    at: float
    """Seconds of a steady clock."""
    read: float
    """Trades read by the source since its start."""
    cpu: float
    """Seconds of CPU the TaskManager has used."""
    gc: float
    """Seconds the TaskManager has collected garbage."""
    memory: int
    """Resident bytes of the TaskManager."""


@dataclass(frozen=True)
class Drain:
    """One round of one variant on one shape."""

    shape: Shape
    variant: str
    number: int
    """Of the round, from 1."""
    warm_up_seconds: float
    seconds: float
    events: float
    cpu_seconds: float
    gc_seconds: float
    memory_bytes: int
    """Highest resident size of the TaskManager."""

    @property
    def events_per_second(self) -> float:
        """The rate."""
        return self.events / self.seconds

    @property
    def cpu_us_per_event(self) -> float:
        """CPU of the TaskManager, in microseconds."""
        return self.cpu_seconds / self.events * 1e6

    @property
    def gc_share(self) -> float:
        """Share of the time in which garbage was collected."""
        return self.gc_seconds / self.seconds


def window(samples: Sequence[Sample], shape: Shape) -> tuple[Sample, Sample] | None:
    """First and last sample of the measurement; None while it is not done.

    It begins when the warm-up has been read or `WARM_UP_SECONDS` have passed, and ends when the shape's trades were
    read and `LEAST_SECONDS` have passed, or after `MOST_SECONDS`. Should the backlog end before, it is the newest
    `LEAST_SECONDS` in which there was work, or all of it after the warm-up where that is shorter
    (the warm-up included, should that be shorter than `SHORTEST_SECONDS`).

    Args:
        samples: in order, the first one that of the first trades read.
        shape: what is drained.

    Raises:
        ValueError: the backlog was drained in less than `SHORTEST_SECONDS`.
    """
    begin = next((sample for sample in samples if _is_warm(sample, samples[0], shape)), None)
    for sample in samples if begin else ():
        if begin and _is_enough(sample, begin, shape):
            return begin, sample
    if samples and samples[-1].read >= shape.backlog:
        return _newest(samples, shape)
    return None


def drain_of(
    shape: Shape, variant: str, number: int, samples: Sequence[Sample], measured: tuple[Sample, Sample]
) -> Drain:
    """The figures of one round."""
    begin, end = measured
    return Drain(
        shape=shape,
        variant=variant,
        number=number,
        warm_up_seconds=begin.at - samples[0].at,
        seconds=end.at - begin.at,
        events=end.read - begin.read,
        cpu_seconds=end.cpu - begin.cpu,
        gc_seconds=end.gc - begin.gc,
        memory_bytes=max(sample.memory for sample in samples),
    )


def described(samples: Sequence[Sample], shape: Shape) -> str:
    """How far a drain is, and the rate of the newest sample, for a line of progress."""
    if not samples:
        return "starting"
    newest = samples[-1]
    phase = "measuring" if _is_warm(newest, samples[0], shape) else "warming up"
    rate = ""
    if len(samples) > 1:
        before = samples[-2]
        rate = f", {(newest.read - before.read) / (newest.at - before.at):,.0f} events/s"
    return f"{phase}, {newest.read:,.0f} of {shape.backlog:,} read{rate}"


def _is_warm(sample: Sample, first: Sample, shape: Shape) -> bool:
    return sample.read >= shape.warm_up or sample.at - first.at >= WARM_UP_SECONDS


def _is_enough(sample: Sample, begin: Sample, shape: Shape) -> bool:
    passed = sample.at - begin.at
    return passed >= MOST_SECONDS or (passed >= LEAST_SECONDS and sample.read - begin.read >= shape.trades)


def _newest(samples: Sequence[Sample], shape: Shape) -> tuple[Sample, Sample]:
    # The sample that saw the end of the backlog may have come long after it.
    working = [sample for sample in samples if sample.read < shape.backlog]
    for sample in reversed(working):
        if working[-1].at - sample.at >= LEAST_SECONDS:
            return sample, working[-1]
    warm = next((sample for sample in working if _is_warm(sample, samples[0], shape)), None)
    for begin in (warm, *working[:1]):
        if begin and working[-1].at - begin.at >= SHORTEST_SECONDS:
            return begin, working[-1]
    raise ValueError(
        f"{shape.name}: this machine reads {shape.backlog:,} trades, warm-up included, in less than "
        f"{SHORTEST_SECONDS:g} s, too fast to be measured; the shape needs more trades"
    )
