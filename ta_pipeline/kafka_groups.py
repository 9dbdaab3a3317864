"""Where a consumer group stands, for those who do not join it.

A consumer asks, not the `AdminClient`: in librdkafka 2.16 its `list_consumer_group_offsets` ends the process with a
segmentation fault when the broker it asks is not the group's coordinator, and gives up while the coordinator loads, as
it does when a new broker is asked for the first time. A consumer asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from confluent_kafka import Consumer, TopicPartition

from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_refusals import ask, client_with
from ta_pipeline.settings import Settings


class Group:
    """A consumer group that is looked at from outside; used in a `with` block, or closed."""

    def __init__(self, settings: Settings, group_id: str, **config: ConfigValue) -> None:
        options: dict[str, ConfigValue] = {**config, "group.id": group_id}
        self._client, self._refusals = client_with(settings, Consumer, **options)

    def committed(self, places: Sequence[TopicPartition], timeout_seconds: float) -> list[TopicPartition]:
        """The same places with the offsets that the group goes on from; a negative one was never committed.

        Raises:
            KafkaSetupError: the broker cannot be reached, or does not let us into the group.
        """
        asked = list(places)

        def positions(seconds: float) -> list[TopicPartition]:
            found: list[TopicPartition] = self._client.committed(asked, timeout=seconds)
            return found

        return ask(self._client, self._refusals, positions, timeout_seconds)

    def close(self) -> None:
        """Let go of the broker."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
