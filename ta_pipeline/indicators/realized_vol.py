"""Realized volatility: population standard deviation of log returns, not annualised.

    r_t = ln(close_t / close_(t-1)) between consecutive bars, however far apart
    vol = sqrt(sum((r - mean(r))^2) / n)

Log returns as in Andersen, Bollerslev, Diebold & Labys, "Modeling and Forecasting Realized Volatility" (Econometrica
71, 2003); the mean is taken out and the sum averaged, so the unit is a return per bar. None below 2 returns. The
window is a time span (`RealizedVol`) or a number of bars (`RealizedVolBars`); each value is computed anew from the
returns in it.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from ta_pipeline.indicators.deviation import deviation
from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body, optional, or_nan


class RealizedVol(Indicator):
    """Over the returns between bars that BOTH end in (end_ms - window_ms, end_ms].

    State: [version, last close, the ends, the returns], two columns of the same length, oldest first; the return of
    a bar is the one that leads to it (0 for the first bar of all, which no window ever uses).
    """

    VERSION = 1
    __slots__ = ("_close", "_ends", "_returns", "_window_ms")

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._close: float | None = None
        self._ends: array[float] = array("d")
        self._returns: array[float] = array("d")

    def update(self, end_ms: int, close: float) -> float | None:
        """Take in the next bar: end in epoch milliseconds, close above 0."""
        returned = _log_return(self._close, close)
        expired = bisect_right(self._ends, float(end_ms - self._window_ms))
        if expired:
            del self._ends[:expired], self._returns[:expired]
        self._ends.append(end_ms)
        self._returns.append(returned)
        self._close = close
        returns = self._returns.tolist()
        del returns[0]
        return _deviation(returns)

    def preview(self, end_ms: int, close: float) -> float | None:
        """What `update(end_ms, close)` would return."""
        expired = bisect_right(self._ends, float(end_ms - self._window_ms))
        returns = self._returns[expired:].tolist()
        returns.append(_log_return(self._close, close))
        del returns[0]
        return _deviation(returns)

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head += (self.VERSION, or_nan(self._close))
        return self._ends, self._returns

    def load(self, numbers: Numbers) -> None:
        """Take over a dump; bars outside a window that is now shorter leave with the next update.

        Raises:
            StateVersionError: it was written by another version.
        """
        columns = body("realized volatility", numbers, self.VERSION, columns=2, fixed=1)
        middle = 1 + len(columns) // 2
        self._close = optional(columns[0])
        self._ends = array("d", columns[1:middle])
        self._returns = array("d", columns[middle:])


class RealizedVolBars(Indicator):
    """Over the returns between the last `bars` closes, whatever time lies between them.

    State: [version, last close, the last returns (at most bars - 1), oldest first].
    """

    VERSION = 1
    __slots__ = ("_close", "_returns", "_size")

    def __init__(self, bars: int = 31) -> None:
        self._size = bars - 1
        self._close: float | None = None
        self._returns: array[float] = array("d")

    def update(self, close: float) -> float | None:
        """Take in the next close, above 0."""
        self._returns = self._next(close)
        self._close = close
        return _deviation(self._returns.tolist())

    def preview(self, close: float) -> float | None:
        """What `update(close)` would return."""
        return _deviation(self._next(close).tolist())

    def _next(self, close: float) -> array[float]:
        if self._close is None:
            return array("d")
        returns = self._returns[-(self._size - 1) :]
        returns.append(_log_return(self._close, close))
        return returns

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head += (self.VERSION, or_nan(self._close))
        return (self._returns,)

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        columns = body("realized volatility by bars", numbers, self.VERSION, fixed=1)
        self._close = optional(columns[0])
        self._returns = array("d", columns[1:][-self._size :])


def _log_return(before: float | None, close: float) -> float:
    if before is None:
        return 0.0
    ratio = close / before
    # Two absurd prices may be further apart than a double's range; their logarithms never are.
    return math.log(ratio) if 0 < ratio < math.inf else math.log(close) - math.log(before)


def _deviation(returns: list[float]) -> float | None:
    return deviation(returns) if len(returns) >= 2 else None
