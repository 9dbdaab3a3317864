"""The trades behind a bar, as one string: `exchange|id|mask|price|size` each, joined by `;`.

Kept for as long as a cancel or a correction may still speak of one of them. A string, because it is built in SQL,
carried through the state as it is, and parsed only when it is needed, which is rarely.

The exchange is whatever the record said, `|` and `;` included, so a trade is read from its end: what stands before
`|id|mask|price|size` is the exchange. The id may be missing; such a trade counts, but nothing can name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

HIGH_LOW, OPEN_CLOSE, VOLUME = 2, 1, 4

_NUMBER = r"([0-9.]+(?:[eE][-+]?[0-9]+)?)"
_TRADE = re.compile(rf"(.*?\|(-?[0-9]*))\|([0-7])\|{_NUMBER}\|{_NUMBER}(?:;|\Z)", re.DOTALL)


class Trade(NamedTuple):
    """One trade of the string; `name` is `exchange|id`, None when it has no id."""

    name: str | None
    mask: int
    price: float
    size: float
    text: str
    """As it stands in the string."""


class Sums(NamedTuple):
    """What a bar sums over its trades: volume, count, price x size and size of those that count for vwap."""

    v: float
    n: int
    pv: float
    vv: float


def parse(trades: str) -> Iterator[Trade]:
    """The trades, in the order of the string."""
    for match in _TRADE.finditer(trades):
        name, number, mask, price, size = match.groups()
        yield Trade(name if number else None, int(mask), float(price), float(size), match[0].removesuffix(";"))


def find(trades: str, name: str) -> Trade | None:
    """The first trade called `name` (`exchange|id`), or None."""
    if name not in trades:
        return None
    return next((trade for trade in parse(trades) if trade.name == name), None)


def remove(trades: str, trade: Trade) -> str:
    """The trades without the first one that stands there as `trade` does."""
    parts = [part.text for part in parse(trades)]
    parts.remove(trade.text)
    return ";".join(parts)


def add(trades: str, trade: str) -> str:
    """The trades with one more."""
    return f"{trades};{trade}" if trades else trade


def sums(trades: str) -> Sums:
    """Sum over all trades, from the trades themselves: nothing is ever subtracted, so nothing drifts."""
    v = pv = vv = 0.0
    n = 0
    for _, mask, price, size, _ in parse(trades):
        if not mask & VOLUME:
            v += size
            n += 1
            if not mask & HIGH_LOW:
                pv += price * size
                vv += size
    return Sums(v, n, pv, vv)
