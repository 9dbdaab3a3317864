"""All indicators of one symbol on one timeframe.

The bytes of a state are little-endian float64, in this order (NaN: not there yet):

    layout version | timeframe in milliseconds | bars | end of the newest bar | indicators | columns | before

`indicators` is, for each of MACD, RSI, Bollinger, session VWAP, rolling VWAP, realized volatility and (1m only)
realized volatility by bars, the single numbers of its dump, which its class describes, and the length of its columns
if it has any. `columns` are their columns, in the same order. `before` is, for 1m, the same numbers once more from
`timeframe` on, as they were before the newest bar; nothing for 1s and before the first bar.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Self

from ta_pipeline.errors import StateVersionError
from ta_pipeline.indicators.bollinger import Bollinger
from ta_pipeline.indicators.macd import Macd
from ta_pipeline.indicators.realized_vol import RealizedVol, RealizedVolBars
from ta_pipeline.indicators.rsi import Rsi
from ta_pipeline.indicators.state import Indicator, dump_each, load_each, optional_int, or_nan
from ta_pipeline.indicators.vwap import RollingVwap, SessionVwap
from ta_pipeline.sessions import Sessions

VERSION = 2
"""Layout version of the bytes; each indicator's dump has its own beside it."""
UPGRADES: Mapping[int, Callable[[array[float]], array[float]]] = {}
"""From older layouts that `IndicatorSet.from_bytes` reads too, by their version: all numbers to those of the next."""
LOADS = tuple(UPGRADES)

Timeframe = Literal["1s", "1m"]

_TIMEFRAME_MS: dict[str, int] = {"1s": 1_000, "1m": 60_000}
_EVERY: tuple[type[Indicator], ...] = (Macd, Rsi, Bollinger, SessionVwap, RollingVwap, RealizedVol)
_PARTS: dict[Timeframe, tuple[type[Indicator], ...]] = {"1s": _EVERY, "1m": (*_EVERY, RealizedVolBars)}


def part_versions(timeframe: Timeframe) -> dict[str, int]:
    """The indicators of a timeframe by the names of their classes, and the version of each one's dump."""
    return {part.__name__: part.VERSION for part in _PARTS[timeframe]}


class Values(NamedTuple):
    """The indicators after one bar; None where the definition gives no value yet. Prices in the unit of the close."""

    ema12: float | None
    ema26: float | None
    macd: float | None
    macd_signal: float | None
    macd_hist: float | None
    rsi14: float | None
    boll_mid: float | None
    boll_upper: float | None
    boll_lower: float | None
    vwap_session: float | None
    vwap_rolling: float | None
    vol_realized: float | None
    vol_realized_30: float | None
    """Over the last 31 closes; 1m only."""
    bars: int | None
    """Bars since the state began, this one included: a reader's warm-up test."""


