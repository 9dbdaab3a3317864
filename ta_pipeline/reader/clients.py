"""The consumers of a reader, and what has to hold of the topics before they read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.kafka_refusals import Refusals, ask, require_visible
from ta_pipeline.reader.connection import INTERVAL_MS, Connection
from ta_pipeline.settings import Settings

OnCommit = Callable[[KafkaError | None, list[TopicPartition]], None]


def consumer_of(
    settings: Settings, refusals: Refusals, *, isolation: str, group: str, on_commit: OnCommit
) -> tuple[Consumer, Connection]:
    """A consumer that commits when it is told to and says when records are lost; and whether Kafka answers it.

    Args:
        settings: how to reach Kafka.
        refusals: told what the client is told.
        isolation: read_committed or read_uncommitted.
        group: its group.
        on_commit: told what became of a commit that was not waited for.

    Raises:
        SettingsError: `TA_KAFKA_CA_FILE` cannot be read.
    """
    connection = Connection()
    config: dict[str, ConfigValue] = {
        "group.id": group,
        "isolation.level": isolation,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        # Bars and signals of one partition number go to the same reader.
        "partition.assignment.strategy": "range",
        # A reader that was killed is missed after this long.
        "session.timeout.ms": 10_000,
        "socket.timeout.ms": 10_000,
        "statistics.interval.ms": INTERVAL_MS,
        # Records that wait in the client, in KiB: the default is 64 MiB for each partition.
        "queued.max.messages.kbytes": 8_192,
        "log_level": 0,
    }

    def measured(statistics: str) -> None:
        connection.take(statistics, time.time())

    callbacks = {"error_cb": refusals, "stats_cb": measured, "on_commit": on_commit}
    return Consumer({**client_config(settings, **config), **callbacks}), connection


def partitions_of(
    settings: Settings, asker: Consumer, refusals: Refusals, topics: Sequence[str], timeout_seconds: float
) -> dict[str, list[int]]:
    """The partitions of each topic.

    Raises:
        KafkaSetupError: a topic does not exist, or Kafka cannot be reached or refuses.
    """
    present = ask(asker, refusals, lambda seconds: asker.list_topics(timeout=seconds), timeout_seconds).topics
    if missing := sorted({topic for topic in topics if topic not in present}):
        require_visible(settings, missing, timeout_seconds)
        raise KafkaSetupError(
            f"no such topic at {settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP): {', '.join(missing)}; the "
            "names are settings (TA_*_TOPIC)"
        )
    return {topic: sorted(present[topic].partitions) for topic in topics}


def require_same_partitions(partitions: Mapping[str, list[int]]) -> None:
    """Refuse topics that a group could not share by symbol; pure.

    Raises:
        KafkaSetupError: they differ in their number of partitions.
    """
    if len({len(numbers) for numbers in partitions.values()}) > 1:
        counts = ", ".join(f"{topic} {len(numbers)}" for topic, numbers in partitions.items())
        raise KafkaSetupError(
            f"readers of a group share the symbols by partition, but the topics differ in theirs: {counts}; give "
            "them the same number, or read without a group"
        )
