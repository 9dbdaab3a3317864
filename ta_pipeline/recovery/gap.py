"""Records that the job computed and wrote, and that Kafka aborted before they were committed: lost to every reader.

A checkpoint that is complete has its transactions pre-committed; a job that comes back after their timeout finds them
aborted, says so in its log, and goes on behind them. The records are still in the log, unseen by readers of committed
records. They are given out again as they are: same key, same bytes, same partition.

An aborted record alone says nothing: a job that fails aborts what it had open, and computes it again. It is lost when
no record of its key, in its revision or a newer one, is committed, and the job is well past the point at which it was
computed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer

from ta_pipeline.decode import OutputDecoder, epoch_ms
from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.settings import Settings
from ta_pipeline.topic_ranges import Retained, retained_records

TIMEOUT_SECONDS = 30.0
_BATCH = 10_000

Key = tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """One record of a final topic, committed or not.

    Attributes:
        record: as it lies in the topic.
        key: what it is about.
        revision: of it; 0 where there are none.
        event_ms: the end of its window, or the event time of a record that came too late; None: it has none.
        computed_ms: when the job gave it out.
    """

    record: Retained
    key: Key
    revision: int
    event_ms: int | None
    computed_ms: int


@dataclass(frozen=True)
class Gap:
    """What a search found.

    Attributes:
        lost: in the order of their topics.
        undecided: aborted records that the job may still compute again.
        aborted: aborted records in all.
    """

    lost: Sequence[Written]
    undecided: int
    aborted: int

    @property
    def by_topic(self) -> dict[str, int]:
        """How many are lost, by topic."""
        counts: dict[str, int] = {}
        for one in self.lost:
            counts[one.record.topic] = counts.get(one.record.topic, 0) + 1
        return counts

    @property
    def extent_ms(self) -> tuple[int, int] | None:
        """Event times of the first and the last that is lost; None: none is."""
        times = [one.event_ms for one in self.lost if one.event_ms is not None]
        return (min(times), max(times)) if times else None


def lost_of(committed: Iterable[Written], aborted: Iterable[Written], margin_ms: int | None) -> Gap:
    """Which aborted records are lost; pure.

    Args:
        committed: what readers see.
        aborted: what they do not, in the order of the log.
        margin_ms: of event time, by which the job has to be past the point where it computed a record: it would have
            computed it again by then. None: it is through with all its inputs.
    """
    revisions: dict[Key, int] = {}
    newest_ms = 0
    seen = list(committed)
    for one in seen:
        revisions[one.key] = max(one.revision, revisions.get(one.key, -1))
        newest_ms = max(newest_ms, one.event_ms or 0)
    missing = list(aborted)
    reached = _Reached([*seen, *missing])
    # Aborted twice, the newer one counts.
    found: dict[tuple[Key, int], Written] = {}
    undecided = 0
    for one in missing:
        if one.revision <= revisions.get(one.key, -1):
            continue
        if margin_ms is not None and reached.at(one.computed_ms) + margin_ms >= newest_ms:
            undecided += 1
            continue
        found[one.key, one.revision] = one
    return Gap(list(found.values()), undecided, len(missing))


class _Reached:
    """How far event time was when the job gave something out."""

    def __init__(self, records: Iterable[Written]) -> None:
        self._computed: list[int] = []
        self._newest: list[int] = []
        newest_ms = 0
        for one in sorted(records, key=lambda one: one.computed_ms):
            newest_ms = max(newest_ms, one.event_ms or 0)
            self._computed.append(one.computed_ms)
            self._newest.append(newest_ms)

    def at(self, computed_ms: int) -> int:
        place = bisect_right(self._computed, computed_ms)
        return self._newest[place - 1] if place else 0


def find_gap(settings: Settings, since_ms: int, *, is_settled: bool = False) -> Gap:
    """What is lost of the records that the final topics took from `since_ms` on.

    Args:
        settings: of the deployment.
        since_ms: Kafka's time, epoch milliseconds.
        is_settled: the job is through with all its inputs; see `ta_pipeline.recovery.settled`.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
        BadRecordError: what is on the topics is not what the job writes.
    """
    topics = settings.final_topics
    # First: what becomes stable meanwhile is not judged.
    with closing(Offsets(settings)) as offsets:
        stable = offsets.ends_of(topics)

    def retained(*, committed: bool) -> Iterator[Retained]:
        for record in retained_records(settings, topics, since_ms, committed=committed):
            if record.offset < stable[record.topic, record.partition]:
                yield record

    with OutputDecoder(settings) as decoder:
        seen = [_written(decoder, record) for record in retained(committed=True)]
        places = {_place(one.record) for one in seen}
        unseen = (record for record in retained(committed=False) if _place(record) not in places)
        aborted = [_written(decoder, record) for record in unseen]
    margin_ms = settings.revision_horizon_ms + settings.max_out_of_orderness_ms
    return lost_of(seen, aborted, None if is_settled else margin_ms)


class Refill:
    """Gives lost records out, in one transaction; two at a time fence each other.

    Args:
        settings: of the deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # In front: the job aborts whatever is open under a name that begins with its own prefix.
        name = f"gap-{settings.transactional_id_prefix}"
        options: dict[str, ConfigValue] = {
            "transactional.id": name, "acks": "all", "compression.type": "lz4", "log_level": 0,
        }  # fmt: skip
        self._producer = Producer(client_config(settings, **options))

    def run(self, since_ms: int, *, is_settled: bool = False) -> Gap:
        """Look again, give out what is lost; returns that. See `find_gap`.

        Raises:
            KafkaSetupError: Kafka cannot be reached or refuses: nothing was given out, or all of it.
            BadRecordError: what is on the topics is not what the job writes.
        """
        try:
            # Ends what another one has under way, so that what is found now is still lost when it is given out.
            self._producer.init_transactions(TIMEOUT_SECONDS)
            gap = find_gap(self._settings, since_ms, is_settled=is_settled)
            if gap.lost:
                self._give_out(gap.lost)
        except KafkaException as error:
            raise KafkaSetupError(
                f"Kafka at {self._settings.kafka_bootstrap} did not take the lost records: {error.args[0]}; look again "
                "with `ta recover --gap`"
            ) from None
        return gap

    def _give_out(self, lost: Sequence[Written]) -> None:
        self._producer.begin_transaction()
        for number, one in enumerate(lost, 1):
            record = one.record
            self._producer.produce(record.topic, record.value, key=record.key, partition=record.partition)
            if number % _BATCH == 0:
                self._producer.flush(TIMEOUT_SECONDS)
        self._producer.commit_transaction(TIMEOUT_SECONDS)


def _written(decoder: OutputDecoder, record: Retained) -> Written:
    channel, decoded = decoder.decode(record.topic, record.value)
    computed_ms = epoch_ms(decoded["ingest_ts"])
    if channel in {"bars", "signals"}:
        key = (record.topic, decoded["symbol"], decoded["event_ts"], str(decoded["seq"]))
        return Written(record, key, decoded["revision"], epoch_ms(decoded["event_ts"]), computed_ms)
    return Written(record, (record.topic, decoded["reason"], *_origin(decoded)), 0, None, computed_ms)


def _origin(decoded: Mapping[str, object]) -> Key:
    """The record of an input topic that a late or rejected one is about."""
    return tuple(str(decoded[name]) for name in ("topic", "partition", "offset"))


def _place(record: Retained) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
