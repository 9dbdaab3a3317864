"""What the broker says about the topics: where they end, where committed readers stand, when trades last came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_admin import declared_topics
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_groups import Group
from ta_pipeline.kafka_refusals import ask, client_with, require_visible
from ta_pipeline.metrics import limits
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 1.0
EXPIRING_SHARE = 0.75
"""Of a record's retention: what is older, and not in the tables, is close to being lost for them."""

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
class Unread:
    """What the table job has not committed yet of one partition of a final topic. All are offsets."""

    topic: str
    partition: int
    committed: int
    """Where the table job goes on."""
    earliest: int
    """The first record that the topic still has."""
    end: int
    """Last stable offset: what there is for it to read."""
    expiring: int
    """Records before this one have spent `EXPIRING_SHARE` of their retention."""

    @property
    def lost(self) -> int:
        """Records, transaction markers among them, that the topic gave up before the table job had them."""
        return max(0, self.earliest - self.committed)

    @property
    def waiting(self) -> int:
        """Records, transaction markers among them, that it can still have."""
        return max(0, self.end - max(self.committed, self.earliest))

    @property
    def is_expiring(self) -> bool:
        """The oldest of them will be gone soon."""
        return self.committed < min(self.expiring, self.end)


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
    unread: tuple[Unread, ...] | None
    """By the table job, of each partition of the final topics; None: it has committed nothing yet, or there is no table
    path."""

    @property
    def table_lag(self) -> int | None:
        """Records of the final topics that the table job has not committed yet, transaction markers among them."""
        return None if self.unread is None else sum(one.waiting for one in self.unread)


def ask_kafka(settings: Settings, now_ms: int) -> KafkaStatus:
    """Ask the broker.

    Raises:
        KafkaSetupError: it does not answer.
    """
    timeout_ms = int(TIMEOUT_SECONDS * 1_000)
    limits: dict[str, ConfigValue] = {
        "socket.timeout.ms": timeout_ms, "socket.connection.setup.timeout.ms": timeout_ms,
    }  # fmt: skip
    admin, refusals = client_with(settings, AdminClient, **limits)
    limit_ms = open_limit_ms(settings)
    present = ask(admin, refusals, lambda seconds: admin.list_topics(timeout=seconds), TIMEOUT_SECONDS).topics
    wanted = (settings.trades_topic, *settings.output_topics)
    missing = tuple(topic for topic in wanted if topic not in present)
    require_visible(settings, missing, TIMEOUT_SECONDS)
    try:
        outputs = _partitions(present, settings.output_topics)
        trades = _partitions(present, (settings.trades_topic,))
        # All at once: the answers come while the next question goes out.
        stable = _offsets(admin, outputs, OffsetSpec.latest(), committed=True)  # type: ignore[no-untyped-call]
        ends = _offsets(admin, outputs, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        young = _offsets(admin, outputs, OffsetSpec.for_timestamp(now_ms - limit_ms))
        newest = _offsets(admin, trades, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        finals = _partitions(present, (settings.bars_topic, settings.signals_topic)) if settings.clickhouse_url else []
        earliest = _offsets(admin, finals, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        kept_ms = {topic.name: topic.retention_ms for topic in declared_topics(settings)}
        expiring = {
            place: future
            for topic in sorted({place.topic for place in finals})
            for place, future in _offsets(
                admin,
                [place for place in finals if place.topic == topic],
                OffsetSpec.for_timestamp(now_ms - int(EXPIRING_SHARE * kept_ms[topic])),
            ).items()
        }
        found = [
            _end(place, _result(ends[place]).offset, _result(stable[place]).offset, _result(young[place]).offset)
            for place in outputs
        ]
        written = [_result(newest[place]).timestamp for place in trades]
        unread = None
        if finals:
            bounds = {
                (place.topic, place.partition): (_result(earliest[place]).offset, _result(expiring[place]).offset)
                for place in finals
            }
            with Group(settings, f"{settings.group_id}-table", **limits) as group:
                unread = _unread(group.committed(finals, TIMEOUT_SECONDS), found, bounds)
    except KafkaException as error:
        raise KafkaSetupError(refusals.explain(error.args[0])) from None
    return KafkaStatus(
        missing=missing,
        ends=tuple(found),
        open_limit_ms=limit_ms,
        newest_trade_ms=max((ms for ms in written if ms > 0), default=None),
        unread=unread,
    )


def open_limit_ms(settings: Settings) -> int:
    """A transaction of the job that is open for longer is not that of a checkpoint any more."""
    return limits.open_transaction_ms(settings.checkpoint_interval_ms)


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


def _unread(
    committed: Iterable[TopicPartition],
    ends: Iterable[PartitionEnd],
    bounds: Mapping[tuple[str, int], tuple[int, int]],
) -> tuple[Unread, ...] | None:
    stable = {(end.topic, end.partition): end.stable for end in ends}
    places = list(committed)
    if any(place.offset < 0 for place in places):
        return None
    found = []
    for place in places:
        key = (place.topic, place.partition)
        earliest, first_younger = bounds[key]
        # Negative: no record is younger.
        expiring = first_younger if first_younger >= 0 else stable[key]
        found.append(Unread(*key, place.offset, earliest, stable[key], expiring))
    return tuple(found)


def _result(future: Future[Any]) -> Any:
    try:
        return future.result(timeout=2 * TIMEOUT_SECONDS)
    except TimeoutError:
        raise KafkaSetupError(f"Kafka does not answer within {2 * TIMEOUT_SECONDS:g} s") from None
