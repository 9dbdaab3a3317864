"""What a heartbeat says: how much has come in and gone out since the last one, and how far behind the job is."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ta_pipeline import rows
from ta_pipeline.rows import TickRow
from ta_pipeline.signals.outputs import SECOND, Late, Output, Signal

PERIOD_MS = 1_000
_NEWEST = {rows.LIVE, rows.FINAL, rows.BAR_1M, rows.LATE}


class Beat(NamedTuple):
    """One report of one subtask: records since its last report, newest event time (epoch ms), watermark lag."""

    now_ms: int
    lag_ms: int | None
    last_event_ms: int | None
    trades: int
    quotes: int
    bars_1m: int
    status: int
    bars: int
    signals: int
    live: int
    late: int
    rejects: int


_COUNTED = Beat._fields[3:]


class Pulse:
    """Counts rows and outputs, and reports at most once a second."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._newest_ms: int | None = None
        self._reported_ms = 0

    def row(self, row: TickRow) -> None:
        """Count an incoming row by the records behind it."""
        ticks = row.ticks or 0
        match row.branch:
            case rows.FINAL:
                self._counts["trades"] += ticks
            case rows.LATE | rows.CANCEL:
                self._counts["trades"] += 1
            case rows.QUOTE | rows.LATE_QUOTE:
                self._counts["quotes"] += ticks
            case rows.BAR_1M:
                self._counts["bars_1m"] += 1
            case rows.STATUS:
                self._counts["status"] += 1
            case rows.REJECT:
                self._counts["rejects"] += 1
        if row.branch in _NEWEST and row.last_ms is not None:
            self._newest_ms = max(self._newest_ms or 0, row.last_ms)

    def output(self, output: Output) -> None:
        """Count what goes out."""
        if isinstance(output, Signal):
            self._counts["bars"] += output.has_bar and output.size == SECOND
            self._counts["signals" if output.is_final else "live"] += output.has_signal
        elif isinstance(output, Late):
            self._counts["late"] += 1

    def is_due(self, now_ms: int) -> bool:
        """Whether the last report is a second old."""
        return now_ms - self._reported_ms >= PERIOD_MS

    def beat(self, now_ms: int, watermark_ms: int) -> Beat:
        """The next report."""
        self._reported_ms = now_ms
        lag_ms = now_ms - watermark_ms if watermark_ms > 0 else None
        beat = Beat(now_ms, lag_ms, self._newest_ms, **self._counts)
        self._counts = dict.fromkeys(_COUNTED, 0)
        return beat


class ClockClosings:
    """Counts the bars that the clock closed, not a later trade.

    A bar that ends at E is closed by trades when a trade of E + out-of-orderness or later has come. Such a trade is
    seen here a live slice after it moved the watermark, so a bar is judged only when that slice must have come.
    """

    def __init__(self, out_of_orderness_ms: int, grace_ms: int) -> None:
        self._out_of_orderness_ms = out_of_orderness_ms
        self._grace_ms = grace_ms
        self._newest_ms = 0
        self._open: deque[tuple[int, int]] = deque()

    def closed(self, end_ms: int, now_ms: int) -> None:
        """A bar that ends at `end_ms` was closed now."""
        if now_ms - end_ms <= rows.CATCH_UP_MS:  # an older one was closed by the trades of a catch-up
            self._open.append((end_ms, now_ms))

    def trade(self, event_ms: int) -> None:
        """A trade of `event_ms` was seen."""
        self._newest_ms = max(self._newest_ms, event_ms)

    def count(self, now_ms: int) -> int:
        """How many bars that can be judged by now were closed by the clock."""
        by_clock = 0
        while self._open and self._open[0][1] + self._grace_ms <= now_ms:
            end_ms, _ = self._open.popleft()
            by_clock += self._newest_ms - self._out_of_orderness_ms < end_ms - 1
        return by_clock
