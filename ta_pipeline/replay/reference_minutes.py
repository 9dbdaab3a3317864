"""Signals of upstream 1-minute bars: indicators of their own, given again when the newest minute is updated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_indicators import of_closes, volatility, volatility_of_last, vwaps
from ta_pipeline.replay.reference_revisions import LateRecord
from ta_pipeline.replay.reference_rules import MINUTE_MS, Rules, rows_of

_SAME = ["end_ms", "o", "h", "l", "c", "v", "n", "pv"]


def minute_signals(log: pd.DataFrame, rules: Rules) -> tuple[list[pd.DataFrame], list[LateRecord]]:
    """The signals of each symbol's minutes, and the bars of minutes that were not the newest any more."""
    kept = log[log["kept"]]
    vw = kept["vw"]
    bars = kept.assign(end_ms=kept["event_ms"] + MINUTE_MS, pv=vw * kept["v"], vv=kept["v"].where(vw.notna()))
    late: list[LateRecord] = []
    signals = [_of_symbol(str(symbol), own, rules, late) for symbol, own in bars.groupby("symbol")]
    return signals, late


def _of_symbol(symbol: str, bars: pd.DataFrame, rules: Rules, late: list[LateRecord]) -> pd.DataFrame:
    minutes: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    superseded: list[tuple[int, list[dict[str, Any]]]] = []
    for bar in rows_of(bars):
        newest = minutes[-1] if minutes else None
        if newest is not None and bar["end_ms"] < newest["end_ms"]:
            late.append(LateRecord("bars_1m", bar["offset"], "older_minute"))
            continue
        revision = 0
        if newest is not None and bar["end_ms"] == newest["end_ms"]:
            if all(_equal(bar[name], newest[name]) for name in _SAME):
                continue  # the same again
            superseded.append((len(rows) - 1, minutes[:]))
            minutes.pop()
            revision = rows[-1]["revision"] + 1
        minutes.append(bar)
        rows.append(
            {"symbol": symbol, "end_ms": bar["end_ms"], "revision": revision, "c": bar["c"], "bars": len(minutes)}
        )
    signals = pd.DataFrame(rows, columns=["symbol", "end_ms", "revision", "c", "bars"])
    newest_of = signals["bars"].to_numpy() - 1
    final = _values(minutes, rules)
    values = {name: column[newest_of] for name, column in final.items()}
    for row, before in superseded:
        for name, column in _values(before, rules, since=len(before) - 1).items():
            values[name][row] = column[-1]
    return signals.assign(last_ms=signals["end_ms"], **values)


def _values(minutes: list[dict[str, Any]], rules: Rules, since: int = 0) -> dict[str, Any]:
    bars = pd.DataFrame(minutes, columns=["end_ms", "c", "pv", "vv"])
    # A bar without vw has no volume that counts for a VWAP.
    bars = bars.assign(pv=bars["pv"].astype(float).fillna(0.0), vv=bars["vv"].astype(float).fillna(0.0))
    ends, close = bars["end_ms"].to_numpy(dtype=np.int64), bars["c"].to_numpy(dtype=float)
    session, rolling = vwaps(bars, MINUTE_MS, window_ms=rules.vwap_window_ms, session=rules.session, since=since)
    return {
        **of_closes(close), "session": session, "w5m": rolling,
        "w60s": volatility(ends, close, rules.vol_window_ms, since),
        "w30m": volatility_of_last(close, since=since),
    }  # fmt: skip


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other or (pd.isna(one) and pd.isna(other)))
