"""End offsets of topics: what was committed until now, and whether something has come since."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 10.0


class Offsets:
    """Asks one broker for end offsets, again and again; to be closed."""

    def __init__(self, settings: Settings) -> None:
        options: dict[str, ConfigValue] = {
            "group.id": f"{settings.group_id}-offsets", "enable.auto.commit": False, "log_level": 0,
            # The end is the last stable offset, behind which nothing is visible to a reader.
            "isolation.level": "read_committed",
        }  # fmt: skip
        self._where = settings.kafka_bootstrap
        self._consumer = Consumer(client_config(settings, **options))

    def ends(self, topics: Iterable[str]) -> dict[str, int]:
        """The sum of the end offsets of each topic's partitions.

        Raises:
            KafkaSetupError: the broker cannot be reached, or a topic does not exist.
        """
        return {topic: self._end(topic) for topic in topics}

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _end(self, topic: str) -> int:
        try:
            found = self._consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
            if found.error is not None:
                raise KafkaSetupError(f"topic {topic} at {self._where}: {found.error}")
            return sum(
                int(self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_SECONDS)[1])
                for number in found.partitions
            )
        except KafkaException as error:
            raise KafkaSetupError(f"Kafka at {self._where} did not give the end of {topic}: {error.args[0]}") from None
