"""A few counters of the last minutes, so that "three restarts in ten minutes" can be said; kept as JSON by a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, Self

from ta_pipeline.monitoring.flink_source import FlinkStatus
from ta_pipeline.monitoring.snapshot import StatusSnapshot

KEPT_MS = 600_000
"""The longest time any verdict looks back."""
MOST = 120
"""Samples: ten minutes of one every five seconds, the shortest time between two ticks of a sensor."""

Counter = Literal["restarts", "failed_commits", "failed_checkpoints"]


class Sample(NamedTuple):
    """Counters of the job at one time; each begins at zero with a new job."""

    at_ms: int
    job_id: str
    restarts: int
    failed_commits: int
    failed_checkpoints: int


@dataclass(frozen=True)
class History:
    """Samples, the oldest first."""

    samples: tuple[Sample, ...] = ()

    def extended(self, snapshot: StatusSnapshot) -> History:
        """With what `snapshot` says of the job, if it says something; without what is older than `KEPT_MS`."""
        begin_ms = snapshot.at_ms - KEPT_MS
        # One older sample stays: what has changed since then happened within the time.
        older = [sample for sample in self.samples if sample.at_ms <= begin_ms][-1:]
        kept = [*older, *(sample for sample in self.samples if sample.at_ms > begin_ms)]
        flink = snapshot.flink
        if isinstance(flink, FlinkStatus) and flink.job is not None:
            job = flink.job
            kept.append(Sample(snapshot.at_ms, job.id, job.restarts, job.failed_commits, job.checkpoints.failed))
        return History(tuple(kept[-MOST:]))

    def increase(self, counter: Counter, within_ms: int, now_ms: int) -> int:
        """How much a counter has grown within the time; one that fell began anew, at zero."""
        inside = [number for number, sample in enumerate(self.samples) if sample.at_ms > now_ms - within_ms]
        first = max(0, inside[0] - 1) if inside else len(self.samples)
        grown = 0
        for before, after in pairwise(self.samples[first:]):
            was, now = getattr(before, counter), getattr(after, counter)
            grown += now - was if before.job_id == after.job_id and now >= was else now
        return grown

    def to_json(self) -> list[tuple[int | str, ...]]:
        """For a cursor."""
        return [tuple(sample) for sample in self.samples]

    @classmethod
    def from_json(cls, found: object) -> Self:
        """From `to_json`.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(found, list):
            raise ValueError(f"a history is a list, got {type(found).__name__}")  # noqa: TRY004 - one kind of error
        try:
            return cls(tuple(Sample(*item) for item in found))
        except TypeError as error:
            raise ValueError(f"not the samples of a history: {error}") from None
