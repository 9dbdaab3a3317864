"""1-minute bars of a simulated market, as the upstream sends them: at the minute's end, updated after late trades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.trade_conditions import TradeConditions

MINUTE_SECONDS = 60
UPDATE_AFTER_SECONDS = 30
"""Alpaca sends updated bars about half a minute after the minute."""


@dataclass(slots=True)
class _Minute:
    o: float | None = None
    h: float | None = None
    l: float | None = None  # noqa: E741 - the field's name everywhere
    c: float | None = None
    v: float = 0.0
    n: int = 0
    pv: float = 0.0
    vv: float = 0.0
    given: bool = False
    changed: bool = False


class MinuteBars:
    """Collects trades, gives the bars of minutes that are over."""

    def __init__(self) -> None:
        self._rules = TradeConditions.load()
        self._minutes: dict[tuple[int, str], _Minute] = {}
        self._next_look = 0.0

    def take(self, trade: dict[str, Any], at_seconds: float) -> None:
        """Add a trade (Alpaca's message) of event time `at_seconds` (epoch)."""
        minute = self._minutes.setdefault((int(at_seconds) // MINUTE_SECONDS, trade["S"]), _Minute())
        update = self._rules.classify(trade.get("c"), trade.get("z"))
        price, size = trade["p"], trade["s"]
        if update.open_close:
            minute.o = price if minute.o is None else minute.o
            minute.c = price
        if update.high_low:
            minute.h = price if minute.h is None else max(minute.h, price)
            minute.l = price if minute.l is None else min(minute.l, price)
        if update.volume:
            minute.v += size
            minute.n += 1
            if update.high_low:
                minute.pv += price * size
                minute.vv += size
        minute.changed = True

    def due(self, now_seconds: float) -> Iterator[dict[str, Any]]:
        """The bars to send now: T=b of minutes that ended, T=u of those that changed since."""
        if now_seconds < self._next_look:
            return
        self._next_look = now_seconds + 1.0
        this = int(now_seconds) // MINUTE_SECONDS
        for (number, symbol), minute in list(self._minutes.items()):
            ended = (number + 1) * MINUTE_SECONDS
            updating = minute.given and now_seconds >= ended + UPDATE_AFTER_SECONDS
            if number >= this or (minute.given and not updating):
                continue
            if minute.changed and None not in (minute.o, minute.h, minute.l, minute.c) and minute.v > 0:
                yield _message(symbol, number, minute)
            minute.changed = False
            if updating:
                del self._minutes[number, symbol]
            minute.given = True


def _message(symbol: str, number: int, minute: _Minute) -> dict[str, Any]:
    start = datetime.fromtimestamp(number * MINUTE_SECONDS, UTC)
    vwap = minute.pv / minute.vv if minute.vv else minute.c
    return {
        "T": "u" if minute.given else "b", "S": symbol, "o": minute.o, "h": minute.h, "l": minute.l, "c": minute.c,
        "v": minute.v, "vw": vwap, "n": minute.n, "t": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }  # fmt: skip
