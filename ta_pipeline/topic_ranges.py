"""Records of topics as Kafka retains them: from a time on to the end of the log as it is when it is reached."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_ends import offsets_at
from ta_pipeline.kafka_refusals import Refusals, ask, client_with, require_visible
from ta_pipeline.settings import Settings

_TIMEOUT_SECONDS = 15.0
_BATCH = 5_000

Progress = Callable[[int], None]
"""Told how many records have been read."""


class Retained(NamedTuple):
    """One record as it lies in its topic."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


def retained_records(
    settings: Settings,
    topics: Sequence[str],
    start_ms: int,
    progress: Progress = lambda _read: None,
    *,
    committed: bool = True,
) -> Iterator[Retained]:
    """Every record from `start_ms` on to the end of each partition as it is when it is reached.

    Args:
        settings: how to reach Kafka.
        topics: what to read.
        start_ms: when Kafka took the first one, epoch milliseconds.
        progress: called often.
        committed: leave out what is of an aborted transaction, or behind one that is open.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
    """
    config: dict[str, ConfigValue] = {
        "group.id": f"{settings.group_id}-replay-{uuid.uuid4().hex}",
        "enable.auto.commit": False,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
    }
    consumer, refusals = client_with(settings, Consumer, **config)
    count = 0
    try:
        places = partitions_of(consumer, refusals, settings, topics)
        times = [TopicPartition(*place, start_ms) for place in places]
        consumer.assign(offsets_at(consumer, refusals, times, _TIMEOUT_SECONDS))
        left = set(places)
        while left:
            for message in consumer.consume(_BATCH, timeout=1.0):
                topic, partition, error = message.topic(), message.partition(), message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaSetupError(f"the topics could not be read: {refusals.explain(error)}")
                if topic is None or partition is None or error is not None:
                    left.discard((str(topic), partition if partition is not None else -1))
                    continue
                count += 1
                key, value, offset = message.key(), message.value(), message.offset()
                if key is not None and value is not None and offset is not None:
                    content = value if isinstance(value, bytes) else value.encode()
                    yield Retained(topic, partition, offset, _decoded(key), content)
            progress(count)
    except KafkaException as error:
        raise KafkaSetupError(f"the topics could not be read: {refusals.explain(error.args[0])}") from None
    finally:
        consumer.close()


def partitions_of(
    consumer: Consumer, refusals: Refusals, settings: Settings, topics: Sequence[str]
) -> list[tuple[str, int]]:
    """Topic and number of each partition of these topics, in their order.

    Raises:
        KafkaSetupError: a topic is missing or may not be seen, or Kafka cannot be reached or refuses.
    """
    # The list of all topics: asking for one by name would create it where the broker does that.
    present = ask(consumer, refusals, lambda seconds: consumer.list_topics(timeout=seconds), _TIMEOUT_SECONDS).topics
    missing = sorted(set(topics) - set(present))
    if missing:
        require_visible(settings, missing, _TIMEOUT_SECONDS)
        raise KafkaSetupError(f"no such topic at {settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP): {', '.join(missing)}")
    return [(topic, partition) for topic in topics for partition in sorted(present[topic].partitions)]


def _decoded(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.decode("utf-8", "replace")
