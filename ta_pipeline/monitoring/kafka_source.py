"""What the broker says about the topics: where they end, where committed readers stand, when trades last came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 1.0
OPEN_MARGIN_MS = 10_000
"""A transaction lives for a checkpoint interval, the checkpoint, and its commit; twice the interval and this is not
that any more."""

Offsets = Mapping[TopicPartition, "Future[Any]"]


@dataclass(frozen=True)
class PartitionEnd:
    """The end of one partition of an output topic."""

    topic: str
    partition: int
    end: int
    """High watermark: what a reader of everything gets to."""
    stable: int
    """Last stable offset: what a reader of committed records gets to; it stops at the oldest open transaction."""
    overdue: bool
    """That transaction's first record is older than `KafkaStatus.open_limit_ms`."""


@dataclass(frozen=True)
class KafkaStatus:
    """What the broker says."""

    missing: tuple[str, ...]
    """Topics that do not exist."""
    ends: tuple[PartitionEnd, ...]
    """Of every output topic."""
    open_limit_ms: int
    newest_trade_ms: int | None
    """When the newest trade was written, epoch milliseconds; None: there is none."""
    table_lag: int | None
    """Records of the final topics that the table job has not committed yet, transaction markers among them; None: it
    has committed nothing yet, or there is no table path."""


def ask_kafka(settings: Settings, now_ms: int) -> KafkaStatus:
    """Ask the broker.

    Raises:
        KafkaSetupError: it does not answer.
    """
    timeout_ms = int(TIMEOUT_SECONDS * 1_000)
    limits: dict[str, ConfigValue] = {"log_level": 0, "socket.timeout.ms": timeout_ms}
    admin = AdminClient(client_config(settings, **limits, **{"socket.connection.setup.timeout.ms": timeout_ms}))
    limit_ms = open_limit_ms(settings)
    try:
        present = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        wanted = (settings.trades_topic, *settings.output_topics)
        outputs = _partitions(present, settings.output_topics)
        trades = _partitions(present, (settings.trades_topic,))
        # All at once: the answers come while the next question goes out.
        stable = _offsets(admin, outputs, OffsetSpec.latest(), committed=True)  # type: ignore[no-untyped-call]
        ends = _offsets(admin, outputs, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        young = _offsets(admin, outputs, OffsetSpec.for_timestamp(now_ms - limit_ms))
        newest = _offsets(admin, trades, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        group = _group(admin, settings, present)
        found = [
            _end(place, _result(ends[place]).offset, _result(stable[place]).offset, _result(young[place]).offset)
            for place in outputs
        ]
        written = [_result(newest[place]).timestamp for place in trades]
        lag = _lag(_result(group).topic_partitions, found) if group else None
    except KafkaException as error:
        raise KafkaSetupError(
            f"Kafka does not answer at {settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP): {error.args[0].str()}"
        ) from None
    return KafkaStatus(
        missing=tuple(topic for topic in wanted if topic not in present),
        ends=tuple(found),
        open_limit_ms=limit_ms,
        newest_trade_ms=max((ms for ms in written if ms > 0), default=None),
        table_lag=lag,
    )


def open_limit_ms(settings: Settings) -> int:
    """A transaction of the job that is open for longer is not that of a checkpoint any more."""
    return 2 * settings.checkpoint_interval_ms + OPEN_MARGIN_MS


def is_overdue(end: int, stable: int, first_young: int) -> bool:
    """Whether the record at which committed readers stand is older than the limit; pure.

    Args:
        end: high watermark.
        stable: last stable offset.
        first_young: offset of the first record younger than the limit; negative: there is none.
    """
    return stable < end and not 0 <= first_young <= stable


def _end(place: TopicPartition, end: int, stable: int, first_young: int) -> PartitionEnd:
    return PartitionEnd(place.topic, place.partition, end, stable, is_overdue(end, stable, first_young))


def _partitions(present: Mapping[str, Any], topics: Iterable[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number) for topic in topics if topic in present for number in present[topic].partitions
    ]


def _offsets(admin: AdminClient, places: list[TopicPartition], what: Any, *, committed: bool = False) -> Offsets:
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    if not places:
        return {}
    return dict(admin.list_offsets(dict.fromkeys(places, what), isolation_level=level, request_timeout=TIMEOUT_SECONDS))


def _group(admin: AdminClient, settings: Settings, present: Mapping[str, Any]) -> Future[Any] | None:
    """Where the table job's group stands."""
    finals = _partitions(present, (settings.bars_topic, settings.signals_topic))
    if not settings.clickhouse_url or not finals:
        return None
    asked = [ConsumerGroupTopicPartitions(f"{settings.group_id}-table", finals)]
    (future,) = admin.list_consumer_group_offsets(asked, request_timeout=TIMEOUT_SECONDS).values()
    return future


def _lag(committed: Iterable[TopicPartition], ends: Iterable[PartitionEnd]) -> int | None:
    stable = {(end.topic, end.partition): end.stable for end in ends}
    places = list(committed)
    if any(place.offset < 0 for place in places):
        return None
    return sum(max(0, stable[place.topic, place.partition] - place.offset) for place in places)


def _result(future: Future[Any]) -> Any:
    try:
        return future.result(timeout=2 * TIMEOUT_SECONDS)
    except TimeoutError:
        raise KafkaSetupError(f"Kafka does not answer within {2 * TIMEOUT_SECONDS:g} s") from None
