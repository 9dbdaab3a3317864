"""What is compared: the fields of bars and signals, and how far apart two values of each may be.

Prices, counts and times are exact. Sums and indicators may differ by 1e-9 of the larger value: both sides add the same
numbers in another order. An indicator that is a difference of almost equal prices may beside that differ by 1e-12 of
the price, which is what the rounding of those prices leaves of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RELATIVE = 1e-9
_OF_PRICE = 1e-12
_ROUNDING_OF_RETURNS = 1e-15
"""Equal returns have no deviation; their mean, in doubles, may be this far from each of them."""


@dataclass(frozen=True)
class Field:
    """One compared column.

    Attributes:
        name: of the column, on both sides.
        relative: allowed difference as a share of the larger of the two values; 0: exact.
        of_price: allowed beside that, as a share of the close.
        absolute: allowed beside that.
    """

    name: str
    relative: float = 0.0
    of_price: float = 0.0
    absolute: float = 0.0

    @property
    def is_exact(self) -> bool:
        """No difference is allowed."""
        return self.relative == self.of_price == self.absolute == 0.0

    @property
    def tolerance(self) -> str:
        """The tolerance in words."""
        if self.is_exact:
            return "exact"
        parts = [f"{self.relative:.0e}"]
        parts += [f"{self.of_price:.0e} of the close"] if self.of_price else []
        parts += [f"{self.absolute:.0e} absolute"] if self.absolute else []
        return " or ".join(part.replace("e-0", "e-") for part in parts)

    def allowed(self, one: Floats, other: Floats, close: Floats) -> Floats:
        """The allowed difference of each pair of values; `close` is the price they are about."""
        relative = self.relative * np.fmax(np.abs(one), np.abs(other))
        return np.fmax(np.fmax(relative, self.of_price * np.nan_to_num(close)), self.absolute)


@dataclass(frozen=True)
class Table:
    """One kind of record: the columns that name a record, and those that are compared."""

    name: str
    key: tuple[str, ...]
    fields: tuple[Field, ...] = ()


def _exact(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name) for name in names)


def _near(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, RELATIVE) for name in names)


_SIGNAL_FIELDS = (
    *_exact("c", "bars", "last_ms"),
    *_near("ema12", "ema26"),
    *(Field(name, RELATIVE, of_price=_OF_PRICE) for name in ("macd", "signal", "hist")),
    *_near("rsi14", "mid", "upper", "lower", "session", "w5m"),
    *(Field(name, RELATIVE, absolute=_ROUNDING_OF_RETURNS) for name in ("w60s", "w30m")),
    *_exact("bid_px", "ask_px", "bid_sz", "ask_sz"),
    Field("spread", RELATIVE, of_price=_OF_PRICE),
    *_near("imbalance"),
)
_SIGNAL_KEY = ("symbol", "size", "end_ms", "seq", "revision")

BARS = Table(
    "bars", ("symbol", "end_ms", "seq", "revision"),
    (*_exact("o", "h", "l", "c"), *_near("v", "vwap"), *_exact("count", "last_ms")),
)  # fmt: skip
SIGNALS = Table("signals", _SIGNAL_KEY, _SIGNAL_FIELDS)
LATE = Table("late", ("kind", "offset", "reason"))
REJECTS = Table("rejects", ("kind", "offset"))
TABLES = (BARS, SIGNALS, LATE, REJECTS)

CLOSE = "c"
