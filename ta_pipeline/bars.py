"""A bar as the indicators see it: its time, its close, and the volume that counts for a vwap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Bar:
    """One finished window [start_ms, end_ms) of one symbol.

    `pv` is the sum of price x size and `v` the sum of sizes, both over the trades that count for a vwap; they may be
    smaller than the bar's own volume, and `v` may be 0.
    """

    end_ms: int
    start_ms: int
    close: float
    pv: float
    v: float

    @classmethod
    def of_minute(cls, start_ms: int, close: float, vwap: float, volume: float) -> Self:
        """An upstream 1-minute bar, which gives `vw` and `v` instead of sums and is stamped with its start."""
        return cls(start_ms + MINUTE_MS, start_ms, close, vwap * volume, volume)

    @property
    def vwap(self) -> float | None:
        """Volume-weighted average price; None without volume."""
        return self.pv / self.v if self.v > 0 else None
