"""Readers of the output topics: final ones see committed records only, the live one sees every record at once.

A reader assigns its partitions itself and commits nothing, so it leaves no consumer group behind and never shares
records with another reader. Partitions added while it runs are not read: start a new one (`has_grown`). A broker that
goes away is waited for (librdkafka reconnects); meanwhile `trouble` says what is wrong.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Literal, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.kafka_ends import ends_of, offsets_at
from ta_pipeline.kafka_refusals import Refusals, advice, ask, require_visible
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 15.0
_BATCH = 1_000
_POLL_SECONDS = 0.1
_TAKEN = 10_000
_QUEUED = 1_000
# Longer than librdkafka waits between two attempts to connect (10 s at most).
_TROUBLE_SECONDS = 15.0

Start = Literal["latest", "earliest"] | int
"""Where to begin: at the end of the log, at its beginning, or at a time in epoch milliseconds."""
Positions = Mapping[tuple[str, int], int]
"""Offset by (topic, partition)."""

_GIVE_UP = {
    KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION,
    KafkaError._AUTO_OFFSET_RESET, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
}  # fmt: skip


class Arrival(NamedTuple):
    """One record as it came: `now_ms` is this machine's clock, epoch milliseconds, when the client handed it over."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    now_ms: int


class OutputReader:
    """Reads topics from a given place on. Where "latest" is, is settled before the constructor returns.

    Args:
        settings: how to reach Kafka.
        topics: what to read.
        committed: see only records of committed transactions.
        start: where to begin.
        positions: where to begin instead, for the partitions named in it.
        timeout_seconds: longest wait for the broker while it is set up.

    Raises:
        KafkaSetupError: a topic does not exist, or the broker cannot be reached or refuses.
    """

    def __init__(
        self,
        settings: Settings,
        topics: Sequence[str],
        *,
        committed: bool,
        start: Start = "latest",
        positions: Positions | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._timeout_seconds = timeout_seconds
        self._trouble: tuple[float, str] | None = None
        self._refusals = Refusals(settings)
        config: dict[str, ConfigValue] = {
            # The prefix: an access rule for the job's group then covers its readers.
            "group.id": f"{settings.group_id}-reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            # A broker that hangs is noticed after this long; the default is a minute.
            "socket.timeout.ms": 10_000,
            "log_level": 0,
        }
        self._consumer = Consumer({**client_config(settings, **config), "error_cb": self._note})
        try:
            begin = {place: (positions or {}).get(place, -1) for place in self._partitions(topics)}
            begin |= self._offsets([place for place, offset in begin.items() if offset < 0], start)
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in begin.items()])
        except KafkaException as error:
            self._consumer.close()
            raise self._refused(error.args[0]) from None
        except KafkaSetupError:
            self._consumer.close()
            raise
        self._next = begin

    @property
    def trouble(self) -> str | None:
        """What was wrong with the connection in the last seconds; None when nothing was."""
        if self._trouble is None or time.monotonic() - self._trouble[0] > _TROUBLE_SECONDS:
            return None
        return self._trouble[1]

    @property
    def positions(self) -> dict[tuple[str, int], int]:
        """Offset of the next record of each (topic, partition), as far as `read` has returned them."""
        return dict(self._next)

    def has_grown(self) -> bool:
        """Whether the topics have partitions by now that this reader does not read; not, where nobody says."""
        # A client of its own: asking the consumer waits for ever while another thread polls it.
        admin = AdminClient(client_config(self._settings, log_level=0))
        try:
            present = admin.list_topics(timeout=self._timeout_seconds).topics
        except KafkaException:
            return False
        found = {(topic, number) for topic in self._topics if topic in present for number in present[topic].partitions}
        return not found <= self._next.keys()

    def read(self, timeout_seconds: float = _POLL_SECONDS, max_records: int = _BATCH) -> list[Arrival]:
        """What has come; waits for the first record, at most `timeout_seconds`.

        Raises:
            KafkaSetupError: reading cannot go on: the topic is gone, access is refused, or retention has deleted
                the records it was to begin with.
        """
        first = self._consumer.poll(timeout_seconds)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(max_records - 1, timeout=0)] if max_records > 1 else [first]
        now_ms = time.time_ns() // 1_000_000
        return [arrival for message in messages if (arrival := self._arrival(message, now_ms)) is not None]

    def close(self) -> None:
        """Let go of the broker; harmless when done before."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _partitions(self, topics: Sequence[str]) -> list[tuple[str, int]]:
        # The list of all topics: asking for one by name would create it where the broker does that.
        present = ask(
            self._consumer, self._refusals, lambda seconds: self._consumer.list_topics(timeout=seconds),
            self._timeout_seconds,
        ).topics  # fmt: skip
        missing = sorted({topic for topic in topics if topic not in present})
        if missing:
            require_visible(self._settings, missing, self._timeout_seconds)
            raise KafkaSetupError(
                f"no such topic at {self._settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP): {', '.join(missing)}; the "
                "names are settings (TA_*_TOPIC), and `ta up` creates them on the local stack"
            )
        return [(topic, partition) for topic in topics for partition in present[topic].partitions]

    def _offsets(self, places: list[tuple[str, int]], start: Start) -> dict[tuple[str, int], int]:
        extent = {
            place: ends_of(self._consumer, self._refusals, TopicPartition(*place), self._timeout_seconds)
            for place in places
        }
        if start == "earliest":
            return {place: first for place, (first, _) in extent.items()}
        if start == "latest" or not places:
            return {place: end for place, (_, end) in extent.items()}
        asked = [TopicPartition(*place, int(start)) for place in places]
        found = offsets_at(self._consumer, self._refusals, asked, self._timeout_seconds)
        return {
            (item.topic, item.partition): item.offset if item.offset >= 0 else extent[item.topic, item.partition][1]
            for item in found
        }

    def _arrival(self, message: Message, now_ms: int) -> Arrival | None:
        error = message.error()
        if error is not None:
            if error.fatal() or error.code() in _GIVE_UP:
                raise self._refused(error)
            self._note(error)
            return None
        self._trouble = None
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None and partition is not None and offset is not None  # noqa: S101, PT018 - it has all
        self._next[topic, partition] = offset + 1
        return Arrival(topic, partition, offset, message.value(), now_ms)

    def _note(self, error: KafkaError) -> None:
        self._refusals(error)
        self._trouble = (time.monotonic(), error.str())

    def _refused(self, error: KafkaError) -> KafkaSetupError:
        where = f"{self._settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP, {self._settings.kafka_security})"
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            return KafkaSetupError(
                f"Kafka at {where} no longer has, or does not have yet, the records to begin with: {error.str()}; "
                "begin at `earliest` or `latest`"
            )
        if error.code() in _GIVE_UP:
            hint = advice(self._settings, error)
            return KafkaSetupError(f"Kafka at {where} does not let us read: {error.str()}{hint}")
        return KafkaSetupError(self._refusals.explain(error))


class Arrivals:
    """Several readers at once, one thread each, so that a record's arrival is stamped when it comes.

    Args:
        readers: they belong to this object from here on, and are closed by it.
    """

    def __init__(self, readers: Iterable[OutputReader]) -> None:
        self._readers = list(readers)
        self._stop = threading.Event()
        self._queue: queue.Queue[list[Arrival] | Exception] = queue.Queue(_QUEUED)
        self._threads = [
            threading.Thread(target=self._run, args=(reader,), name="ta-reader", daemon=True)
            for reader in self._readers
        ]

    @property
    def trouble(self) -> str | None:
        """What is wrong with the connection; None when nothing is."""
        return next((reader.trouble for reader in self._readers if reader.trouble), None)

    def take(self, timeout_seconds: float) -> list[Arrival]:
        """What has come since the last call, in order within each partition; waits for the first record.

        Raises:
            KafkaSetupError: a reader cannot go on.
        """
        taken: list[Arrival] = []
        try:
            batch = self._queue.get(timeout=timeout_seconds)
            while True:
                if isinstance(batch, Exception):
                    raise batch
                taken += batch
                if len(taken) >= _TAKEN:  # a backlog must not keep the caller from its other work
                    return taken
                batch = self._queue.get_nowait()
        except queue.Empty:
            return taken

    def close(self) -> None:
        """Stop the threads and close the readers."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for reader in self._readers:
            reader.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, reader: OutputReader) -> None:
        try:
            while not self._stop.is_set():
                batch = reader.read()
                if batch:
                    self._put(batch)
        except Exception as error:  # raised again by `take`, in the thread of the caller
            self._put(error)

    def _put(self, item: list[Arrival] | Exception) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_SECONDS)
                return


def final_reader(settings: Settings, topics: Sequence[str] = (), *, start: Start = "latest") -> OutputReader:
    """A reader of what is final and committed: bars and signals by default.

    Raises:
        KafkaSetupError: a topic does not exist, or the broker cannot be reached.
    """
    return OutputReader(settings, topics or (settings.bars_topic, settings.signals_topic), committed=True, start=start)


def live_reader(settings: Settings, *, start: Start = "latest") -> OutputReader:
    """A reader of provisional signals.

    Raises:
        KafkaSetupError: the topic does not exist, or the broker cannot be reached.
    """
    return OutputReader(settings, (settings.live_topic,), committed=False, start=start)
