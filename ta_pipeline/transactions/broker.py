"""Asks the broker about transactions, and ends one: what librdkafka has no calls for (docs/decisions/0012).

Definition: KIP-664 (ListTransactions, DescribeTransactions, DescribeProducers) and KIP-890 (EndTxn) of Apache Kafka.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from kafka.admin import AbortTransactionSpec, KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, NoError, for_code
from kafka.protocol.consumer import IsolationLevel
from kafka.protocol.metadata import CoordinatorType
from kafka.protocol.producer.transaction import EndTxnRequest
from kafka.structs import TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_admin import broker_config, live_topics
from ta_pipeline.monitoring.kafka_source import is_overdue, open_limit_ms
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.look import (
    ONGOING,
    OPEN,
    Hanging,
    Holder,
    Look,
    PartitionLook,
    Place,
    Transaction,
    holders_of,
)

TIMEOUT_SECONDS = 10.0
ENDED_SECONDS = 15.0
"""Markers are written to every partition of a transaction before it has ended."""
POLL_SECONDS = 0.1
_MAX_TIMEOUT, _ID_EXPIRATION = "transaction.max.timeout.ms", "transactional.id.expiration.ms"
_WITH_NEW_EPOCH, _SAME_EPOCH = 5, 4
"""Versions of EndTxn. The first one, where the cluster has it, keeps a producer that was not dead from going on."""
_FEATURE, _FEATURE_LEVEL = "transaction.version", 2


class TransactionBroker:
    """A connection to the broker; a context manager. Every method raises `KafkaSetupError`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        # Asked first by the other client: it says why it is refused, this one only that it has not got in.
        self._limits = broker_config(self._settings)
        with self._explained("to connect"):
            self._client = _client(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def look(self, now_ms: int) -> Look:
        """Everything that is open, and where committed readers stand.

        Args:
            now_ms: the time, epoch milliseconds.
        """
        limit_ms = open_limit_ms(self._settings)
        with self._explained("to list its transactions"):
            listed = [one for some in self._client.list_transactions().values() for one in some]
        transactions = self._described([one.transactional_id for one in listed if one.state.value in OPEN])
        topics = {place[0] for one in transactions for place in one.partitions if not place[0].startswith("__")}
        found = live_topics(self._settings, sorted({*self._settings.output_topics, *topics}))
        places = [(topic.name, number) for topic in found.values() for number in range(topic.partitions)]
        return Look(
            at_ms=now_ms,
            ids=tuple(sorted({one.transactional_id for one in listed})),
            transactions=tuple(sorted(transactions, key=lambda one: one.start_ms)),
            partitions=self._partitions(places, now_ms - limit_ms),
            open_limit_ms=limit_ms,
            max_timeout_ms=int(self._limits.get(_MAX_TIMEOUT, "900000")),
            id_expiration_ms=int(self._limits.get(_ID_EXPIRATION, "604800000")),
        )

    def abort(self, shown: Transaction) -> None:
        """Abort exactly this transaction, and return when committed readers can go on.

        The broker compares producer id and epoch; the time it began is compared here, right before.
        """
        now = next(iter(self._described([shown.id])), None)
        if now is None or now.identity != shown.identity:
            state = "is over" if now is None else f"is another one, with producer {now.producer_id} epoch {now.epoch}"
            raise KafkaSetupError(f"the transaction of {shown.id} {state} by now: nothing was aborted; look again")
        if now.state != ONGOING:
            raise KafkaSetupError(
                f"the transaction of {shown.id} is in {now.state}: the broker is at ending it, and nothing was done; "
                "when it stays like that, a broker that leads one of its partitions is away"
            )
        with self._explained(f"to abort the transaction of {shown.id}"):
            self._client._manager.run(self._end, now)
        deadline = time.monotonic() + ENDED_SECONDS
        while self._described([shown.id]):
            if time.monotonic() > deadline:
                raise KafkaSetupError(
                    f"the broker took the abort of {shown.id}, and has not ended it within {ENDED_SECONDS:g} s; "
                    "look again"
                )
            time.sleep(POLL_SECONDS)

    def abort_hanging(self, shown: Hanging) -> None:
        """Write the end of a transaction that no coordinator knows into its partition: KIP-664's abort.

        The partition's leader compares producer id and epoch; the offset it began at is compared here, right before.
        """
        place = TopicPartition(shown.topic, shown.partition)
        with self._explained("to list its transactions"):
            listed = [one for some in self._client.list_transactions().values() for one in some]
            producers = self._client.describe_producers([place])[place].active_producers
        if any(one.producer_id == shown.holder.producer_id and one.state.value in OPEN for one in listed):
            raise KafkaSetupError(f"{shown}: a coordinator knows it by now; nothing was aborted, look again")
        if shown.holder.identity not in {one.identity for one in map(_holder, producers)}:
            raise KafkaSetupError(f"{shown}: it is over by now, or another one; nothing was aborted, look again")
        with self._explained(f"to abort what hangs in {shown.place}"):
            self._client.abort_transaction(AbortTransactionSpec(place, shown.holder.producer_id, shown.holder.epoch))

    async def _end(self, transaction: Transaction) -> None:
        # The client has this call for its own producers only.
        client = self._client
        features = await client._async_describe_features()
        level = features.get(_FEATURE, {}).get("finalized", (0, 0))[1]
        coordinators = await client._find_coordinator_ids([transaction.id], key_type=CoordinatorType.TRANSACTION)
        request = EndTxnRequest(
            transactional_id=transaction.id,
            producer_id=transaction.producer_id,
            producer_epoch=transaction.epoch,
            committed=False,
            max_version=_WITH_NEW_EPOCH if level >= _FEATURE_LEVEL else _SAME_EPOCH,
        )
        response = await client._manager.send(request, node_id=coordinators[transaction.id])
        error = for_code(response.error_code)
        if error is not NoError:
            raise error

    def _described(self, ids: Sequence[str]) -> list[Transaction]:
        """Those of `ids` that are open."""
        with self._explained("to describe its transactions"):
            found = self._client.describe_transactions(ids)
        return [
            Transaction(
                name,
                one.producer_id,
                one.producer_epoch,
                one.state.value,
                one.transaction_timeout_ms,
                one.transaction_start_time_ms,
                tuple(sorted((place.topic, place.partition) for place in one.topic_partitions)),
            )
            for name, one in found.items()
            if one.state.value in OPEN
        ]

    def _partitions(self, places: Iterable[Place], young_ms: int) -> tuple[PartitionLook, ...]:
        asked = [TopicPartition(*place) for place in sorted(places)]
        with self._explained("to say where its partitions end"):
            # Holders first: one that has ended meanwhile is then no holder of an offset that nobody holds.
            producers = self._client.describe_producers(asked)
            young = self._offsets(asked, young_ms)
            stable = self._offsets(asked, OffsetSpec.LATEST, IsolationLevel.READ_COMMITTED)
            ends = self._offsets(asked, OffsetSpec.LATEST)
        return tuple(
            PartitionLook(
                place.topic,
                place.partition,
                ends[place].offset,
                stable[place].offset,
                is_overdue(ends[place].offset, stable[place].offset, young[place].offset),
                holders_of(map(_holder, producers[place].active_producers)),
            )
            for place in asked
        )

    def _offsets(
        self, asked: list[TopicPartition], what: Any, level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED
    ) -> Any:
        return self._client.list_partition_offsets(dict.fromkeys(asked, what), isolation_level=level)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            said = self._settings.without_secrets(str(error) or type(error).__name__)
            raise KafkaSetupError(
                f"Kafka at {self._settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP) was asked {what}, and did not: {said}"
            ) from None


def _holder(found: Any) -> Holder:
    return Holder(found.producer_id, found.producer_epoch, found.current_transaction_start_offset, found.last_timestamp)


def _client(settings: Settings) -> Any:
    # What goes wrong comes back as an exception; and at DEBUG it writes its configuration, password included.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    config: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "security_protocol": settings.kafka_security,
        "bootstrap_timeout_ms": int(TIMEOUT_SECONDS * 1_000),
        "request_timeout_ms": int(TIMEOUT_SECONDS * 1_000),
    }
    if settings.kafka_ca_file:
        config["ssl_cafile"] = settings.kafka_ca_file
    if settings.kafka_security.startswith("SASL"):
        config["sasl_mechanism"] = settings.kafka_sasl_mech
        config["sasl_plain_username"] = settings.kafka_username
        config["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return KafkaAdminClient(**config)
