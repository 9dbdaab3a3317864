"""One second of one symbol: what its trades made of it, before and after it was final."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ta_pipeline.rows import TickRow
from ta_pipeline.signals import trades as trade_list
from ta_pipeline.signals.layouts import Upgrades, pack, unchanged, unpack
from ta_pipeline.signals.trades import HIGH_LOW, OPEN_CLOSE, VOLUME

VERSION = 2
"""Of what `Second.dump` writes."""
UPGRADES: Upgrades = {1: unchanged}
"""From older versions that `Second.load` reads too; version 1 did not say its own."""
LOADS = tuple(UPGRADES)


@dataclass(slots=True)
class Second:
    """Open, high, low, close (None until a trade sets them), the sums, and the trades themselves."""

    end_ms: int
    o: float | None = None
    h: float | None = None
    l: float | None = None  # noqa: E741
    c: float | None = None
    v: float = 0.0
    n: int = 0
    pv: float = 0.0
    vv: float = 0.0
    last_ms: int = 0
    feed: str | None = None
    trades: str = ""
    revision: int = -1
    """Of the newest bar given out; -1: none yet."""

    @classmethod
    def of(cls, row: TickRow) -> Second:
        """From a FINAL row, or a LIVE slice."""
        return cls(
            row.end_ms, row.o, row.h, row.l, row.c, row.v or 0.0, row.n or 0, row.pv or 0.0, row.vv or 0.0,
            row.last_ms or 0, row.feed, row.trades or "",
        )  # fmt: skip

    @property
    def is_bar(self) -> bool:
        """A bar exists when open, high, low, close and volume all do."""
        return self.n > 0 and None not in (self.o, self.h, self.l, self.c)

    @property
    def vwap(self) -> float | None:
        """Price x size over size, of the trades that count for it."""
        vwap = self.pv / self.vv if 0 < self.vv < math.inf else math.inf
        return vwap if vwap < math.inf else None

    def merge(self, later: Second) -> None:
        """Take in a later slice of the same second."""
        if self.o is None:
            self.o = later.o
        if later.h is not None:
            self.h = later.h if self.h is None else max(self.h, later.h)
        if later.l is not None:
            self.l = later.l if self.l is None else min(self.l, later.l)
        if later.c is not None:
            self.c = later.c
        self.v += later.v
        self.n += later.n
        self.pv += later.pv
        self.vv += later.vv
        self.last_ms = max(self.last_ms, later.last_ms)
        self.feed = self.feed or later.feed

    def add_trade(self, trade: str, mask: int, price: float, size: float, event_ms: int) -> None:
        """Take in a late or corrected trade: sums exactly, high and low if it extends them, open and close stay."""
        self.trades = trade_list.add(self.trades, trade)
        if not mask & OPEN_CLOSE and self.o is None:
            self.o = self.c = price
        if not mask & HIGH_LOW:
            self.h = price if self.h is None else max(self.h, price)
            self.l = price if self.l is None else min(self.l, price)
        if not mask & VOLUME:
            self.v += size
            self.n += 1
            if not mask & HIGH_LOW:
                self.pv += price * size
                self.vv += size
        self.last_ms = max(self.last_ms, event_ms)

    def add_missing(self, trades: str, event_ms: int) -> None:
        """Take in those of `trades` (as in `ta_pipeline.signals.trades`) that are not in it; `event_ms`: the newest."""
        for trade in trade_list.parse(trades):
            if trade.name is None or trade_list.find(self.trades, trade.name) is None:
                self.add_trade(trade.text, trade.mask, trade.price, trade.size, event_ms)

    def remove_trade(self, name: str) -> bool:
        """Take out the trade called `name`: the sums follow, the four prices stay. False: there is none."""
        trade = trade_list.find(self.trades, name)
        if trade is None:
            return False
        self.trades = trade_list.remove(self.trades, trade)
        self.v, self.n, self.pv, self.vv = trade_list.sums(self.trades)
        return True

    def dump(self) -> bytes:
        """Plain values, in the order of the fields."""
        return pack(VERSION, [
            self.end_ms, self.o, self.h, self.l, self.c, self.v, self.n, self.pv, self.vv, self.last_ms, self.feed,
            self.trades, self.revision,
        ])  # fmt: skip

    @classmethod
    def load(cls, data: bytes) -> Second:
        """The inverse of `dump`.

        Raises:
            StateVersionError: it was written by a version this code does not know.
        """
        second = cls(*unpack("a second", data, VERSION, UPGRADES))
        # JSON has no infinity: a sum too large for a double comes back as null.
        second.v, second.pv, second.vv = (math.inf if x is None else x for x in (second.v, second.pv, second.vv))
        return second
