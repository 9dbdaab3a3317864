"""An independent computation of bars and signals with pandas: nothing here is imported from the project.

Written from the rules (market semantics, Alpaca's table of trade conditions), for recordings without late records,
cancels or corrections: every trade belongs to its second.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd

BAR_FIELDS = ["o", "h", "l", "c", "v", "vwap", "count"]


def read_messages(path: Path) -> pd.DataFrame:
    with gzip.open(path, "rt") as lines:
        frame = pd.DataFrame([json.loads(line) for line in lines])
    frame["time"] = pd.to_datetime(frame["t"], utc=True, format="ISO8601")
    frame["end"] = frame["time"].dt.floor("s") + pd.Timedelta(seconds=1)
    return frame


def condition_rules(table: Path) -> dict[tuple[str, str], tuple[bool, bool, bool]]:
    """(condition, tape) -> may it set open/close, high/low, volume; of minute bars."""
    rules = {}
    with table.open() as lines:
        for row in csv.DictReader(lines):
            if "M" in row["bar_type"]:
                for tape in row["tapes"]:
                    fields = ("update_open_close", "update_high_low", "update_volume")
                    rules[row["condition"], tape] = tuple(row[field] == "yes" for field in fields)
    return rules


def in_time(trades: pd.DataFrame, out_of_orderness: str = "2s") -> pd.Series:
    """True where the trade's window had not fired when it came: the watermark is the newest time before, less 2 s."""
    watermark = trades["time"].dt.floor("ms").cummax().shift() - pd.Timedelta(out_of_orderness)
    return ~(trades["end"] - pd.Timedelta("1ms") <= watermark)


def bars(trades: pd.DataFrame, rules: dict[tuple[str, str], tuple[bool, bool, bool]] | None) -> pd.DataFrame:
    """One row per (symbol, end) that has open, high, low, close and volume."""
    if "x" not in trades:
        trades = trades.assign(x=None)
    day = trades["time"].dt.date
    trades = trades[~trades.assign(day=day).duplicated(["S", "day", "x", "i"])].copy()
    if rules is None:
        trades[["oc", "hl", "vol"]] = True
    else:
        flags = [
            [all(rules.get((c, tape), (True,) * 3)[k] for c in conditions) for k in range(3)]
            for conditions, tape in zip(trades["c"], trades["z"], strict=True)
        ]
        trades[["oc", "hl", "vol"]] = flags
    key = ["S", "end"]
    open_close = trades[trades.oc].groupby(key)["p"].agg(o="first", c="last")
    high_low = trades[trades.hl].groupby(key)["p"].agg(h="max", l="min")
    volume = trades[trades.vol].groupby(key)["s"].agg(v="sum", count="count")
    both = (
        trades[trades.hl & trades.vol]
        .assign(pv=lambda f: f.p * f.s)
        .groupby(key)
        .agg(pv=("pv", "sum"), vv=("s", "sum"))
    )
    result = open_close.join(high_low, how="inner").join(volume, how="inner").join(both, how="left")
    result["vwap"] = result.pv / result.vv
    return result.sort_index()


def session_start(ends: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The New York day a window belongs to, reset at 04:00; by its start."""
    local = (ends - pd.Timedelta(seconds=1)).tz_convert("America/New_York").tz_localize(None)
    return (local - pd.Timedelta(hours=4)).floor("D")


def signals(one: pd.DataFrame, session: str = "extended") -> pd.DataFrame:
    """Indicators of one symbol's bars, indexed by `end`."""
    close = one["c"]
    out = pd.DataFrame(index=one.index)
    out["ema12"] = close.ewm(span=12, adjust=False).mean()
    out["ema26"] = close.ewm(span=26, adjust=False).mean()
    out["macd"] = out.ema12 - out.ema26
    out["signal"] = out.macd.ewm(span=9, adjust=False).mean()
    out["hist"] = out.macd - out.signal
    out["rsi14"] = _wilder_rsi(close.to_numpy(), 14)
    out["mid"] = close.rolling(20).mean()
    deviation = np.array([np.std(window) if len(window) == 20 else np.nan for window in close.rolling(20)])
    out["upper"], out["lower"] = out.mid + 2 * deviation, out.mid - 2 * deviation
    days = session_start(one.index) if session == "extended" else (one.index - pd.Timedelta(seconds=1)).floor("D")
    pv, vv = one.pv.fillna(0), one.vv.fillna(0)
    out["session"] = pv.groupby(days).cumsum() / vv.groupby(days).cumsum()
    out["w5m"] = pv.rolling("300s", closed="right").apply(np.sum) / vv.rolling("300s", closed="right").apply(np.sum)
    out["w60s"] = _realized_vol(one, pd.Timedelta(seconds=60))
    return out


def _wilder_rsi(close: np.ndarray, n: int) -> np.ndarray:
    change = np.diff(close)
    gains, losses = np.clip(change, 0, None), np.clip(-change, 0, None)
    out = np.full(len(close), np.nan)
    if len(change) < n:
        return out
    gain, loss = gains[:n].mean(), losses[:n].mean()
    for k in range(n, len(close)):
        if k > n:
            gain, loss = ((n - 1) * gain + gains[k - 1]) / n, ((n - 1) * loss + losses[k - 1]) / n
        out[k] = 50.0 if gain + loss == 0 else 100.0 * gain / (gain + loss)
    return out


def _realized_vol(one: pd.DataFrame, window: pd.Timedelta) -> np.ndarray:
    ends, logs = one.index, np.log(one["c"].to_numpy())
    out = np.full(len(one), np.nan)
    first = ends.searchsorted(ends - window, side="right")
    for k in range(len(one)):
        returns = np.diff(logs[first[k] : k + 1])
        if len(returns) >= 2:
            out[k] = np.std(returns)
    return out


def quotes_as_of(quotes: pd.DataFrame, ends: pd.DatetimeIndex) -> pd.DataFrame:
    """The last quote in log order of the latest second up to each end, with spread and imbalance where it allows."""
    last = quotes.groupby("end").last()
    at = last.reindex(last.index.union(ends)).ffill().reindex(ends)
    usable = (at.bp > 0) & (at.ap > 0) & (at.bs > 0) & (at["as"] > 0) & (at.bp <= at.ap)
    fresh = (ends.to_series() - at.time.dt.floor("ms")) <= pd.Timedelta(seconds=2)
    keep = usable & fresh
    out = at.rename(columns={"bp": "bid_px", "bs": "bid_sz", "ap": "ask_px", "as": "ask_sz"})
    out["spread"] = (at.ap - at.bp).where(keep)
    out["imbalance"] = ((at.bs - at["as"]) / (at.bs + at["as"])).where(keep)
    return out[["spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz"]]
