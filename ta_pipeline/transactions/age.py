"""How old the transaction is that committed readers wait for: the age of the record at which they stand.

That record is the first one of the oldest open transaction of its partition; reading it needs no right that a reader
does not have, and a record of 64 KiB at most.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.monitoring.kafka_source import PartitionEnd
from ta_pipeline.settings import Settings

WAIT_SECONDS = 1.0
_FETCH_BYTES = 65_536


class OpenTransactions:
    """Reads one record of each partition that has an open transaction; keeps its connection."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: Consumer | None = None

    def ages(self, ends: Iterable[PartitionEnd], now_ms: int) -> dict[str, float]:
        """Age in seconds of the oldest open transaction of each topic; 0: none is open.

        A topic is left out when a record that is asked for does not come: what is not known is not told.

        Args:
            ends: where the partitions of the topics end, as the broker said.
            now_ms: the time, epoch milliseconds.
        """
        ends = list(ends)
        waiting = [TopicPartition(end.topic, end.partition, end.stable) for end in ends if end.stable < end.end]
        return ages_of(ends, self._read(waiting) if waiting else {}, now_ms)

    def close(self) -> None:
        """Let go of the broker."""
        if self._consumer is not None:
            self._consumer.close()

    def _connected(self) -> Consumer:
        if self._consumer is not None:
            return self._consumer
        settings = self._settings
        config: dict[str, ConfigValue] = {
            # The prefix: an access rule for the job's group then covers it. Nothing is committed.
            "group.id": f"{settings.group_id}-transactions-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "auto.offset.reset": "error",
            "max.partition.fetch.bytes": _FETCH_BYTES,
            "queued.min.messages": 1,
            "log_level": 0,
        }
        self._consumer = Consumer(client_config(settings, **config))
        return self._consumer

    def _read(self, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
        """When the record at each place was written, epoch milliseconds."""
        found: dict[tuple[str, int], int] = {}
        deadline = time.monotonic() + WAIT_SECONDS
        consumer = self._connected()
        try:
            consumer.assign(places)
            while len(found) < len(places) and (left := deadline - time.monotonic()) > 0:
                message = consumer.poll(left)
                if message is None or message.error() is not None:
                    continue
                place = (str(message.topic()), message.partition() or 0)
                found.setdefault(place, message.timestamp()[1])
            consumer.unassign()
        except KafkaException:
            return {}
        return found


def ages_of(ends: Iterable[PartitionEnd], written_ms: Mapping[tuple[str, int], int], now_ms: int) -> dict[str, float]:
    """Age in seconds by topic, as `OpenTransactions.ages` tells it; pure.

    Args:
        ends: of every partition.
        written_ms: when the record was written at which committed readers stand, where that is known.
        now_ms: the time.
    """
    found: dict[str, float] = {}
    unknown: set[str] = set()
    for end in ends:
        age = 0.0
        if end.stable < end.end:
            written = written_ms.get((end.topic, end.partition))
            if written is None:
                unknown.add(end.topic)
                continue
            age = max(0, now_ms - written) / 1_000
        found[end.topic] = max(age, found.get(end.topic, 0.0))
    return {topic: age for topic, age in found.items() if topic not in unknown}
