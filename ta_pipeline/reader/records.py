"""What a reader hands to a strategy: `Signal` and `Bar`, typed as the schemas TaSignal and TaBar1s (schema/avro).

Times are epoch milliseconds, prices and sizes as in the input. A group of a signal is None where it has no value.
Groups are named tuples: there are six in a signal, and frozen dataclasses take longer to make. A field that a newer job
adds is kept in `extra`, so that an older reader goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ta_pipeline.decode import Head, Record, epoch_ms

Standing = Literal["newest", "settles", "revises"]
"""What a record is beside those that were handed out before, of the same symbol and window size.

newest   no later window was handed out: the value to go by
settles  the first final of a window that live signals have passed; no later final was handed out
revises  of a window that is past: a correction of it, never a new value
"""

_NOTHING: Mapping[str, Any] = {}


class Ema(NamedTuple):
    """Exponential moving averages of the close over 12 and 26 bars."""

    ema12: float | None
    ema26: float | None


class Macd(NamedTuple):
    """MACD, its signal line and their difference."""

    macd: float | None
    signal: float | None
    hist: float | None


class Boll(NamedTuple):
    """Bollinger bands over 20 bars, two deviations wide."""

    mid: float | None
    upper: float | None
    lower: float | None


class Vwap(NamedTuple):
    """Volume-weighted average price: since the session began, and over `vwap_window_s` seconds."""

    session: float | None
    w5m: float | None


class Imbalance(NamedTuple):
    """The quote as of the window's end; spread and imbalance are None where it is stale, one-sided or crossed."""

    spread: float | None
    imbalance: float | None
    bid_px: float | None
    ask_px: float | None
    bid_sz: float | None
    ask_sz: float | None


class VolRealized(NamedTuple):
    """Realized volatility over `vol_window_s` seconds; of a 1-minute signal over 30 minutes."""

    w60s: float | None
    w30m: float | None


@dataclass(frozen=True, slots=True)
class Windowed:
    """What signals and bars have in common; (symbol, end_ms, seq) is the key of each."""

    symbol: str
    size: str
    """PT1S or PT1M."""
    end_ms: int
    seq: int
    is_final: bool
    """False: provisional, another record of this key follows."""
    revision: int
    standing: Standing
    last_event_ms: int
    """The newest tick in it."""
    ingest_ts: str | None
    """When the job emitted it, ISO-8601."""
    feed: str | None

    @property
    def end(self) -> datetime:
        """The end of its window, UTC."""
        return datetime.fromtimestamp(self.end_ms / 1_000, UTC)


@dataclass(frozen=True, slots=True)
class Signal(Windowed):
    """Indicator values at the end of a window."""

    c: float | None
    """The close it is about."""
    bars: int | None
    """Bars since the indicator state began."""
    ema: Ema | None
    macd: Macd | None
    rsi14: float | None
    boll: Boll | None
    vwap: Vwap | None
    imbalance: Imbalance | None
    vol_realized: VolRealized | None
    vwap_window_s: int | None
    vol_window_s: int | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this reader does not know."""


@dataclass(frozen=True, slots=True)
class Bar(Windowed):
    """A final 1-second bar."""

    o: float | None
    h: float | None
    l: float | None  # noqa: E741 - the field's name everywhere
    c: float | None
    v: float | None
    vwap: float | None
    count: int | None
    """Trades that count for the volume."""
    extra: Mapping[str, Any] = field(default_factory=dict)


ENVELOPE = frozenset({
    "ingest_ts", "event_ts", "feed", "channel", "symbol", "seq", "is_final", "revision", "source", "window",
    "last_event_ts", "version",
})  # fmt: skip
"""What bars and signals have in common."""
SIGNAL_FIELDS = ENVELOPE | {
    "c", "bars", "ema", "macd", "rsi14", "boll", "vwap", "imbalance", "vol_realized", "vwap_window_s", "vol_window_s",
}  # fmt: skip
BAR_FIELDS = ENVELOPE | {"o", "h", "l", "c", "v", "vwap", "count"}


def signal_of(record: Record, head: Head, standing: Standing) -> Signal:
    """A decoded record of a signals topic."""
    get = record.get
    ema, macd, boll, vwap = get("ema"), get("macd"), get("boll"), get("vwap")
    imbalance, vol = get("imbalance"), get("vol_realized")
    return Signal(
        head.symbol, head.size, head.event_ms, head.seq, head.is_final, head.revision, standing, head.last_event_ms,
        get("ingest_ts"), get("feed"), get("c"), get("bars"),
        None if ema is None else Ema(ema.get("ema12"), ema.get("ema26")),
        None if macd is None else Macd(macd.get("macd"), macd.get("signal"), macd.get("hist")),
        get("rsi14"),
        None if boll is None else Boll(boll.get("mid"), boll.get("upper"), boll.get("lower")),
        None if vwap is None else Vwap(vwap.get("session"), vwap.get("w5m")),
        None if imbalance is None else _imbalance(imbalance.get),
        None if vol is None else VolRealized(vol.get("w60s"), vol.get("w30m")),
        get("vwap_window_s"), get("vol_window_s"),
        _NOTHING if record.keys() <= SIGNAL_FIELDS else _unknown(record, SIGNAL_FIELDS),
    )  # fmt: skip


def bar_of(record: Record, head: Head, standing: Standing) -> Bar:
    """A decoded record of the bars topic."""
    get = record.get
    return Bar(
        head.symbol, head.size, head.event_ms, head.seq, head.is_final, head.revision, standing, head.last_event_ms,
        get("ingest_ts"), get("feed"), get("o"), get("h"), get("l"), get("c"), get("v"), get("vwap"), get("count"),
        _NOTHING if record.keys() <= BAR_FIELDS else _unknown(record, BAR_FIELDS),
    )  # fmt: skip


def ingest_ms(record: Windowed) -> int | None:
    """When the job emitted it, epoch milliseconds; not asked for each record, so it is read when it is.

    Raises:
        BadRecordError: `not_an_instant`.
    """
    return None if record.ingest_ts is None else epoch_ms(record.ingest_ts)


def _imbalance(get: Any) -> Imbalance:
    return Imbalance(get("spread"), get("imbalance"), get("bid_px"), get("ask_px"), get("bid_sz"), get("ask_sz"))


def _unknown(record: Record, known: frozenset[str]) -> Mapping[str, Any]:
    return {name: value for name, value in record.items() if name not in known}
