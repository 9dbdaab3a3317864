"""What Kafka still has: how far back the inputs go, and what the output topics hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ta_pipeline.decode import OutputDecoder, head_of
from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_ends import ends_of
from ta_pipeline.kafka_refusals import Refusals, client_with
from ta_pipeline.settings import Settings
from ta_pipeline.signals.published import Published
from ta_pipeline.topic_ranges import partitions_of, retained_records

Asking = tuple[Consumer, Refusals]

TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True)
class Extent:
    """One partition of a topic, as far as it is retained.

    Attributes:
        topic: its name.
        partition: its number.
        first: offset of the oldest record.
        end: offset behind the newest one.
        stable: offset a reader of committed records gets to: it stops at the oldest open transaction.
        first_ms: when Kafka took the oldest one, epoch milliseconds; None: the partition is empty.
    """

    topic: str
    partition: int
    first: int
    end: int
    stable: int
    first_ms: int | None

    @property
    def hidden(self) -> int:
        """Offsets behind an open transaction."""
        return self.end - self.stable


def extents(settings: Settings, topics: Sequence[str]) -> list[Extent]:
    """Where each partition of these topics begins and ends.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
    """
    with (
        _consumer(settings, "read_uncommitted") as everything,
        _consumer(settings, "read_committed") as committed,
    ):
        try:
            places = partitions_of(*everything, settings, topics)
            return [_extent(everything, committed, TopicPartition(*place)) for place in places]
        except KafkaException as error:
            reason = everything[1].explain(error.args[0])
            raise KafkaSetupError(f"what the topics retain is not known: {reason}") from None


def published_since(settings: Settings, since_ms: int) -> Published:
    """What the final topics hold that Kafka took from `since_ms` on, epoch milliseconds; committed records only.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
        BadRecordError: what is on the topics is not what the job writes.
    """
    published = Published(settings.revision_horizon_ms)
    with OutputDecoder(settings) as decoder:
        for record in retained_records(settings, settings.final_topics, since_ms):
            channel, decoded = decoder.decode(record.topic, record.value)
            if channel in {"bars", "signals"}:
                known = head_of(decoded)
                if channel == "bars":
                    published.add_bar(known.symbol, known.event_ms, known.revision)
                else:
                    published.add_signal(known.symbol, known.size, known.event_ms, known.revision)
            elif decoded["topic"] is not None:
                published.add_place(channel, decoded["topic"], decoded["partition"], decoded["offset"])
    return published


def _extent(everything: Asking, committed: Asking, place: TopicPartition) -> Extent:
    first, end = ends_of(*everything, place, TIMEOUT_SECONDS)
    _, stable = ends_of(*committed, place, TIMEOUT_SECONDS)
    first_ms: int | None = None
    if end > first:
        consumer, _ = everything
        consumer.assign([TopicPartition(place.topic, place.partition, first)])
        message = consumer.poll(TIMEOUT_SECONDS)
        consumer.unassign()
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        error = message.error()
        if error is None:
            first_ms = message.timestamp()[1]
        elif error.code() != KafkaError._PARTITION_EOF:  # the markers of transactions take offsets, and are no records
            raise KafkaException(error)
    return Extent(place.topic, place.partition, first, end, stable, first_ms)


@contextmanager
def _consumer(settings: Settings, isolation: str) -> Iterator[Asking]:
    config: dict[str, ConfigValue] = {
        "group.id": f"{settings.group_id}-recover", "enable.auto.commit": False, "isolation.level": isolation,
        "auto.offset.reset": "earliest", "enable.partition.eof": True,
    }  # fmt: skip
    consumer, refusals = client_with(settings, Consumer, **config)
    try:
        yield consumer, refusals
    finally:
        consumer.close()
