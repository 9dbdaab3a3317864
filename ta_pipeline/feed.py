"""Messages onto the input topics, at the pace of a market: simulated ones, or recordings.

Event time is stamped when a message is sent, so that latency measured behind it does not contain the generator's own
queue; how far the generator was behind its schedule is in the report. What is stamped anew gets trade ids of its own
feed: a market that is fed again within `TA_DEDUP_TTL_MS` is not a duplicate of itself.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import KINDS, Kind, kind_of, renumbered, topic_of, wrap
from ta_pipeline.errors import BadRecordError, KafkaSetupError
from ta_pipeline.instants import rfc3339
from ta_pipeline.kafka_admin import live_topics
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.kafka_refusals import advice
from ta_pipeline.minute_bars import MinuteBars
from ta_pipeline.recordings import Record, encode, enveloped, read, retimed, seconds_of
from ta_pipeline.settings import Settings
from ta_pipeline.simulator import Market

_QUANTUM_SECONDS = 0.002
_PROGRESS_SECONDS = 0.25
_FLUSH_SECONDS = 30.0

Progress = Callable[[int, float], None]
"""Told how many messages are sent, and for how many seconds the feed has run."""


class Outgoing(NamedTuple):
    """One message and when it is due, seconds after the start of the feed; None: as soon as the broker takes it."""

    due: float | None
    kind: Kind
    symbol: str
    value: Callable[[float], bytes]
    """The record's value, given the epoch seconds at which it is sent."""


@dataclass(frozen=True)
class FeedReport:
    """What a feed did. Delays are milliseconds behind the schedule, 0 for what had none."""

    sent: dict[str, int]
    """Messages by topic, all of them acknowledged."""
    seconds: float
    delay_p50_ms: float
    delay_p99_ms: float
    delay_max_ms: float

    @property
    def total(self) -> int:
        """Messages in all."""
        return sum(self.sent.values())


def simulated(market: Market, settings: Settings) -> Iterator[Outgoing]:
    """The market's messages, with the 1-minute bars of its trades."""
    encoder = EnvelopeEncoder(settings)
    bars = MinuteBars()
    ids = time.time_ns() // 1_000
    number = 0

    def enveloped(kind: Kind, message: dict[str, Any], now: float) -> bytes:
        nonlocal number
        number += 1
        return encoder.encode(topic_of(kind, settings), wrap(message, seq=number, ingest_ts=rfc3339(now)))

    for offset, message, late in market.messages():
        kind = kind_of(message)

        def value(now: float, message: dict[str, Any] = message, kind: Kind = kind, late: float = late) -> bytes:
            stamped = {**renumbered(message, ids), "t": rfc3339(now - late)}
            if message["T"] == "t":
                bars.take(stamped, now - late)
            return enveloped(kind, stamped, now)

        yield Outgoing(offset, kind, message["S"], value)
        for bar in bars.due(time.time()):
            yield Outgoing(
                offset, "bars_1m", bar["S"], lambda now, bar=bar: enveloped("bars_1m", bar, now)  # type: ignore[misc]
            )  # fmt: skip


def recorded(
    paths: Sequence[Path], settings: Settings, *, speed: float | None, as_recorded: bool, begin: float | None = None
) -> Iterator[Outgoing]:
    """A recording's messages.

    Args:
        paths: the recordings.
        settings: where and how to send.
        speed: 1 is the pace of the recording; None sends as fast as the broker takes it.
        as_recorded: keep the recorded times; else each is as old when it is sent as it was when it was recorded.
        begin: what was recorded before is left out, epoch seconds; None: nothing is.

    What is no message, or does not fit the topic's Avro schema, is sent as it is in the recording: it belongs on the
    rejects topic, and must not stop a feed.

    Raises:
        RecordingError: a recording cannot be read.
    """
    encoder = EnvelopeEncoder(settings)
    ids = time.time_ns() // 1_000
    first: float | None = None
    at = 0.0
    for number, record in enumerate(read(paths)):
        if record.time:
            at = seconds_of(record.time)
            if begin is not None and at < begin:
                continue
            first = at if first is None else first
        due = (at - (at if first is None else first)) / speed if speed else None

        def value(now: float, record: Record = record, at: float = at, number: int = number) -> bytes:
            envelope = enveloped(record, number)
            if envelope is None:
                return record.line
            if not as_recorded:
                envelope = retimed(envelope, now, at, ids)
            elif settings.input_format == "json":
                return encode(record, number, settings.input_field_case)
            try:
                return encoder.encode(topic_of(record.kind, settings), envelope)
            except BadRecordError:
                return record.line

        symbol = str((record.message or {}).get("S") or "")
        yield Outgoing(due, record.kind, symbol, value)


