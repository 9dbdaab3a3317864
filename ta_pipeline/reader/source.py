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
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue
from ta_pipeline.kafka_refusals import Refusals, advice, client_with
from ta_pipeline.reader.clients import consumer_of, partitions_of, require_same_partitions
from ta_pipeline.reader.connection import Connection
from ta_pipeline.reader.events import RecordsLost
from ta_pipeline.reader.positions import Beginning, Place, Positions, Start, told
from ta_pipeline.reader.progress import Arrival, Progress
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 15.0
EVERYTHING = 0
"""The share of a reader that is in no group."""
_BATCH = 500
_WAIT_SECONDS = 0.02
_LONGEST_SECONDS = 0.1
"""No wait is longer: what else is to be told is looked at after it."""
_GATHER_SECONDS = 0.005
"""While records flow, so much is let pass before the next are fetched: a batch costs as much as ten records."""
_COMMIT_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_GIVE_UP = {
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION,
}  # fmt: skip


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
    """Told when the group changes what is read, and asked how far it is."""

    def assigned(self, shares: tuple[int, ...]) -> None:
        """These are read from here on."""

    def revoked(self, shares: tuple[int, ...]) -> None:
        """These are not read any more."""

    def not_dealt_with(self) -> Iterable[Arrival]:
        """What was taken from `Source.arrived`, and somebody is at it still, or not yet."""


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
        self.arrived: list[Arrival] = []
        """What has come: whoever has taken in a record removes it."""
        self._progress = Progress()
        self._gone: set[Place] = set()
        self._skip_at = 0.0
        self._failure: KafkaSetupError | None = None
        self._is_paused = False
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
        # The second one is in no group, and where nothing is read it asks for nothing.
        judged = self._consumers if self._progress.next else self._consumers[:1]
        return next((connection.trouble for _, connection in judged if connection.trouble), None)

    def read(self, wait_seconds: float) -> None:
        """Wait at most about so long for records, and put them into `arrived`; what came before is dealt with.

        Raises:
            KafkaSetupError: reading cannot go on: a topic is gone, or access is refused.
        """
        self._raise_failure()
        self._keep_up()
        self._pause(False)
        if self._is_flowing:
            time.sleep(min(wait_seconds, _GATHER_SECONDS))
        wait = min(wait_seconds, _WAIT_SECONDS if self._live is not None else _LONGEST_SECONDS)
        live: list[Message] = []
        if self._live is not None:
            finals = self._take(self._final, 0.0)
            live = self._take(self._live, 0.0 if finals else wait)
        else:
            finals = self._take(self._final, wait)
        self._is_flowing = 0 < len(finals) + len(live) < _BATCH
        self._arrive(finals, is_timed=self._plan.group is not None)
        self._arrive(live)
        if not self.arrived:
            self._raise_failure()

    def wait(self, wait_seconds: float) -> None:
        """Let time pass while `arrived` cannot be taken in: nothing is fetched, and the group sees that we live."""
        self._keep_up()
        self._pause(True)
        if self._live is not None:
            self._arrive(self._take(self._live, 0.0))
        finals = self._take(self._final, min(wait_seconds, _LONGEST_SECONDS))
        self._arrive(finals, is_timed=self._plan.group is not None)

    def close(self) -> None:
        """Commit what was dealt with, leave the group, let go of the broker; harmless when done before."""
        self._commit(at_once=True)
        for consumer, _ in self._consumers:
            consumer.close()
        self._consumers = []
        self._asker.close()

    def _consumer(self, isolation: str, group: str) -> Consumer:
        client, connection = consumer_of(
            self._settings, self._refusals, isolation=isolation, group=group, on_commit=self._committed
        )
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
            self._progress.begin(place, where, is_kept=consumer is self._final and self._plan.group is not None)
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
            for _, connection in self._consumers:
                connection.asks()
            return
        for _, connection in self._consumers:
            connection.works()
        self._begin(self._final, finals)
        if self._live is not None:
            self._begin(self._live, live)
        self._listener.assigned(shares)

    def _keep_up(self) -> None:
        """What is to be done between two fetches."""
        if self._unplaced and time.monotonic() >= self._place_at:
            places, self._unplaced = self._unplaced, []
            self._place(places)
        if self._gone and time.monotonic() >= self._skip_at:
            self._skip_what_is_gone()
        if time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit(at_once=False)

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
        # Kafka's client remembers it of a partition that is given back later.
        self._pause(False)
        self._unplaced = []
        self._gone.clear()
        self._progress.clear()
        self.arrived = [arrival for arrival in self.arrived if arrival.share not in shares]
        if self._live is not None:
            self._live.unassign()
        if shares:
            self._listener.revoked(shares)

    def _take(self, consumer: Consumer, wait_seconds: float) -> list[Message]:
        # With a time limit, `consume` would wait until the batch is full.
        first = consumer.poll(wait_seconds)
        return [] if first is None else [first, *consumer.consume(_BATCH, timeout=0)]

    def _pause(self, is_paused: bool) -> None:
        if is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        for consumer, _ in self._consumers:
            if partitions := consumer.assignment():
                (consumer.pause if is_paused else consumer.resume)(partitions)

    def _arrive(self, found: Iterable[Message], *, is_timed: bool = False) -> None:
        """Put it into `arrived`, and only then count it as read: whoever is interrupted in between gets it again."""
        following, told_from, written = self._progress.next, self._progress.told_from, self._progress.written_ms
        arrived, is_group, keys = self.arrived, self._plan.group is not None, self._keys
        for message in found:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if (error := message.error()) is not None:
                self._failed(error, topic, partition)
                continue
            assert topic is not None and partition is not None and offset is not None  # noqa: S101, PT018 - it has all
            place = (topic, partition)
            if place not in following:  # it was revoked while this batch was read
                continue
            if not keys or message.key() in keys:
                share, is_told = partition if is_group else EVERYTHING, offset >= told_from[place]
                arrived.append(Arrival(share, topic, partition, offset, message.value(), is_told, written[place]))
            if is_timed:
                written[place] = message.timestamp()[1]
            following[place] = offset + 1

    def _failed(self, error: KafkaError, topic: str | None, partition: int | None) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET and topic is not None and partition is not None:
            if (topic, partition) in self._progress.next:
                self._gone.add((topic, partition))
        elif error.fatal() or error.code() in _GIVE_UP:
            where = f"{self._settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP, {self._settings.kafka_security})"
            self._failure = KafkaSetupError(
                f"Kafka at {where} does not let us read: {error.str()}{advice(self._settings, error)}"
            )
        else:
            self._refusals(error)

    def _raise_failure(self) -> None:
        """Not before what came with it is handed out."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _skip_what_is_gone(self) -> None:
        """Go on with what is left: the client has stopped reading the partition, so that seeking is refused."""
        try:
            firsts = {place: self._positions.first(place, _RETRY_SECONDS) for place in self._gone}
        except KafkaSetupError:
            self._skip_at = time.monotonic() + _RETRY_SECONDS
            return
        for place, first in firsts.items():
            self.lost.append(RecordsLost(*place, self._progress.next[place], first))
            self._progress.skip(place, first)
        for consumer, is_live in ((self._final, False), (self._live, True)):
            following = self._progress.next.items()
            at = {place: offset for place, offset in following if (place[0] == self._plan.live) == is_live}
            if consumer is not None and at.keys() & firsts.keys():
                # In a group no single partition can be assigned anew.
                consumer.assign([TopicPartition(*place, offset) for place, offset in at.items()])
        self._gone.clear()

    def _commit(self, *, at_once: bool) -> None:
        self._committed_at = time.monotonic()
        if self._plan.group is None or not self._consumers:
            return
        stands = self._progress.to_tell([*self.arrived, *self._listener.not_dealt_with()])
        if not stands:
            return
        offsets = [told(place, stand) for place, stand in stands.items()]
        try:
            if at_once:
                self._committed(None, self._final.commit(offsets=offsets, asynchronous=False))
            else:
                self._final.commit(offsets=offsets)
        except KafkaException as error:
            # Whoever goes on from an older position reads what it knows already.
            self._committed(error.args[0], offsets)
            self._refusals(error.args[0])

    def _committed(self, error: KafkaError | None, offsets: Iterable[TopicPartition]) -> None:
        for one in offsets:
            if error is not None or one.error is not None:
                self._progress.not_taken((one.topic, one.partition), one.offset)
