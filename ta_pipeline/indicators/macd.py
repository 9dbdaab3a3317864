"""Moving average convergence/divergence.

    macd   = EMA(12) - EMA(26) of the closes
    signal = EMA(9) of macd, seeded with the first macd (which is 0)
    hist   = macd - signal

Appel, "Technical Analysis: Power Tools for Active Investors" (2005), ch. 8. Given from the first close on, because
each EMA is (`ta_pipeline.indicators.ema`).
"""

from __future__ import annotations

from typing import NamedTuple

from ta_pipeline.indicators.ema import Ema
from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body, optional, or_nan


class MacdValues(NamedTuple):
    """MACD and the two averages it is made of, all in the unit of the closes."""

    fast: float
    slow: float
    macd: float
    signal: float
    hist: float


class Macd(Indicator):
    """MACD(fast, slow, signal); it owns the fast and slow EMA, so nobody needs to compute them twice.

    State: [version, fast ema, slow ema, signal ema].
    """

    VERSION = 1
    __slots__ = ("_fast", "_signal", "_slow")

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self._fast = Ema(fast)
        self._slow = Ema(slow)
        self._signal = Ema(signal)

    def update(self, close: float) -> MacdValues:
        """Take in the next close."""
        values = self.preview(close)
        self._fast.value, self._slow.value, self._signal.value = values.fast, values.slow, values.signal
        return values

    def preview(self, close: float) -> MacdValues:
        """What `update(close)` would return."""
        fast = self._fast.preview(close)
        slow = self._slow.preview(close)
        macd = fast - slow
        signal = self._signal.preview(macd)
        return MacdValues(fast, slow, macd, signal, macd - signal)

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        fast, slow, signal = or_nan(self._fast.value), or_nan(self._slow.value), or_nan(self._signal.value)
        head += (self.VERSION, fast, slow, signal)
        return ()

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        fast, slow, signal = body("MACD", numbers, self.VERSION, columns=0, fixed=3)
        self._fast.value, self._slow.value, self._signal.value = optional(fast), optional(slow), optional(signal)
