"""What the engine gives out: flat rows of plain values, in the order the sink tables declare.

Times are epoch milliseconds, prices and sizes as in the input; None is null.
"""

from __future__ import annotations

from typing import NamedTuple

SECOND = "PT1S"
MINUTE = "PT1M"


class Signal(NamedTuple):
    """A bar and the signal about it. `has_bar`: it goes to the bars topic; `has_signal`: to a signals topic."""

    is_final: bool
    has_bar: bool
    has_signal: bool
    size: str
    symbol: str
    ingest_ms: int
    event_ms: int
    start_ms: int
    last_ms: int
    feed: str | None
    seq: int
    revision: int
    o: float | None
    h: float | None
    l: float | None  # noqa: E741 - the field's name everywhere
    c: float | None
    v: float | None
    vwap: float | None
    n: int
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
    bars: int | None
    spread: float | None
    imbalance: float | None
    bid_px: float | None
    ask_px: float | None
    bid_sz: float | None
    ask_sz: float | None


class Late(NamedTuple):
    """A record that came too late to change anything, or that speaks of a trade nobody knows."""

    symbol: str
    ingest_ms: int
    reason: str
    kind: str
    log_topic: str | None
    log_partition: int | None
    log_offset: int | None
    event_ms: int
    end_ms: int
    watermark_ms: int | None
    price: float | None
    size: float | None
    trade: str | None


class Reject(NamedTuple):
    """A record that cannot be used."""

    symbol: str
    ingest_ms: int
    reason: str
    detail: str | None
    log_topic: str | None
    log_partition: int | None
    log_offset: int | None
    raw: bytes | None
    """How the record begins."""
    raw_size: int | None
    """Bytes of the whole record."""


Output = Signal | Late | Reject