def send(
    settings: Settings,
    messages: Iterable[Outgoing],
    *,
    stop: threading.Event | None = None,
    progress: Progress = lambda _sent, _seconds: None,
) -> FeedReport:
    """Send every message when it is due, and wait until the broker has acknowledged all.

    Raises:
        KafkaSetupError: a topic is missing, the broker cannot be reached, or it did not take a message.
    """
    topics = {kind: topic_of(kind, settings) for kind in KINDS}
    missing = sorted(set(topics.values()) - set(live_topics(settings, topics.values())))
    if missing:
        raise KafkaSetupError(f"topic {', '.join(missing)} does not exist; `ta up` creates it on the local stack")
    sender = _Sender(settings, topics)
    try:
        return sender.send(messages, stop or threading.Event(), progress)
    finally:
        sender.flush()


class _Sender:
    def __init__(self, settings: Settings, topics: dict[Kind, str]) -> None:
        self._settings = settings
        self._topics = topics
        self._failed: list[str] = []
        self._acknowledged: dict[str, int] = dict.fromkeys(topics.values(), 0)
        options: dict[str, ConfigValue] = {
            "linger.ms": 5,
            "compression.type": "lz4",
            "acks": "all",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 200_000,
            # A broker that comes back gets the backlog before the clock ticks again (TA_BAR_CLOSE_TIMEOUT_MS).
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,
        }
        self._producer = Producer(client_config(settings, **options))

    def send(self, messages: Iterable[Outgoing], stop: threading.Event, progress: Progress) -> FeedReport:
        start, told, sent = time.time(), 0.0, 0
        delays = array("f")
        for due, kind, symbol, value in messages:
            now = time.time()
            at = now if due is None else start + due
            while now < at and not stop.is_set():
                # Sleeping less than this costs more than it is worth: what is due meanwhile goes out together.
                stop.wait(min(max(at - now, _QUANTUM_SECONDS), _PROGRESS_SECONDS))
                now = time.time()
                told = self._tell(progress, sent, start, told, now)
            if stop.is_set():
                break
            if due is not None:
                delays.append(max(0.0, now - at))
            self._produce(self._topics[kind], symbol, value(now))
            sent += 1
            told = self._tell(progress, sent, start, told, now)
        left = self.flush()
        self._require_delivery()
        if left:
            raise KafkaSetupError(f"{left} messages were not acknowledged within {_FLUSH_SECONDS:g} s")
        seconds = time.time() - start
        progress(sent, seconds)
        p50, p99, largest = np.percentile(delays, [50, 99, 100]) * 1_000 if delays else (0.0, 0.0, 0.0)
        return FeedReport(self._acknowledged, seconds, float(p50), float(p99), float(largest))

    def flush(self) -> int:
        """Wait until all is acknowledged; returns how many messages are not."""
        return self._producer.flush(_FLUSH_SECONDS)

    def _tell(self, progress: Progress, sent: int, start: float, told: float, now: float) -> float:
        """Report and look for refused messages, if it is time to; returns when that was done last."""
        if now - told < _PROGRESS_SECONDS:
            return told
        self._producer.poll(0)
        progress(sent, now - start)
        self._require_delivery()
        return now

    def _produce(self, topic: str, symbol: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key=symbol, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise KafkaSetupError(f"topic {topic} did not take a message: {error.args[0]}") from None
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        topic = message.topic() or ""
        if error is not None:
            self._failed.append(f"{topic}: {error}{advice(self._settings, error)}")
        else:
            self._acknowledged[topic] += 1

    def _require_delivery(self) -> None:
        if self._failed:
            raise KafkaSetupError(f"{len(self._failed)} messages were not taken, the first by {self._failed[0]}")
