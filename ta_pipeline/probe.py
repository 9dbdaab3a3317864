"""`ta probe`: is what comes out fast, complete and without duplicates? Seen from where a strategy reads.

`Probe` only counts: it is fed with decoded records and the time they came. `probe` reads Kafka and feeds it. Memory
is bounded: keys are remembered for ten minutes (duplicates on the final topics), two (on the live one, which has many
more), or until they can be judged (gaps).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Self

from ta_pipeline.decode import Channel, Head, OutputDecoder, Record, head_of
from ta_pipeline.errors import BadRecordError
from ta_pipeline.latency import LatencyRecorder
from ta_pipeline.probe_report import Finding, PathReport, ProbeReport
from ta_pipeline.readers import Arrivals, final_reader, live_reader
from ta_pipeline.settings import Settings
from ta_pipeline.signals.outputs import SECOND

MARGIN_MS = 5_000
"""Beside the watermark and the checkpoint interval: the checkpoint itself, the commit and the way to the reader."""
GRACE_MS = 2_000
"""Bars and signals are two transactions that commit one after the other: a signal may be seen this long before."""
REMEMBER_MS = 600_000
LIVE_REMEMBER_MS = 120_000
"""A job that restarts repeats what is younger than its last checkpoint."""
EXAMPLES = 5
_WINDOW_MS = 1_000
_TAKE_SECONDS = 0.1

Progress = Callable[[float, int], None]
"""Told how many seconds have passed, and how many records have come."""


class Probe:
    """Judges the records of the three topics; feed it in the order they come.

    Args:
        started_ms: the reader's clock at the start, epoch milliseconds.
        final_within_ms: longest time from the last live update of a second to its final bar or signal.
        grace_ms: longest time between the two final records of one second.
    """

    def __init__(self, started_ms: int, final_within_ms: int, grace_ms: int = GRACE_MS) -> None:
        self._started_ms = started_ms
        self._final_within_ms = final_within_ms
        self._grace_ms = grace_ms
        self._live = _Path(LIVE_REMEMBER_MS)
        self._final, self._final_1m, self._bars = _Path(), _Path(), _Path()
        self._revised = 0
        self._newest_seq: dict[tuple[str, str], int] = {}
        self._backwards = _Tally()
        self._bars_seen, self._finals_seen = _Remembered(), _Remembered()
        self._no_bar = _Awaited(grace_ms)
        self._no_final = _Awaited(final_within_ms)
        self._newest_event: dict[str, int] = {}
        self._undecodable: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: Settings, started_ms: int) -> Self:
        """With the times that the settings promise."""
        # A second closes when the watermark passes it, in a quiet market at the latest by the close timeout.
        closes_within_ms = _WINDOW_MS + max(settings.max_out_of_orderness_ms, settings.bar_close_timeout_ms)
        return cls(started_ms, closes_within_ms + settings.checkpoint_interval_ms + MARGIN_MS)

    def take(self, channel: Channel, record: Record, now_ms: int) -> Head | None:
        """Take in one record that came at `now_ms`; returns its head.

        Other channels than bars, signals and live are left out: None.

        Raises:
            BadRecordError: a time in it cannot be read; nothing was taken in.
        """
        if channel not in {"bars", "signals", "live"}:
            return None
        head = head_of(record)
        self._newest_event[head.symbol] = max(head.last_event_ms, self._newest_event.get(head.symbol, 0))
        self._no_bar.judge(now_ms)
        self._no_final.judge(now_ms)
        if channel == "live":
            self._take_live(head, now_ms)
        elif channel == "bars":
            self._take_bar(head, now_ms)
        else:
            self._take_signal(head, now_ms)
        return head

    def undecodable(self, reason: str) -> None:
        """A record could not be read."""
        self._undecodable[reason] += 1

    def report(self, now_ms: int) -> ProbeReport:
        """What was found until now."""
        self._no_bar.judge(now_ms)
        self._no_final.judge(now_ms)
        seconds = (now_ms - self._started_ms) / 1_000
        return ProbeReport(
            seconds=seconds,
            live=self._live.report(seconds),
            final=self._final.report(seconds),
            final_1m=self._final_1m.report(seconds),
            bars=self._bars.report(seconds),
            revised_bars=self._revised,
            signals_without_bar=self._no_bar.tally.finding(),
            out_of_order=self._backwards.finding(),
            live_without_final=self._no_final.tally.finding(),
            final_within_ms=self._final_within_ms,
            staleness_ms={symbol: now_ms - newest for symbol, newest in sorted(self._newest_event.items())},
            undecodable=dict(self._undecodable),
        )

    def _take_live(self, head: Head, now_ms: int) -> None:
        self._live.take(head, now_ms)
        self._live.latency.add(now_ms - head.measured_from_ms)
        key = (head.symbol, head.seq)
        if head.size == SECOND and key not in self._finals_seen:
            self._no_final.expect(key, now_ms)

    def _take_bar(self, head: Head, now_ms: int) -> None:
        self._bars.take(head, now_ms)
        if head.revision:
            self._revised += 1
        else:
            self._bars.latency.add(now_ms - head.measured_from_ms)
        key = (head.symbol, head.seq)
        self._bars_seen.add(key, now_ms)
        self._no_bar.came(key)
        self._came_final(key, now_ms)

    def _take_signal(self, head: Head, now_ms: int) -> None:
        path = self._final if head.size == SECOND else self._final_1m
        path.take(head, now_ms)
        if not head.revision:
            path.latency.add(now_ms - head.measured_from_ms)
        series = (head.symbol, head.size)
        newest = self._newest_seq.get(series, head.seq)
        self._backwards.judged += 1
        if head.seq < newest:
            self._backwards.found(f"{head.symbol} {head.size} seq {head.seq} after {newest}")
        self._newest_seq[series] = max(newest, head.seq)
        if head.size != SECOND:
            return
        key = (head.symbol, head.seq)
        self._came_final(key, now_ms)
        # At the start the reader may stand between the two commits of one checkpoint.
        if now_ms - self._started_ms >= self._grace_ms:
            if key in self._bars_seen:
                self._no_bar.tally.judged += 1
            else:
                self._no_bar.expect(key, now_ms)

    def _came_final(self, key: tuple[str, int], now_ms: int) -> None:
        self._finals_seen.add(key, now_ms)
        self._no_final.came(key)


class _Path:
    """One path's counts."""

    def __init__(self, remember_ms: int = REMEMBER_MS) -> None:
        self.latency = LatencyRecorder()
        self._records = 0
        self._duplicates = 0
        self._symbols: set[str] = set()
        self._seen = _Remembered(remember_ms)

    def take(self, head: Head, now_ms: int) -> None:
        self._records += 1
        self._symbols.add(head.symbol)
        if not self._seen.add((head.symbol, head.event_ms, head.seq, head.revision), now_ms):
            self._duplicates += 1

    def report(self, seconds: float) -> PathReport:
        rate = self._records / seconds if seconds > 0 else 0.0
        return PathReport(self._records, len(self._symbols), rate, self._duplicates, self.latency.summary())