class IndicatorSet:
    """The indicators of one symbol on one timeframe; 1-second and upstream 1-minute bars each have their own.

    Args:
        timeframe: "1s" or "1m".
        vwap_window_ms: length of the rolling VWAP.
        vol_window_ms: length of the realized volatility.
        sessions: when the session VWAP starts anew.
    """

    __slots__ = (
        "_bars", "_before", "_bollinger", "_last_end_ms", "_macd", "_rolling", "_rsi", "_session", "_settings",
        "_vol", "_vol_bars", "timeframe",
    )  # fmt: skip

    def __init__(self, timeframe: Timeframe, vwap_window_ms: int, vol_window_ms: int, sessions: Sessions) -> None:
        if timeframe not in _TIMEFRAME_MS:
            raise ValueError(f"timeframe is {timeframe!r}; allowed are {', '.join(_TIMEFRAME_MS)}")
        self.timeframe: Timeframe = timeframe
        self._settings = (vwap_window_ms, vol_window_ms, sessions)
        self._bars = 0
        self._last_end_ms: int | None = None
        self._macd = Macd()
        self._rsi = Rsi()
        self._bollinger = Bollinger()
        self._session = SessionVwap(sessions)
        self._rolling = RollingVwap(vwap_window_ms)
        self._vol = RealizedVol(vol_window_ms)
        self._vol_bars = RealizedVolBars() if timeframe == "1m" else None
        self._before: bytes | None = None  # what `_dump` gave then; replaced as a whole

    def advance(self, end_ms: int, start_ms: int, close: float, pv: float, v: float) -> Values:
        """Take in the next bar.

        Args:
            end_ms: end of its window, epoch milliseconds; after every bar before it.
            start_ms: start of its window, which decides the session.
            close: finite and above 0.
            pv: sum of price x size over its trades that count for a vwap (of a 1m bar: vw * volume).
            v: sum of their sizes (of a 1m bar: its volume); 0 is allowed.

        Raises:
            ValueError: the bar does not end after the newest one, or the close is not finite and above 0.
        """
        self._check(end_ms, close)
        if self._vol_bars is not None:
            self._before = self._dump([])
        return self._advance(end_ms, start_ms, close, pv, v)

    def readvance(self, end_ms: int, start_ms: int, close: float, pv: float, v: float) -> Values:
        """Take in the newest 1-minute bar again, from the state before it: an updated bar. See `advance`.

        Raises:
            ValueError: the bar is not the newest one, or this is not a 1m set.
        """
        if self.timeframe == "1m" and self._bars == 0:
            return self.advance(end_ms, start_ms, close, pv, v)
        if self._before is None or end_ms != self._last_end_ms:
            raise ValueError(
                f"only the newest bar of 1m can be taken in again: this is {self.timeframe}, the newest bar ends at "
                f"{self._last_end_ms}, the given one at {end_ms}"
            )
        _check_close(end_ms, close)
        self._load(array("d", self._before), 0)
        return self._advance(end_ms, start_ms, close, pv, v)

    def preview(self, end_ms: int, start_ms: int, close: float, pv: float, v: float) -> Values:
        """What `advance` would return, bit for bit; nothing changes."""
        self._check(end_ms, close)
        fast, slow, macd, signal, hist = self._macd.preview(close)
        mid, upper, lower = self._bollinger.preview(close)
        return Values(
            fast, slow, macd, signal, hist, self._rsi.preview(close), mid, upper, lower,
            self._session.preview(start_ms, pv, v), self._rolling.preview(end_ms, pv, v),
            self._vol.preview(end_ms, close), None if self._vol_bars is None else self._vol_bars.preview(close),
            self._bars + 1,
        )  # fmt: skip

    def add_late(self, end_ms: int, start_ms: int, pv: float, v: float) -> None:
        """Take in volume of a window that was final already; it counts from the next bar on.

        Args:
            end_ms: end of that window; the rolling VWAP adds to its entry, or makes one.
            start_ms: start of that window; volume of a session that is over does not count.
            pv: change of the sum of price x size; negative for a cancel.
            v: change of the sum of sizes; negative for a cancel.
        """
        self._session.add_late(start_ms, pv, v)
        self._rolling.add_late(end_ms, pv, v)
        if self._before is not None:
            before = IndicatorSet(self.timeframe, *self._settings)
            before._load(array("d", self._before), 0)
            before.add_late(end_ms, start_ms, pv, v)
            self._before = before._dump([])

    def copy(self) -> IndicatorSet:
        """An independent set in the same state."""
        copied = object.__new__(IndicatorSet)
        copied.timeframe, copied._settings = self.timeframe, self._settings
        copied._bars, copied._last_end_ms = self._bars, self._last_end_ms
        copied._macd, copied._rsi, copied._bollinger = self._macd.copy(), self._rsi.copy(), self._bollinger.copy()
        copied._session, copied._rolling = self._session.copy(), self._rolling.copy()
        copied._vol, copied._vol_bars = self._vol.copy(), self._vol_bars.copy() if self._vol_bars is not None else None
        copied._before = self._before
        return copied

    def to_bytes(self) -> bytes:
        """The state; the module's docstring describes the layout."""
        return _little_endian(self._dump([VERSION]) + (self._before or b""))

    @classmethod
    def from_bytes(
        cls, data: bytes, timeframe: Timeframe, vwap_window_ms: int, vol_window_ms: int, sessions: Sessions
    ) -> Self:
        """The set that `to_bytes` saved. Window lengths may have changed: a longer window fills up as bars come.

        Raises:
            StateVersionError: the layout or an indicator has a version this code does not read, or the state is of
                another timeframe, or cut off.
        """
        loaded = cls(timeframe, vwap_window_ms, vol_window_ms, sessions)
        if not data or len(data) % 8:
            raise StateVersionError(f"indicator state has {len(data)} bytes; it is a list of 8-byte numbers")
        numbers = array("d", _little_endian(data))
        while numbers[0] in UPGRADES:
            numbers = UPGRADES[int(numbers[0])](numbers)
        if numbers[0] != VERSION:
            raise StateVersionError(
                f"indicator state has layout version {numbers[0]:g}; this code reads version {VERSION}: "
                "run the code that wrote it, or start without state"
            )
        end = loaded._load(numbers, 1)
        if end < len(numbers):
            loaded._before = numbers[end:].tobytes()
            end = cls(timeframe, vwap_window_ms, vol_window_ms, sessions)._load(numbers, end)
        if end != len(numbers):
            raise StateVersionError(f"indicator state has {len(numbers)} numbers, {end} were expected")
        return loaded

    def _check(self, end_ms: int, close: float) -> None:
        if self._last_end_ms is not None and end_ms <= self._last_end_ms:
            raise ValueError(f"a bar that ends at {end_ms} cannot follow the one that ends at {self._last_end_ms}")
        _check_close(end_ms, close)

    def _advance(self, end_ms: int, start_ms: int, close: float, pv: float, v: float) -> Values:
        self._bars += 1
        self._last_end_ms = end_ms
        fast, slow, macd, signal, hist = self._macd.update(close)
        mid, upper, lower = self._bollinger.update(close)
        return Values(
            fast, slow, macd, signal, hist, self._rsi.update(close), mid, upper, lower,
            self._session.update(start_ms, pv, v), self._rolling.update(end_ms, pv, v),
            self._vol.update(end_ms, close), None if self._vol_bars is None else self._vol_bars.update(close),
            self._bars,
        )  # fmt: skip

    def _parts(self) -> tuple[Indicator, ...]:
        parts = (self._macd, self._rsi, self._bollinger, self._session, self._rolling, self._vol)
        return parts if self._vol_bars is None else (*parts, self._vol_bars)

    def _dump(self, head: list[float]) -> bytes:
        head += (_TIMEFRAME_MS[self.timeframe], self._bars, or_nan(self._last_end_ms))
        return dump_each(self._parts(), head)

    def _load(self, numbers: array[float], start: int) -> int:
        """Take over the numbers from `start` on; returns where they end."""
        try:
            timeframe_ms, bars, last_end_ms = numbers[start : start + 3]
            if timeframe_ms != _TIMEFRAME_MS[self.timeframe]:
                raise StateVersionError(
                    f"indicator state is of the timeframe of {timeframe_ms:g} ms, but was given to one of "
                    f"{_TIMEFRAME_MS[self.timeframe]} ms ({self.timeframe})"
                )
            self._bars, self._last_end_ms = int(bars), optional_int(last_end_ms)
            return load_each(self._parts(), numbers, start + 3)
        except (ValueError, OverflowError, IndexError):
            raise StateVersionError(f"indicator state of {len(numbers)} numbers is cut off or damaged") from None


def _check_close(end_ms: int, close: float) -> None:
    if not 0 < close < math.inf:
        raise ValueError(f"the bar that ends at {end_ms} has close {close}; a close is finite and above 0")


def _little_endian(data: bytes) -> bytes:
    """From this machine's byte order, or to it."""
    if sys.byteorder == "little":
        return data
    numbers = array("d", data)
    numbers.byteswap()
    return numbers.tobytes()
