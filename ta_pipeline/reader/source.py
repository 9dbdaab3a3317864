"""Records of live and final topics from Kafka, as they come, with the partitions they belong to.

There are two consumers, because isolation belongs to a consumer: finals are read `read_committed`, live signals are
not. In a group, Kafka gives out the partitions of the final topics; live signals of a symbol are on the partition of
the same number, so the live consumer reads what the other one was given, and is in no group itself.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_refusals import Refusals, advice, client_with
from ta_pipeline.reader.clients import consumer_of, partitions_of, require_same_partitions
from ta_pipeline.reader.connection import Connection
from ta_pipeline.reader.events import RecordsLost
from ta_pipeline.reader.positions import Beginning, Place, Positions, Start
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 15.0
EVERYTHING = 0
"""The share of a reader that is in no group."""
_BATCH = 500
_WAIT_SECONDS = 0.02
_GATHER_SECONDS = 0.005
"""While records flow, so much is let pass before the next are fetched: a batch costs as much as ten records."""
_COMMIT_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_GIVE_UP = {
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION,
}  # fmt: skip


class Arrival(NamedTuple):
    """One record as it came; `is_told` is False for what was handed out before."""

    share: int
    topic: str
    partition: int
    offset: int
    value: bytes | None
    is_told: bool


@dataclass(frozen=True)
class Plan:
    """What is read.

    `symbols`: empty means all. `known_ms`: what was written so long before the start is read, but not handed out.
    """

    finals: tuple[str, ...]
    live: str | None
    symbols: frozenset[str]
    start: Start
    group: str | None
    known_ms: int


class Listener(Protocol):
    """Told when the group changes what is read."""

    def assigned(self, shares: tuple[int, ...]) -> None:
        """These are read from here on."""

    def revoked(self, shares: tuple[int, ...]) -> None:
        """These are not read any more."""


class Source:
    """Reads by a plan; where "latest" is, is settled when the constructor returns, or the group has given partitions.

    Args:
        settings: how to reach Kafka.
        plan: what to read.
        listener: told what the group does.
        clock: epoch milliseconds.

    Raises:
        KafkaSetupError: a topic does not exist, Kafka cannot be reached or refuses, or the topics of a group differ in
            their partitions.
    """

    def __init__(self, settings: Settings, plan: Plan, listener: Listener, clock: Callable[[], int]) -> None:
        self._settings, self._plan, self._listener, self._clock = settings, plan, listener, clock
        self.lost: deque[RecordsLost] = deque()
        self._next: dict[Place, int] = {}
        self._told_from: dict[Place, int] = {}
        self._handed: dict[Place, int] = {}
        self._committed_at = time.monotonic()
        self._is_flowing = False
        self._unplaced: list[Place] = []
        self._place_at = 0.0
        self._keys = frozenset(symbol.encode() for symbol in plan.symbols)
        # The prefix: an access rule for the job's group then covers its readers.
        self._group_id = f"{settings.group_id}-reader-{plan.group or uuid.uuid4().hex}"
        committed: dict[str, ConfigValue] = {
            "group.id": self._group_id,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
        asker, refusals = client_with(settings, Consumer, **committed)
        self._asker: Consumer = asker
        self._refusals: Refusals = refusals
        self._positions = Positions(asker, refusals, plan.start, plan.known_ms, TIMEOUT_SECONDS)
        self._consumers: list[tuple[Consumer, Connection]] = []
        try:
            topics = [*plan.finals, *([plan.live] if plan.live else [])]
            partitions = partitions_of(settings, asker, refusals, topics, TIMEOUT_SECONDS)
            self._final = self._consumer("read_committed", self._group_id)
            self._live: Consumer | None = None
            if plan.live:
                self._live = self._consumer("read_uncommitted", f"{self._group_id}-live")
            if plan.group is None:
                self._assign_all(partitions)
            else:
                require_same_partitions(partitions)
                self._final.subscribe(
                    list(plan.finals), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
                )
        except BaseException:
            self.close()
            raise

    @property
    def trouble(self) -> str | None:
        """Why nothing may come; None: nothing is wrong."""
        return next((connection.trouble for _, connection in self._consumers if connection.trouble), None)

    def read(self, wait_seconds: float) -> list[Arrival]:
        """What has come; waits at most about so long for the first record.

        Raises:
            KafkaSetupError: reading cannot go on: a topic is gone, or access is refused.
        """
        self._place_again()
        if self._is_flowing:
            time.sleep(min(wait_seconds, _GATHER_SECONDS))
        wait = min(wait_seconds, _WAIT_SECONDS) if self._live is not None else wait_seconds
        found: list[Message] = []
        if self._live is not None:
            found += self._take(self._final, 0.0)
            found += self._take(self._live, 0.0 if found else wait)
        else:
            found += self._take(self._final, wait)
        self._is_flowing = 0 < len(found) < _BATCH
        arrivals = [arrival for message in found if (arrival := self._arrival(message)) is not None]
        self._commit_when_due()
        return arrivals

    def handed_out(self, topic: str, partition: int, next_offset: int) -> None:
        """Everything before this offset was handed out: the group may go on from there."""
        if (topic, partition) in self._next and topic != self._plan.live:
            self._handed[topic, partition] = next_offset

    def close(self) -> None:
        """Commit what was handed out, leave the group, let go of the broker; harmless when done before."""
        self._commit(at_once=True)
        for consumer, _ in self._consumers:
            consumer.close()
        self._consumers = []
        self._asker.close()

    def _consumer(self, isolation: str, group: str) -> Consumer:
        client, connection = consumer_of(self._settings, self._refusals, isolation=isolation, group=group)
        self._consumers.append((client, connection))
        return client

    def _assign_all(self, partitions: Mapping[str, list[int]]) -> None:
        live = {(topic, number) for topic in partitions if topic == self._plan.live for number in partitions[topic]}
        places = [(topic, number) for topic, numbers in partitions.items() for number in numbers]
        finals = [place for place in places if place not in live]
        self._begin(self._final, self._positions.of(finals, {}, self._clock()))
        if self._live is not None:
            found = self._positions.of(sorted(live), {}, self._clock(), known_before=False)
            self._begin(self._live, found)

    def _begin(self, consumer: Consumer, found: Mapping[Place, Beginning]) -> None:
        for place, where in found.items():
            self._next[place], self._told_from[place] = where.read_from, where.told_from
            if where.lost is not None:
                self.lost.append(where.lost)
        consumer.assign([TopicPartition(*place, where.read_from) for place, where in found.items()])

    def _assigned(self, _consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._place([(one.topic, one.partition) for one in partitions])

    def _place(self, places: list[Place]) -> None:
        """Begin on the partitions that the group gave."""
        shares = tuple(sorted({number for _, number in places}))
        finals: dict[Place, Beginning] = {}
        live: dict[Place, Beginning] = {}
        try:
            if places:
                committed = self._positions.committed(places)
                finals = self._positions.of(places, committed, self._clock())
                live = self._live_beginnings(shares, {number for _, number in committed})
        except (KafkaException, KafkaSetupError):
            # Kafka went away between giving partitions and saying where they begin: ask again.
            self._final.assign([])
            self._unplaced, self._place_at = places, time.monotonic() + _RETRY_SECONDS
            return
        self._begin(self._final, finals)
        # Whoever takes over before anything was handed out begins here too.
        self._handed |= self._told_from
        if self._live is not None:
            self._begin(self._live, live)
        self._listener.assigned(shares)

    def _place_again(self) -> None:
        if self._unplaced and time.monotonic() >= self._place_at:
            places, self._unplaced = self._unplaced, []
            self._place(places)

    def _live_beginnings(self, shares: Iterable[int], begun: set[int]) -> dict[Place, Beginning]:
        """Of what another reader has begun, old live signals are of no use: go on with the newest."""
        if self._plan.live is None:
            return {}
        topic, now_ms = self._plan.live, self._clock()
        fresh = [(topic, number) for number in shares if number not in begun]
        taken_over = [(topic, number) for number in shares if number in begun]
        return self._positions.of(fresh, {}, now_ms, known_before=False) | self._positions.ends(taken_over)

    def _revoked(self, _consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._commit(at_once=True)
        self._drop(partitions)

    def _lost(self, _consumer: Consumer, partitions: Iterable[TopicPartition]) -> None:
        self._drop(partitions)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        shares = tuple(sorted({one.partition for one in partitions}))
        self._unplaced = []
        for known in (self._next, self._told_from, self._handed):
            known.clear()
        if self._live is not None:
            self._live.unassign()
        if shares:
            self._listener.revoked(shares)

    def _take(self, consumer: Consumer, wait_seconds: float) -> list[Message]:
        # With a time limit, `consume` would wait until the batch is full.
        first = consumer.poll(wait_seconds)
        return [] if first is None else [first, *consumer.consume(_BATCH, timeout=0)]

    def _arrival(self, message: Message) -> Arrival | None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if (error := message.error()) is not None:
            self._failed(error, topic, partition)
            return None
        assert topic is not None and partition is not None and offset is not None  # noqa: S101, PT018 - it has all
        place = (topic, partition)
        if place not in self._next:  # it was revoked while this batch was read
            return None
        self._next[place] = offset + 1
        if self._keys and message.key() not in self._keys:
            return None
        share = EVERYTHING if self._plan.group is None else partition
        return Arrival(share, topic, partition, offset, message.value(), offset >= self._told_from[place])

    def _failed(self, error: KafkaError, topic: str | None, partition: int | None) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and partition is not None:
            self._skip_what_is_gone((topic, partition))
        elif error.fatal() or error.code() in _GIVE_UP:
            where = f"{self._settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP, {self._settings.kafka_security})"
            raise KafkaSetupError(
                f"Kafka at {where} does not let us read: {error.str()}{advice(self._settings, error)}"
            )
        else:
            self._refusals(error)

    def _skip_what_is_gone(self, place: Place) -> None:
        wanted = self._next.get(place)
        if wanted is None:
            return
        first = self._positions.first(place)
        self.lost.append(RecordsLost(*place, wanted, first))
        self._next[place] = self._told_from[place] = first
        consumer = self._live if self._live is not None and place[0] == self._plan.live else self._final
        consumer.seek(TopicPartition(*place, first))

    def _commit_when_due(self) -> None:
        if self._plan.group is not None and time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit(at_once=False)

    def _commit(self, *, at_once: bool) -> None:
        self._committed_at = time.monotonic()
        if self._plan.group is None or not self._handed or not self._consumers:
            return
        offsets = [TopicPartition(*place, offset) for place, offset in self._handed.items()]
        self._handed = {}
        try:
            if at_once:
                self._final.commit(offsets=offsets, asynchronous=False)
            else:
                self._final.commit(offsets=offsets)
        except KafkaException as error:
            # Whoever goes on from an older position reads what it knows already.
            self._refusals(error.args[0])