class _Remembered:
    """Keys seen in the last `remember_ms`, or up to twice as long: two generations that take turns.

    Their hashes, which take a third of the room; that two of ten million share one has a chance of 1 in 370,000.
    """

    def __init__(self, remember_ms: int = REMEMBER_MS) -> None:
        self._remember_ms = remember_ms
        self._current: set[int] = set()
        self._previous: set[int] = set()
        self._since_ms: int | None = None

    def add(self, key: Hashable, now_ms: int) -> bool:
        """Remember a key; False when it was known."""
        if self._since_ms is None or now_ms - self._since_ms >= self._remember_ms:
            self._previous, self._current, self._since_ms = self._current, set(), now_ms
        known = key in self
        self._current.add(hash(key))
        return not known

    def __contains__(self, key: Hashable) -> bool:
        number = hash(key)
        return number in self._current or number in self._previous

    def discard(self, key: Hashable) -> bool:
        """Forget a key; False when it was not known."""
        known = key in self
        self._current.discard(hash(key))
        self._previous.discard(hash(key))
        return known


class _Tally:
    """A finding in the making."""

    def __init__(self) -> None:
        self.judged = 0
        self.closed = 0
        self._count = 0
        self._examples: list[str] = []

    def found(self, example: str) -> None:
        self._count += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(example)

    def finding(self) -> Finding:
        return Finding(self._count, self.judged, tuple(self._examples), self.closed)


class _Awaited:
    """Keys that something has to follow on within a time; what does not is found, and closed when it follows later."""

    def __init__(self, within_ms: int) -> None:
        self.tally = _Tally()
        self._within_ms = within_ms
        self._since: dict[tuple[str, int], int] = {}  # oldest first
        self._overdue = _Remembered()

    def expect(self, key: tuple[str, int], now_ms: int) -> None:
        """Something has to follow; the time starts again with each call."""
        self._since.pop(key, None)
        self._since[key] = now_ms

    def came(self, key: tuple[str, int]) -> None:
        """It did; a job that recovers gives out late what was due while it was away, and loses nothing."""
        awaited = self._since.pop(key, None) is not None
        if self._overdue.discard(key):
            self.tally.closed += 1
        elif awaited:
            self.tally.judged += 1

    def judge(self, now_ms: int) -> None:
        """Find what is overdue."""
        while self._since:
            key = next(iter(self._since))
            if now_ms - self._since[key] <= self._within_ms:
                return
            del self._since[key]
            # One that is awaited again, as a job that restarts repeats what was live, is found once.
            if not self._overdue.add(key, now_ms):
                continue
            self.tally.judged += 1
            self.tally.found(f"{key[0]} seq {key[1]}")


def probe(
    settings: Settings,
    seconds: float,
    *,
    stop: threading.Event | None = None,
    progress: Progress = lambda _seconds, _records: None,
) -> ProbeReport:
    """Read the final and the live topics from now on for `seconds`, or until `stop`, and report.

    Raises:
        KafkaSetupError: a topic does not exist, or the broker cannot be reached or refuses.
        SchemaError: Avro output, and the registry does not answer.
    """
    stop = stop or threading.Event()
    # Final first: whatever is seen live from here on has its final record still to come.
    with OutputDecoder(settings) as decoder, Arrivals([final_reader(settings), live_reader(settings)]) as arrivals:
        judge = Probe.of(settings, _now_ms())
        begin, records = time.monotonic(), 0
        while not stop.is_set() and (passed := time.monotonic() - begin) < seconds:
            progress(passed, records)
            for arrival in arrivals.take(min(_TAKE_SECONDS, seconds - passed)):
                records += 1
                try:
                    judge.take(*decoder.decode(arrival.topic, arrival.value), arrival.now_ms)
                except BadRecordError as error:
                    judge.undecodable(error.reason)
        return judge.report(_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
