"""Exponential moving average.

    alpha = 2 / (N + 1)
    ema_1 = x_1,  ema_t = ema_(t-1) + alpha * (x_t - ema_(t-1))

Seeded with the first value and given from the first value on, as pandas `ewm(span=N, adjust=False).mean()`. The
smoothing constant 2 / (N + 1) is the one of Appel, "Technical Analysis: Power Tools for Active Investors" (2005).
"""

from __future__ import annotations

from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body, optional, or_nan


class Ema(Indicator):
    """EMA of `length` values, in the unit of the values.

    State: [version, ema].
    """

    VERSION = 1
    __slots__ = ("_alpha", "value")

    def __init__(self, length: int) -> None:
        self._alpha = 2.0 / (length + 1)
        self.value: float | None = None
        """The average so far; None before the first value."""

    def update(self, x: float) -> float:
        """Take in the next value."""
        value = self.value = self.preview(x)
        return value

    def preview(self, x: float) -> float:
        """What `update(x)` would return."""
        value = self.value
        return x if value is None else value + self._alpha * (x - value)

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head += (self.VERSION, or_nan(self.value))
        return ()

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        (value,) = body("EMA", numbers, self.VERSION, columns=0, fixed=1)
        self.value = optional(value)
