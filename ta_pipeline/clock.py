"""The platform's clock: one record a second on `ta.clock.v1`, which lets the bars of a quiet market close.

The job reads the clock in the same consumer as trades and quotes; its watermark is the clock's time less the allowed
out-of-orderness. Three things make that safe:

- The tick is one period ahead of the wall clock: a source takes the minimum over its partitions, so a clock that
  trailed the trades would hold every bar back.
- Ticks go through the same broker, so the clock stands still when the broker does, and is replayed with the backlog.
- After an outage the clock is silent for `TA_BAR_CLOSE_TIMEOUT_MS`: whoever writes trades has a backlog to send
  first, and a tick in front of it would close bars whose trades are still to come. An outage is: the broker does not
  say in time where every partition of trades and quotes ends, does not acknowledge a tick in time, or this process
  itself stood still.

A broker that stood still for less than that goes unseen, and may: all questions of one tick share one time limit, below
a period, so that the first tick that could close a bar comes after the backlog of the second the bar is about.

A tick that was not acknowledged is taken back, never delivered later: librdkafka's own time limit is the same, and what
is left of it is purged. Run as `python -m ta_pipeline.clock`; its log has one line for each change of state.

A process that has heard nothing from the broker for `DEAF_SECONDS` ends, and whoever supervises it starts another: its
clients may be what no longer hears (docs/decisions/0019).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Literal, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import VERSION
from ta_pipeline.errors import TaError
from ta_pipeline.instants import rfc3339
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.kafka_refusals import client_with
from ta_pipeline.logs.output import log_to
from ta_pipeline.settings import Settings, load_settings

PERIOD_MS = 1_000
TIMEOUT_MS = 800
"""Longest time for the broker to answer all that is asked for a tick, and again to acknowledge it."""
DEAF_SECONDS = 30.0
"""Longer than librdkafka waits between two attempts to connect (10 s at most)."""
SYMBOL = "*"

State = Literal["ticking", "outage", "waiting"]
_log = logging.getLogger("ta.clock")


@dataclass
class ClockGate:
    """Decides whether a tick may be written now; milliseconds of any steady clock. Starts as if after an outage."""

    silence_ms: int
    period_ms: int = PERIOD_MS
    state: State = "outage"
    _since_ms: int = 0
    _last_ms: int | None = None

    def allows(self, now_ms: int, *, broker_answers: bool) -> bool:
        """Whether to tick; call it once a period, with what the broker just said."""
        stood_still = self._last_ms is not None and now_ms - self._last_ms > 3 * self.period_ms
        self._last_ms = now_ms
        if not broker_answers:
            self.state = "outage"
            return False
        if self.state == "outage" or stood_still:
            self.state, self._since_ms = "waiting", now_ms
        if self.state == "waiting" and now_ms - self._since_ms >= self.silence_ms:
            self.state = "ticking"
        return self.state == "ticking"

    def not_acknowledged(self) -> None:
        """The tick that was allowed did not arrive."""
        self.state = "outage"


def tick(seq: int, epoch_seconds: float) -> dict[str, object]:
    """The clock's envelope: the time one period after `epoch_seconds`."""
    ahead = rfc3339(epoch_seconds + PERIOD_MS / 1_000)
    return {
        "ingest_ts": rfc3339(epoch_seconds),
        "event_ts": ahead,
        "feed": "ta",
        "channel": "clock",
        "symbol": SYMBOL,
        "seq": seq,
        "payload": {"T": "clock", "S": SYMBOL, "t": ahead},
        "source": "ta",
        "version": VERSION,
    }


