"""What comes after a second was final, or takes from it before: late trades, cancels and corrections of one symbol.

    late trade    volume, count and vwap follow; it may extend high or low, and sets open and close only where none is
    cancel        the sums follow, the four prices stay; before the bar is final and with no volume left: no bar
    correction    a cancel, and a late trade with the corrected values

A cancel or correction looks for its trade by exchange and id, in the newest second first, within the horizon. One that
finds none waits until its own second is final.

The second that ends at E becomes final when the watermark reaches E - 1 ms; what is late takes effect after all that
was final at the watermark it came at. `order_of_final` and `order_behind` say it as numbers that sort together.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ta_pipeline.replay.reference_rules import Conditions, Rules

_FINAL, _GIVE_UP, _BEHIND = 1, 3, 4


def order_of_final(end_ms: int) -> int:
    """When the bar of the second that ends at `end_ms` is final; its quote is in force one before."""
    return 4 * (end_ms - 1) + 1


def order_behind(watermark_ms: int) -> int:
    """When a record takes effect that came at this watermark: after all that was final at it."""
    return 4 * watermark_ms + 3


class Trade(NamedTuple):
    """One trade and what it may set; prices and sizes as in the message, event time in epoch milliseconds."""

    x: str
    i: int | None
    p: float
    s: float
    open_close: bool
    high_low: bool
    volume: bool
    event_ms: int


class Change(NamedTuple):
    """From `order` on, the second that ends at `end_ms` counts `pv` and `vv` in the VWAPs."""

    order: int
    end_ms: int
    pv: float
    vv: float


class LateRecord(NamedTuple):
    """A record that changed nothing: its log, its place in it, and why."""

    kind: str
    offset: int
    reason: str


@dataclass
class _Second:
    end_ms: int
    trades: list[Trade] = field(default_factory=list)
    o: float | None = None
    h: float | None = None
    l: float | None = None  # noqa: E741 - the field's name everywhere
    c: float | None = None
    last_ms: int = 0
    revision: int = -1

    def take(self, trade: Trade, *, in_time: bool) -> None:
        self.trades.append(trade)
        if trade.open_close and (in_time or self.o is None):
            self.o = trade.p if self.o is None else self.o
            self.c = trade.p
        if trade.high_low:
            self.h = trade.p if self.h is None else max(self.h, trade.p)
            self.l = trade.p if self.l is None else min(self.l, trade.p)
        self.last_ms = max(self.last_ms, trade.event_ms)

    @property
    def count(self) -> int:
        return sum(trade.volume for trade in self.trades)

    @property
    def is_bar(self) -> bool:
        return self.count > 0 and None not in (self.o, self.h, self.l, self.c)

    @property
    def counted(self) -> tuple[float, float]:
        """Price x size and size of what the VWAPs count: nothing before there is a bar."""
        if self.revision < 0 and not self.is_bar:
            return 0.0, 0.0
        both = [trade for trade in self.trades if trade.volume and trade.high_low]
        return math.fsum(trade.p * trade.s for trade in both), math.fsum(trade.s for trade in both)

    def bar(self, symbol: str, *, sums: bool = False) -> dict[str, Any]:
        pv, vv = self.counted
        volume = math.fsum(trade.s for trade in self.trades if trade.volume)
        row = {
            "symbol": symbol, "end_ms": self.end_ms, "revision": self.revision, "o": self.o, "h": self.h, "l": self.l,
            "c": self.c, "v": volume, "vwap": pv / vv if vv > 0 else math.nan, "count": self.count,
            "last_ms": self.last_ms,
        }  # fmt: skip
        return {**row, "pv": pv, "vv": vv} if sums else row


@dataclass(frozen=True)
class _Correction:
    x: str
    i: int
    offset: int
    end_ms: int
    watermark_ms: int
    instead: Trade | None
    """The corrected trade; None of a cancel."""


class Revisions:
    """The late records of one symbol; add all, then `run`.

    Attributes:
        given: the bars that were given again, or late for the first time, in order.
        changes: what each of them did to the VWAPs.
        late: what changed nothing.
        before_final: bars of revision 0 that are not what their trades in time make; None: there is none.
    """

    def __init__(self, symbol: str, rules: Rules, conditions: Conditions) -> None:
        self.given: list[dict[str, Any]] = []
        self.changes: list[Change] = []
        self.late: list[LateRecord] = []
        self.before_final: dict[int, dict[str, Any] | None] = {}
        self._symbol = symbol
        self._rules = rules
        self._conditions = conditions
        self._events: list[tuple[int, int, int, Any]] = []
        self._known: dict[int, _Second] = {}
        self._waiting: dict[int, _Correction] = {}

    def add_second(self, end_ms: int, trades: list[Trade]) -> None:
        """A second of trades in time, in log order."""
        second = _Second(end_ms)
        for trade in trades:
            second.take(trade, in_time=True)
        self._events.append((end_ms - 1, _FINAL, 0, second))

    def add_late(self, end_ms: int, watermark_ms: int, offset: int, trade: Trade) -> None:
        """A trade whose second the watermark had passed."""
        self._events.append((watermark_ms, _BEHIND, offset, (end_ms, trade, offset)))

    def add_correction(self, row: dict[str, Any]) -> None:
        """A cancel or a correction, as in the log."""
        x = row["x"] if isinstance(row["x"], str) else ""
        instead = None
        if row["T"] == "c":
            conditions = row["cc"] if isinstance(row["cc"], list) else None
            may = self._conditions.of(conditions, row["z"] if isinstance(row["z"], str) else None)
            # The time it was traded at is that of the trade it corrects: it never makes a bar newer.
            instead = Trade(x, int(row["ci"]), row["cp"], row["cs"], *may, 0)
        number = int(row["i"] if row["T"] == "x" else row["oi"])
        watermark_ms, offset = int(row["watermark_ms"]), int(row["offset"])
        correction = _Correction(x, number, offset, int(row["end_ms"]), watermark_ms, instead)
        self._events.append((watermark_ms, _BEHIND, offset, correction))

    def run(self) -> None:
        """Let everything happen in its order."""
        heapq.heapify(self._events)
        while self._events:
            at_ms, kind, _, what = heapq.heappop(self._events)
            if isinstance(what, _Second):
                self._final(what)
            elif kind == _GIVE_UP:
                if self._waiting.pop(what.offset, None) is not None:
                    self.late.append(LateRecord("trades", what.offset, "no_such_trade"))
            elif isinstance(what, _Correction):
                self._correct(what, order_behind(at_ms))
            else:
                end_ms, trade, offset = what
                self._come_late(end_ms, trade, offset, at_ms)

    def _final(self, second: _Second) -> None:
        self._known[second.end_ms] = second
        changed = self._take_back_waiting(second)
        if second.is_bar:
            second.revision = 0
        if changed:
            self.before_final[second.end_ms] = second.bar(self._symbol, sums=True) if second.is_bar else None

    def _come_late(self, end_ms: int, trade: Trade, offset: int, watermark_ms: int) -> None:
        if self._is_beyond(end_ms, watermark_ms):
            self.late.append(LateRecord("trades", offset, "beyond_horizon"))
            return
        second = self._known.setdefault(end_ms, _Second(end_ms))
        before = second.counted
        second.take(trade, in_time=False)
        self._take_back_waiting(second)
        self._revise(second, before, order_behind(watermark_ms))

    def _correct(self, correction: _Correction, order: int) -> None:
        for second in self._newest_first(correction.watermark_ms):
            before = second.counted
            if self._take_back(second, correction):
                self._revise(second, before, order)
                return
        if correction.watermark_ms >= correction.end_ms - 1:
            self.late.append(LateRecord("trades", correction.offset, "no_such_trade"))
        else:
            self._waiting[correction.offset] = correction
            heapq.heappush(self._events, (correction.end_ms - 1, _GIVE_UP, correction.offset, correction))

    def _take_back_waiting(self, second: _Second) -> bool:
        found = [one for one in self._waiting.values() if self._take_back(second, one)]
        for correction in found:
            del self._waiting[correction.offset]
        return bool(found)

    def _take_back(self, second: _Second, correction: _Correction) -> bool:
        names = [(trade.x, trade.i) for trade in second.trades]
        if (correction.x, correction.i) not in names:
            return False
        del second.trades[names.index((correction.x, correction.i))]
        if correction.instead is not None:
            second.take(correction.instead, in_time=False)
        if second.count == 0 and second.revision < 0:
            second.o = second.h = second.l = second.c = None
        return True

    def _revise(self, second: _Second, before: tuple[float, float], order: int) -> None:
        after = second.counted
        if after != before:
            self.changes.append(Change(order, second.end_ms, *after))
        if second.revision >= 0 or second.is_bar:
            second.revision += 1
            self.given.append(second.bar(self._symbol))

    def _newest_first(self, watermark_ms: int) -> Iterator[_Second]:
        for end_ms in sorted(self._known, reverse=True):
            if not self._is_beyond(end_ms, watermark_ms):
                yield self._known[end_ms]

    def _is_beyond(self, end_ms: int, watermark_ms: int) -> bool:
        newest_ms = watermark_ms + self._rules.out_of_orderness_ms
        return newest_ms - end_ms > self._rules.horizon_ms
