"""Relative strength index, as its inventor smooths it.

    change_t = close_t - close_(t-1); gain = max(change, 0); loss = max(-change, 0)
    first averages: simple means of the first N gains and losses
    then            avg_t = ((N - 1) * avg_(t-1) + x_t) / N
    rsi = 100 * avg_gain / (avg_gain + avg_loss)  ( = 100 - 100 / (1 + avg_gain / avg_loss) )

Wilder, "New Concepts in Technical Trading Systems" (1978), section VI. Null before bar N + 1. Gains without losses
give 100, losses without gains 0, neither 50.
"""

from __future__ import annotations

import sys

from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body, optional, or_nan

_LARGEST = sys.float_info.max


class Rsi(Indicator):
    """RSI of `length` changes, 0 to 100.

    State: [version, changes taken in (at most N), last close, gain, loss]; gain and loss are sums during the first N
    changes (no larger than the largest double) and averages after.
    """

    VERSION = 1
    __slots__ = ("_changes", "_close", "_gain", "_length", "_loss")

    def __init__(self, length: int = 14) -> None:
        self._length = length
        self._changes = 0
        self._close: float | None = None
        self._gain = 0.0
        self._loss = 0.0

    def update(self, close: float) -> float | None:
        """Take in the next close; None until there are `length` changes."""
        self._changes, self._gain, self._loss = self._next(close)
        self._close = close
        return self._value(self._changes, self._gain, self._loss)

    def preview(self, close: float) -> float | None:
        """What `update(close)` would return."""
        return self._value(*self._next(close))

    def _next(self, close: float) -> tuple[int, float, float]:
        if self._close is None:
            return 0, 0.0, 0.0
        change = close - self._close
        gain, loss = (change, 0.0) if change > 0 else (0.0, -change)
        length = self._length
        if self._changes == length:
            # ((N - 1) * avg + x) / N, without a product that an absurd price takes beyond a double's range for ever.
            return length, self._gain + (gain - self._gain) / length, self._loss + (loss - self._loss) / length
        changes = self._changes + 1
        gain, loss = min(self._gain + gain, _LARGEST), min(self._loss + loss, _LARGEST)
        if changes == length:
            return length, gain / length, loss / length
        return changes, gain, loss

    def _value(self, changes: int, gain: float, loss: float) -> float | None:
        if changes < self._length:
            return None
        total = gain + loss
        return 100.0 * (gain / total) if total > 0 else 50.0

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head += (self.VERSION, self._changes, or_nan(self._close), self._gain, self._loss)
        return ()

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        changes, close, self._gain, self._loss = body("RSI", numbers, self.VERSION, columns=0, fixed=4)
        self._changes, self._close = int(changes), optional(close)