class Clock:
    """Writes ticks until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.clock_topic
        self._watched = (settings.trades_topic, settings.quotes_topic)
        self._partitions: list[TopicPartition] = []
        self._trouble: str | KafkaError = ""
        self._encoder = EnvelopeEncoder(settings)
        self._gate = ClockGate(settings.bar_close_timeout_ms)
        common: dict[str, ConfigValue] = {"log_level": 0, "socket.timeout.ms": 1_000}
        writer: dict[str, ConfigValue] = {"acks": "all", "linger.ms": 0, "message.timeout.ms": TIMEOUT_MS}
        reader: dict[str, ConfigValue] = {"group.id": f"{settings.group_id}-clock", "enable.auto.commit": False}
        self._producer = Producer(client_config(settings, **common, **writer))
        self._consumer, self._refusals = client_with(settings, Consumer, **common, **reader)
        self._acknowledged = False
        self.heard = time.monotonic()
        """When the broker last said where everything ends; seconds of the steady clock."""

    def run(self, stop: threading.Event) -> None:
        """Tick once a second, on the second, until `stop` is set."""
        said: State | None = None
        number = 0
        while not stop.wait(PERIOD_MS / 1_000 - time.time() % (PERIOD_MS / 1_000)):
            now_ms = time.monotonic_ns() // 1_000_000
            if self._gate.allows(now_ms, broker_answers=self._broker_answers()):
                number += 1
                if not self._write(number):
                    self._gate.not_acknowledged()
            if self._gate.state != said:
                _log.info("%s", self._described(first=number <= 1))
                said = self._gate.state
        self._consumer.close()
        self._encoder.close()

    def _described(self, *, first: bool) -> str:
        if self._gate.state == "outage":
            trouble = self._trouble
            if isinstance(trouble, KafkaError):
                # Why, is found out with questions of its own: not at every tick.
                trouble = f"no answer about the ends of trades and quotes: {self._refusals.explain(trouble)}"
            return f"outage: {trouble}"
        if self._gate.state == "waiting":
            return f"waiting: the broker answers; silent for {self._gate.silence_ms} ms"
        return "ticking" if first else "resumed: ticking"

    def _broker_answers(self) -> bool:
        deadline = time.monotonic() + TIMEOUT_MS / 1_000
        try:
            if self._gate.state == "outage":
                # Partitions may have been added while nobody answered.
                self._partitions = self._find_partitions(deadline)
            for partition in self._partitions:
                self._consumer.get_watermark_offsets(partition, timeout=_left(deadline), cached=False)
        except KafkaException as error:
            self._consumer.poll(0)  # what the broker said is in the callbacks
            self._trouble = error.args[0]
            return False
        if time.monotonic() > deadline:
            self._trouble = f"no answer about the ends of trades and quotes within {TIMEOUT_MS} ms"
            return False
        self.heard = time.monotonic()
        return True

    def _find_partitions(self, deadline: float) -> list[TopicPartition]:
        found: list[TopicPartition] = []
        for topic in self._watched:
            known = self._consumer.list_topics(topic, timeout=_left(deadline)).topics[topic]
            if known.error is not None:
                raise KafkaException(known.error)
            found += [TopicPartition(topic, number) for number in known.partitions]
        return found

    def _write(self, number: int) -> bool:
        self._acknowledged = False
        value = self._encoder.encode(self._topic, tick(number, time.time()))
        self._producer.produce(self._topic, value, key=SYMBOL, on_delivery=self._delivered)
        self._producer.flush(TIMEOUT_MS / 1_000)
        if not self._acknowledged:
            self._producer.purge(in_queue=True, in_flight=True)
            self._producer.flush(0)
            self._trouble = f"tick {number} was not acknowledged within {TIMEOUT_MS} ms"
        return self._acknowledged

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._acknowledged = error is None


def _left(deadline: float) -> float:
    """Seconds to the deadline; never 0, which some calls take for none at all."""
    return max(0.001, deadline - time.monotonic())


def leave_when_deaf(clock: Clock) -> NoReturn:
    """End this process once `clock` has heard nothing for `DEAF_SECONDS`, even while its client is in a call."""
    while time.monotonic() - clock.heard < DEAF_SECONDS:
        time.sleep(PERIOD_MS / 1_000)
    _log.error("nothing heard from the broker for %g s: a new process is needed, with new connections", DEAF_SECONDS)
    os._exit(1)


def main() -> None:
    """Run the clock with the settings of the environment until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        lines = log_to("clock")
        settings = load_settings()
        lines.hide(settings.without_secrets)
        clock = Clock(settings)
        threading.Thread(target=leave_when_deaf, args=(clock,), daemon=True).start()
        clock.run(stop)
    except TaError as error:
        _log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
