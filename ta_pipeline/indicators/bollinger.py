"""Bollinger bands.

    mid = simple mean of the last N closes
    upper, lower = mid +- K * standard deviation of the same N closes

Bollinger, "Bollinger on Bollinger Bands" (2001): N = 20, K = 2, and the POPULATION standard deviation (divisor N),
as pandas `rolling(20).std(ddof=0)`. Null before bar N.
"""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

from ta_pipeline.indicators.deviation import mean_and_deviation
from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body


class Bands(NamedTuple):
    """The three lines, in the unit of the closes; all None before bar N, and when one is too large for a double."""

    mid: float | None
    upper: float | None
    lower: float | None


_NO_BANDS = Bands(None, None, None)


class Bollinger(Indicator):
    """Bands of `length` closes, `width` standard deviations wide; recomputed from the window at every close.

    State: [version, the last closes (at most N), oldest first].
    """

    VERSION = 1
    __slots__ = ("_closes", "_length", "_width")

    def __init__(self, length: int = 20, width: float = 2.0) -> None:
        self._length = length
        self._width = width
        self._closes: array[float] = array("d")

    def update(self, close: float) -> Bands:
        """Take in the next close."""
        closes = self._closes
        if len(closes) == self._length:
            del closes[0]
        closes.append(close)
        return self._bands(closes)

    def preview(self, close: float) -> Bands:
        """What `update(close)` would return."""
        closes = self._closes[1:] if len(self._closes) == self._length else self._closes[:]
        closes.append(close)
        return self._bands(closes)

    def _bands(self, closes: array[float]) -> Bands:
        if len(closes) < self._length:
            return _NO_BANDS
        mid, deviation = mean_and_deviation(closes)
        half = self._width * deviation
        upper = mid + half
        return Bands(mid, upper, mid - half) if upper < math.inf else _NO_BANDS

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head.append(self.VERSION)
        return (self._closes,)

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        closes = body("Bollinger", numbers, self.VERSION)
        self._closes = array("d", closes[-self._length :])
