"""End offsets of topics: what was committed until now, and whether something has come since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_refusals import Refusals, ask, client_with
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
        self._members: dict[str, tuple[Consumer, Refusals]] = {}
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
        if group_id not in self._members:
            options: dict[str, ConfigValue] = {"group.id": group_id}
            self._members[group_id] = client_with(self._settings, Consumer, **options)
        member, refusals = self._members[group_id]
        places = [TopicPartition(*place) for place in ends]
        found = ask(member, refusals, lambda seconds: member.committed(places, timeout=seconds), TIMEOUT_SECONDS)
        return sum(max(0, ends[one.topic, one.partition] - max(one.offset, 0)) for one in found)

    def close(self) -> None:
        """Let go of the broker."""
        for consumer in (self._consumer, *(member for member, _ in self._members.values())):
            consumer.close()

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
        with self._explained(partition.topic):
            (found,) = self._consumer.offsets_for_times([asked], timeout=TIMEOUT_SECONDS)
        # Nothing was written since: the place is the end.
        return int(found.offset) if found.offset >= 0 else self._end(partition)

    def _end(self, partition: TopicPartition) -> int:
        with self._explained(partition.topic):
            found = self._consumer.get_watermark_offsets(partition, timeout=TIMEOUT_SECONDS)
        if found is None:
            raise KafkaSetupError(
                f"Kafka at {self._where} did not give the end of {partition.topic}[{partition.partition}] within "
                f"{TIMEOUT_SECONDS:g} s"
            )
        return int(found[1])

    @contextmanager
    def _explained(self, topic: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            reason = self._refusals.explain(error.args[0])
            raise KafkaSetupError(f"the end of {topic} is not known: {reason}") from None
