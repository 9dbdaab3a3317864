"""Records of the output topics for tests: one builder for each kind, times as epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ta_pipeline.decode import head_in
from ta_pipeline.reader import Bar, Signal
from ta_pipeline.reader.records import Standing, handed_out
from ta_pipeline.shapes import TaBar, TaSignal

START_MS = 1_767_364_200_000


def instant(ms: int) -> str:
    """ISO-8601, milliseconds, as the job writes it."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(symbol: str, event_ms: int, *, final: bool, revision: int, last_ms: int, size: str) -> dict[str, Any]:
    """What bars and signals have in common; `event_ms` is the end of the window."""
    length_ms = 60_000 if size == "PT1M" else 1_000
    return {
        "ingest_ts": instant(last_ms + 40),
        "event_ts": instant(event_ms),
        "feed": "sip",
        "symbol": symbol,
        "seq": event_ms // length_ms,
        "is_final": final,
        "revision": revision,
        "source": "ta",
        "window": {"size": size, "step": size, "start": instant(event_ms - length_ms), "end": instant(event_ms)},
        "last_event_ts": instant(last_ms),
        "version": 1,
    }


def signal(
    symbol: str = "AAPL",
    event_ms: int = START_MS,
    close: float = 170.1,
    *,
    final: bool = True,
    revision: int = 0,
    last_ms: int | None = None,
    size: str = "PT1S",
    bars: int = 40,
    **groups: Any,
) -> dict[str, Any]:
    """A signal with every group, unless `groups` say otherwise; `last_ms` is 50 ms before the end by default."""
    last = event_ms - 50 if last_ms is None else last_ms
    return {
        **envelope(symbol, event_ms, final=final, revision=revision, last_ms=last, size=size),
        "channel": "signals" if final else "signals_live",
        "c": close,
        "bars": bars,
        "ema": {"ema12": close + 0.02, "ema26": close - 0.08},
        "macd": {"macd": 0.1, "signal": 0.05, "hist": 0.05},
        "rsi14": 55.1,
        "boll": {"mid": close - 0.1, "upper": close + 0.2, "lower": close - 0.4},
        "vwap": {"session": close - 0.5, "w5m": close - 0.25},
        "imbalance": {
            "spread": 0.01, "imbalance": 0.5, "bid_px": close - 0.01, "ask_px": close, "bid_sz": 3.0, "ask_sz": 1.0,
        },
        "vol_realized": {"w60s": 0.000123, "w30m": 0.0008 if size == "PT1M" else None},
        "vwap_window_s": 300,
        "vol_window_s": 60,
        **groups,
    }  # fmt: skip


def live(symbol: str, event_ms: int, close: float, revision: int, **fields: Any) -> dict[str, Any]:
    """The nth update of a second; its newest tick is n x 100 ms into it."""
    last_ms = fields.pop("last_ms", event_ms - 1_000 + 100 * min(revision, 10))
    return signal(symbol, event_ms, close, final=False, revision=revision, last_ms=last_ms, **fields)


def bar(
    symbol: str = "AAPL",
    event_ms: int = START_MS,
    prices: tuple[float, float, float, float] = (170.0, 170.2, 169.9, 170.1),
    volume: float = 1_200,
    *,
    revision: int = 0,
) -> dict[str, Any]:
    """A final bar: open, high, low, close and volume."""
    o, h, low, c = prices
    return {
        **envelope(symbol, event_ms, final=True, revision=revision, last_ms=event_ms - 50, size="PT1S"),
        "channel": "bars_1s",
        "o": o, "h": h, "l": low, "c": c, "v": volume, "vwap": c, "count": 4,
    }  # fmt: skip


def handed(record: dict[str, Any], standing: Standing = "newest") -> Signal | Bar:
    """A bar or a signal as `SignalReader` hands it out."""
    shape: TaSignal | TaBar = msgspec.convert(record, TaSignal if "bars" in record else TaBar)
    return handed_out(shape, record, head_in(shape), standing)
