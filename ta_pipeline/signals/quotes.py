"""The quote a signal is about: an as-of join at the window end, and what may be derived from it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

STALE, ONE_SIDED, CROSSED = "stale", "one_sided", "crossed"
_REMEMBERED = 8
_MINUTE_MS = 60_000
_MINUTES_MS = 2 * _MINUTE_MS
"""How far back minutes are asked for: an updated 1-minute bar comes about half a minute after the first."""


class Quote(NamedTuple):
    """The last quote of a second in log order; `end_ms` is the end of that second, `quote_ms` its own event time."""

    end_ms: int
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float
    quote_ms: int


class Derived(NamedTuple):
    """Spread and imbalance, or why there are none."""

    spread: float | None
    imbalance: float | None
    problem: str | None


def derive(quote: Quote, at_ms: int, stale_after_ms: int) -> Derived:
    """Spread = ask - bid, imbalance = (bid size - ask size) / (bid size + ask size), as seen at `at_ms`.

    Sizes whose sum is too large for a double give no imbalance.
    """
    if at_ms - quote.quote_ms > stale_after_ms:
        return Derived(None, None, STALE)
    _, bid_px, bid_sz, ask_px, ask_sz, _ = quote
    if bid_px <= 0 or ask_px <= 0 or bid_sz <= 0 or ask_sz <= 0:
        return Derived(None, None, ONE_SIDED)
    if bid_px > ask_px:
        return Derived(None, None, CROSSED)
    total = bid_sz + ask_sz
    return Derived(ask_px - bid_px, (bid_sz - ask_sz) / total if total < math.inf else None, None)


class CarriedQuotes:
    """The newest quote, carried forward, and those before it that bars reported after their end may ask for.

    These are the last few, and of the last minutes the one that was in force at the minute's end.
    """

    __slots__ = ("_quotes",)

    def __init__(self, quotes: list[Quote] | None = None) -> None:
        self._quotes = quotes or []

    def take(self, quote: Quote) -> bool:
        """Carry `quote` on. False: a newer second has a quote already, so it changes nothing."""
        if self._quotes and quote.end_ms < self._quotes[-1].end_ms:
            return False
        if self._quotes and quote.end_ms == self._quotes[-1].end_ms:
            self._quotes[-1] = quote
        else:
            self._quotes.append(quote)
            if len(self._quotes) > _REMEMBERED:
                self._forget()
        return True

    def _forget(self) -> None:
        newest = self._quotes[-1].end_ms
        kept: list[Quote] = []
        for quote, following in pairwise(self._quotes[: 1 - _REMEMBERED]):
            minute_ms = (following.end_ms - 1) // _MINUTE_MS * _MINUTE_MS
            if minute_ms >= quote.end_ms and minute_ms >= newest - _MINUTES_MS:
                kept.append(quote)
        self._quotes = kept + self._quotes[-_REMEMBERED:]

    def as_of(self, end_ms: int) -> Quote | None:
        """Of the latest second that ends at or before `end_ms` and has a quote, the last one."""
        for quote in reversed(self._quotes):
            if quote.end_ms <= end_ms:
                return quote
        return None

    def dump(self) -> list[list[float]]:
        """Plain values."""
        return [list(quote) for quote in self._quotes]

    @classmethod
    def load(cls, values: list[list[float]]) -> CarriedQuotes:
        """The inverse of `dump`."""
        return cls([Quote._make([int(end), *sides, int(at)]) for end, *sides, at in values])
