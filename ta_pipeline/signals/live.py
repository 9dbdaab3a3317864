"""The provisional side: what the signal would be if the second ended now.

A final bar is two seconds behind; a live signal is about now. So the seconds that have trades but are not final are
advanced on a copy of the indicators, and the newest is previewed on top of them. Nothing here is saved: after a
restart the seconds in flight are built up again from the slices.
"""

from __future__ import annotations

from ta_pipeline.indicators.set import IndicatorSet, Values
from ta_pipeline.signals.quotes import Quote
from ta_pipeline.signals.second import Second

_SECOND_MS = 1_000
_QUOTES = 8
"""Seconds whose quotes are kept: those in flight at the default lateness, and some to spare."""


class LiveSeconds:
    """Seconds in flight of one symbol, and the copy of the indicators that has taken in all but the newest."""

    __slots__ = ("_ahead", "_applied", "_quotes", "_seconds", "given_out")

    def __init__(self) -> None:
        self._seconds: dict[int, Second] = {}
        self._ahead: IndicatorSet | None = None
        self._applied: list[tuple[int, float, float, float]] = []
        self._quotes: dict[int, Quote] = {}
        self.given_out: dict[int, int] = {}

    def take_quote(self, quote: Quote) -> None:
        """Keep the newest quote of its second, and the seconds that may still be previewed."""
        self._quotes[quote.end_ms] = quote
        if len(self._quotes) > _QUOTES:
            del self._quotes[min(self._quotes)]

    def quote_as_of(self, end_ms: int, final: Quote | None) -> Quote | None:
        """The newest quote up to `end_ms`; `final` is what the final side knows, and right where it knows as much."""
        newest = max((end for end in self._quotes if end <= end_ms), default=None)
        if newest is None or (final is not None and final.end_ms >= newest):
            return final
        return self._quotes[newest]

    def take_slice(self, part: Second) -> Second:
        """Merge a slice into its second."""
        second = self._seconds.get(part.end_ms)
        if second is None:
            self._seconds[part.end_ms] = part
            return part
        second.merge(part)
        return second

    def second(self, end_ms: int) -> Second | None:
        """The second in flight that ends at `end_ms`."""
        return self._seconds.get(end_ms)

    def preview(self, second: Second, final: IndicatorSet) -> Values:
        """The indicators as if `second` ended now, after every earlier second in flight."""
        in_flight = (_as_bar(self._seconds[end]) for end in sorted(self._seconds) if end < second.end_ms)
        before = [bar for bar in in_flight if bar is not None]
        if self._ahead is None or self._applied != before[: len(self._applied)]:
            self._ahead, self._applied = final.copy(), []
        for end_ms, close, pv, vv in before[len(self._applied) :]:
            self._ahead.advance(end_ms, end_ms - _SECOND_MS, close, pv, vv)
        self._applied = before
        assert second.c is not None  # noqa: S101 - the caller checked that it is a bar
        return self._ahead.preview(second.end_ms, second.end_ms - _SECOND_MS, second.c, second.pv, second.vv)

    def next_revision(self, end_ms: int, now_ms: int, slice_ms: int) -> int:
        """The number of the update, counted in slices since the second began: it grows across restarts too."""
        number = max(self.given_out.get(end_ms, 0) + 1, (now_ms - end_ms + _SECOND_MS) // slice_ms)
        self.given_out[end_ms] = number
        return number

    def became_final(self, second: Second) -> None:
        """Forget a second and all before it; the copy stays good if the final bar is the one it has taken in."""
        for end in [end for end in self._seconds if end <= second.end_ms]:
            del self._seconds[end]
        for end in [end for end in self.given_out if end <= second.end_ms]:
            del self.given_out[end]
        final = _as_bar(second)
        if self._applied and final is not None and self._applied[0] == final:
            self._applied.pop(0)
        elif final is not None:
            self._ahead = None

    def state_changed(self) -> None:
        """The final indicators changed otherwise (late volume): start the copy again."""
        self._ahead = None


def _as_bar(second: Second) -> tuple[int, float, float, float] | None:
    return (second.end_ms, second.c, second.pv, second.vv) if second.is_bar and second.c is not None else None
