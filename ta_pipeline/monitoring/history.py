"""A few counters of the last minutes, so that "three restarts in ten minutes" can be said; kept as JSON by a sensor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

from ta_pipeline.monitoring.flink_source import FlinkStatus
from ta_pipeline.monitoring.kafka_source import KafkaStatus, Unread
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
    lost: int = 0
    """Records that left their topics since the sample before, and were not in ClickHouse then; this one is no counter.
    """


class Position(NamedTuple):
    """How far the table job had come in one partition."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class History:
    """Samples, the oldest first; and, of the newest snapshot in which Kafka answered, where the table job was."""

    samples: tuple[Sample, ...] = ()
    positions: tuple[Position, ...] = ()

    def extended(self, snapshot: StatusSnapshot) -> History:
        """With what `snapshot` says of the job, if it says something; without what is older than `KEPT_MS`."""
        begin_ms = snapshot.at_ms - KEPT_MS
        # One older sample stays: what has changed since then happened within the time.
        older = [sample for sample in self.samples if sample.at_ms <= begin_ms][-1:]
        kept = [*older, *(sample for sample in self.samples if sample.at_ms > begin_ms)]
        flink, kafka = snapshot.flink, snapshot.kafka
        if isinstance(flink, FlinkStatus) and flink.job is not None:
            job = flink.job
            unread = kafka.unread or () if isinstance(kafka, KafkaStatus) else ()
            counters = (job.restarts, job.failed_commits, job.checkpoints.failed)
            kept.append(Sample(snapshot.at_ms, job.id, *counters, _lost(self.positions, unread)))
            # What is not there any more is told as lost once.
            now = tuple(Position(one.topic, one.partition, max(one.committed, one.earliest)) for one in unread)
            return History(tuple(kept[-MOST:]), now or self.positions)
        return History(tuple(kept[-MOST:]), self.positions)

    def lost(self, within_ms: int, now_ms: int) -> int:
        """Records, at most, that ClickHouse will not get: they left their topics within the time."""
        return sum(sample.lost for sample in self.samples if sample.at_ms > now_ms - within_ms)

    def increase(self, counter: Counter, within_ms: int, now_ms: int) -> int:
        """How much a counter has grown within the time; one that fell began anew, at zero."""
        inside = [number for number, sample in enumerate(self.samples) if sample.at_ms > now_ms - within_ms]
        first = max(0, inside[0] - 1) if inside else len(self.samples)
        grown = 0
        for before, after in pairwise(self.samples[first:]):
            was, now = getattr(before, counter), getattr(after, counter)
            grown += now - was if before.job_id == after.job_id and now >= was else now
        return grown

    def to_json(self) -> dict[str, Any]:
        """For a cursor."""
        return {"samples": [tuple(one) for one in self.samples], "positions": [tuple(one) for one in self.positions]}

    @classmethod
    def from_json(cls, found: object) -> Self:
        """From `to_json`.

        Raises:
            ValueError: it is something else.
        """
        try:
            samples, positions = found["samples"], found["positions"]  # type: ignore[index]
            return cls(tuple(Sample(*one) for one in samples), tuple(Position(*one) for one in positions))
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a history: {error!r}") from None


def _lost(positions: Iterable[Position], unread: Iterable[Unread]) -> int:
    """Offsets that are gone, and were still to be read the last time."""
    before = {(one.topic, one.partition): one.offset for one in positions}
    return sum(max(0, one.earliest - before.get((one.topic, one.partition), one.committed)) for one in unread)
