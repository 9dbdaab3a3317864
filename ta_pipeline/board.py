"""What `ta watch` knows: per symbol the newest live and final signal and bar, and the totals. Fed with records, pure.

The timeframes are kept apart: a symbol's 1-minute signal never replaces a 1-second one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ta_pipeline.decode import Channel, Head, Record, head_of
from ta_pipeline.latency import LatencySummary, RecentLatency
from ta_pipeline.signals.outputs import MINUTE

TREND_SECONDS = 60
"""Closes kept for each symbol."""
RATE_SECONDS = 5
WARM_BARS = 35
"""From here on MACD's signal line, EMA(9) of a difference with EMA(26), no longer shows how it was seeded."""


@dataclass(frozen=True)
class Shown:
    """One record on the board."""

    head: Head
    record: Record

    @property
    def close(self) -> float | None:
        """The close it is about."""
        close: float | None = self.record.get("c")
        return close


@dataclass
class SymbolState:
    """All that the board shows of one symbol; None until it came."""

    symbol: str
    live: Shown | None = None
    final: Shown | None = None
    minute: Shown | None = None
    bar: Shown | None = None
    newest_event_ms: int = 0
    _closes: list[tuple[int, float]] = field(default_factory=list)  # by second, oldest first

    @property
    def closes(self) -> list[float]:
        """The closes of the last seconds that had one, oldest first; the newest may be provisional."""
        return [close for _, close in self._closes]

    @property
    def bars(self) -> int | None:
        """1-second bars since the indicators began, as the newest signal says."""
        newest = self.live or self.final
        bars: int | None = newest.record.get("bars") if newest else None
        return bars

    @property
    def is_warm(self) -> bool:
        """Whether the slowest indicator has settled; True when nothing says otherwise."""
        return self.bars is None or self.bars >= WARM_BARS

    def previous_close(self, shown: Shown) -> float | None:
        """The close of the second before the one that `shown` is about."""
        index = bisect_left(self._closes, (shown.head.event_ms,))
        return self._closes[index - 1][1] if index else None

    def note_close(self, event_ms: int, close: float) -> None:
        """Keep or replace the close of a second."""
        index = bisect_left(self._closes, (event_ms,))
        if index < len(self._closes) and self._closes[index][0] == event_ms:
            self._closes[index] = (event_ms, close)
        else:
            self._closes.insert(index, (event_ms, close))
            del self._closes[:-TREND_SECONDS]


class PathState:
    """Totals of one path: live or final."""

    def __init__(self) -> None:
        self.total = 0
        self.newest_event_ms = 0
        self._latency = RecentLatency()
        self._by_second: deque[tuple[int, int]] = deque(maxlen=RATE_SECONDS + 1)

    def take(self, head: Head, now_ms: int, *, measured: bool) -> None:
        """Count a record; `measured`: its latency counts."""
        self.total += 1
        self.newest_event_ms = max(self.newest_event_ms, head.last_event_ms)
        if measured:
            self._latency.add(now_ms - head.measured_from_ms, now_ms)
        second = now_ms // 1_000
        if self._by_second and self._by_second[-1][0] == second:
            self._by_second[-1] = (second, self._by_second[-1][1] + 1)
        else:
            self._by_second.append((second, 1))

    def latency(self, now_ms: int) -> LatencySummary:
        """Of about the last minute."""
        return self._latency.summary(now_ms)

    def per_second(self, now_ms: int) -> float:
        """Records a second over the last whole seconds."""
        now = now_ms // 1_000
        return sum(count for second, count in self._by_second if now - RATE_SECONDS <= second < now) / RATE_SECONDS


class Board:
    """The model of the picture.

    Args:
        started_ms: when watching began, epoch milliseconds.
        symbols: show only these, in this order; empty: all that come, by name.
        title: what is watched, e.g. the broker's address.
    """

    def __init__(self, started_ms: int, symbols: Sequence[str] = (), title: str = "") -> None:
        self.started_ms = started_ms
        self.now_ms = started_ms
        self.title = title
        self.trouble: str | None = None
        self.tables: str | None = None
        self.live, self.final, self.minutes = PathState(), PathState(), PathState()
        self.bars = 0
        self.revised_bars = 0
        self.late: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self.undecodable: Counter[str] = Counter()
        self.status: Record | None = None
        self._wanted = tuple(symbols)
        self._symbols: dict[str, SymbolState] = {}

    @property
    def symbols(self) -> list[SymbolState]:
        """What is shown, in order."""
        names = self._wanted or sorted(self._symbols)
        return [self._symbols[name] for name in names if name in self._symbols]

    def tick(self, now_ms: int) -> None:
        """Move the clock on; ages and rates are as of then."""
        self.now_ms = max(self.now_ms, now_ms)

    def take(self, channel: Channel, record: Record, now_ms: int) -> None:
        """Take in one record that came at `now_ms`. Totals count every symbol, also those that are not shown.

        Raises:
            BadRecordError: a time in it cannot be read; nothing was taken in.
        """
        self.tick(now_ms)
        match channel:
            case "late":
                self.late[record["reason"]] += 1
            case "rejects":
                self.rejects[record["reason"]] += 1
            case "status":
                self.status = record
            case _:
                self._take(channel, Shown(head_of(record), record), now_ms)

    def _take(self, channel: Channel, shown: Shown, now_ms: int) -> None:
        head = shown.head
        self._count(channel, head, now_ms)
        if self._wanted and head.symbol not in self._wanted:
            return
        state = self._symbols.setdefault(head.symbol, SymbolState(head.symbol))
        state.newest_event_ms = max(state.newest_event_ms, head.last_event_ms)
        if head.size == MINUTE:
            state.minute = _newer(state.minute, shown)
        elif channel == "bars":
            state.bar = _newer(state.bar, shown)
        else:
            if shown.close is not None:
                state.note_close(head.event_ms, shown.close)
            if channel == "live":
                state.live = _newer(state.live, shown)
            else:
                state.final = _newer(state.final, shown)

    def _count(self, channel: Channel, head: Head, now_ms: int) -> None:
        if channel == "live":
            self.live.take(head, now_ms, measured=True)
        elif head.size == MINUTE:
            self.minutes.take(head, now_ms, measured=not head.revision)
        elif channel == "signals":
            self.final.take(head, now_ms, measured=not head.revision)
        else:
            self.bars += 1
            self.revised_bars += head.revision > 0


def _newer(known: Shown | None, other: Shown) -> Shown:
    """The one of the later second; of one second the higher revision, and of equal ones the one that came later."""
    if known is None:
        return other
    order = (known.head.event_ms, known.head.revision)
    return other if (other.head.event_ms, other.head.revision) >= order else known
