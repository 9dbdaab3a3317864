"""End offsets of topics: what was committed until now, and whether something has come since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_ends import ends_of, offsets_at
from ta_pipeline.kafka_groups import Group
from ta_pipeline.kafka_refusals import ask, client_with
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 10.0


class Offsets:
    """Asks one broker for end offsets, again and again; to be closed."""

    def __init__(self, settings: Settings) -> None:
        options: dict[str, ConfigValue] = {
            "group.id": f"{settings.group_id}-offsets", "enable.auto.commit": False,
            # The end is the last stable offset, behind which nothing is visible to a reader.
            "isolation.level": "read_committed",
        }  # fmt: skip
        self._settings = settings
        self._where = settings.kafka_bootstrap
        self._consumer, self._refusals = client_with(settings, Consumer, **options)
        self._groups: dict[str, Group] = {}
        """By group: a group's positions are asked for in its name."""

    def ends(self, topics: Iterable[str]) -> dict[str, int]:
        """The sum of the end offsets of each topic's partitions.

        Raises:
            KafkaSetupError: the broker cannot be reached, or a topic does not exist.
        """
        return {topic: sum(self._end(one) for one in self._partitions(topic)) for topic in topics}

    def at(self, topics: Iterable[str], at_ms: int) -> dict[str, int]:
        """The sum of the offsets each topic's partitions had reached at a time; epoch milliseconds.

        Raises:
            KafkaSetupError: the broker cannot be reached, or a topic does not exist.
        """
        return {topic: sum(self._at(one, at_ms) for one in self._partitions(topic)) for topic in topics}

    def ends_of(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The end offset of each partition.

        Raises:
            KafkaSetupError: the broker cannot be reached, or a topic does not exist.
        """
        return {(one.topic, one.partition): self._end(one) for topic in topics for one in self._partitions(topic)}

    def left_of(self, group_id: str, ends: Mapping[tuple[str, int], int]) -> int:
        """How many offsets a consumer group has committed too few of to be at `ends`.

        Raises:
            KafkaSetupError: the broker cannot be reached.
        """
        if group_id not in self._groups:
            self._groups[group_id] = Group(self._settings, group_id)
        found = self._groups[group_id].committed([TopicPartition(*place) for place in ends], TIMEOUT_SECONDS)
        return sum(max(0, ends[one.topic, one.partition] - max(one.offset, 0)) for one in found)

    def close(self) -> None:
        """Let go of the broker."""
        for one in (self._consumer, *self._groups.values()):
            one.close()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        found = ask(
            self._consumer, self._refusals, lambda seconds: self._consumer.list_topics(topic, timeout=seconds),
            TIMEOUT_SECONDS,
        ).topics[topic]  # fmt: skip
        if found.error is not None:
            raise KafkaSetupError(f"topic {topic} at {self._where}: {self._refusals.explain(found.error)}")
        return [TopicPartition(topic, number) for number in found.partitions]

    def _at(self, partition: TopicPartition, at_ms: int) -> int:
        asked = TopicPartition(partition.topic, partition.partition, at_ms)
        (found,) = offsets_at(self._consumer, self._refusals, [asked], TIMEOUT_SECONDS)
        # Nothing was written since: the place is the end.
        return int(found.offset) if found.offset >= 0 else self._end(partition)

    def _end(self, partition: TopicPartition) -> int:
        return ends_of(self._consumer, self._refusals, partition, TIMEOUT_SECONDS)[1]
