"""The trades behind a bar, as one string: `exchange|id|mask|price|size` each, joined by `;`.

Kept for as long as a cancel or a correction may still speak of one of them. A string, because it is built in SQL,
carried through the state as it is, and parsed only when it is needed, which is rarely.
"""

from __future__ import annotations

from typing import NamedTuple

HIGH_LOW, OPEN_CLOSE, VOLUME = 2, 1, 4


class Sums(NamedTuple):
    """What a bar sums over its trades: volume, count, price x size and size of those that count for vwap."""

    v: float
    n: int
    pv: float
    vv: float


def find(trades: str, name: str) -> str | None:
    """The trade called `name` (`exchange|id`), whole, or None."""
    start = (";" + trades).find(f";{name}|")
    if start < 0:
        return None
    end = trades.find(";", start)
    return trades[start:] if end < 0 else trades[start:end]


def remove(trades: str, trade: str) -> str:
    """The trades without the first one that equals `trade`."""
    parts = trades.split(";")
    parts.remove(trade)
    return ";".join(parts)


def add(trades: str, trade: str) -> str:
    """The trades with one more."""
    return f"{trades};{trade}" if trades else trade


def sums(trades: str) -> Sums:
    """Sum over all trades, from the trades themselves: nothing is ever subtracted, so nothing drifts."""
    v = pv = vv = 0.0
    n = 0
    for trade in trades.split(";") if trades else ():
        _, _, mask_text, price_text, size_text = trade.rsplit("|", 4)
        mask, price, size = int(mask_text), float(price_text), float(size_text)
        if not mask & VOLUME:
            v += size
            n += 1
            if not mask & HIGH_LOW:
                pv += price * size
                vv += size
    return Sums(v, n, pv, vv)
