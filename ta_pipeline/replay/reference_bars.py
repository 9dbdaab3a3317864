"""1-second bars of a log of trades: the first of each second in pandas, revisions one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_revisions import Change, LateRecord, Revisions, Trade
from ta_pipeline.replay.reference_rules import DAY_MS, Conditions, Rules, rows_of

BAR_COLUMNS = ["symbol", "end_ms", "revision", "o", "h", "l", "c", "v", "vwap", "count", "last_ms"]
_KEY = ["symbol", "end_ms"]
_FLAGS = ["open_close", "high_low", "volume"]


@dataclass(frozen=True)
class Bars:
    """What a log of trades comes to.

    Attributes:
        finals: the bars of revision 0 that a signal is about, with `pv` and `vv`, the sums behind the VWAPs.
        revised: the bars given after that.
        changes: by symbol, what revisions do to the VWAPs, in the order in which it happens.
        late: records that came too late, or that speak of a trade nobody knows.
        duplicates: trades dropped because their identity was seen.
    """

    finals: pd.DataFrame
    revised: pd.DataFrame
    changes: Mapping[str, list[Change]]
    late: list[LateRecord]
    duplicates: int


def bars_of(log: pd.DataFrame, rules: Rules) -> Bars:
    """The bars of every symbol in the log of trades (`reference_log.read_logs`)."""
    conditions = Conditions(rules)
    kept = log[log["kept"]]
    every = kept[kept["T"] == "t"]
    trades = _first_of_each(every) if rules.dedup else every
    trades = trades.assign(x=trades["x"].where(trades["x"].notna(), ""))
    allowed = [conditions.of(c, z) for c, z in zip(trades["c"], trades["z"], strict=True)]
    trades[_FLAGS] = np.array(allowed, dtype=bool).reshape(len(trades), len(_FLAGS))
    in_time, late = trades[~trades["late"]], trades[trades["late"]]
    finals = _finals(in_time)
    corrections = kept[kept["T"].isin(["x", "c"])]
    if late.empty and corrections.empty:
        return Bars(finals, pd.DataFrame(columns=BAR_COLUMNS), {}, [], len(every) - len(trades))
    revisions = _revise(in_time, late, corrections, conditions, rules)
    revised = pd.DataFrame([row for one in revisions.values() for row in one.given], columns=BAR_COLUMNS)
    return Bars(
        _replaced(finals, revisions),
        revised.sort_values([*_KEY, "revision"], ignore_index=True),
        {symbol: one.changes for symbol, one in revisions.items() if one.changes},
        [record for one in revisions.values() for record in one.late],
        len(every) - len(trades),
    )


def _first_of_each(trades: pd.DataFrame) -> pd.DataFrame:
    """The first of each identity: symbol, UTC day, exchange and id; a trade without an id always counts."""
    identity = trades.assign(day=trades["event_ms"] // DAY_MS, x=trades["x"].where(trades["x"].notna(), ""))
    seen = identity.duplicated(["symbol", "day", "x", "i"]) & trades["i"].notna()
    first: pd.DataFrame = trades[~seen]
    return first


def _finals(in_time: pd.DataFrame) -> pd.DataFrame:
    open_close = in_time[in_time["open_close"]].groupby(_KEY)["p"].agg(o="first", c="last")
    high_low = in_time[in_time["high_low"]].groupby(_KEY)["p"].agg(h="max", l="min")
    volume = in_time[in_time["volume"]].groupby(_KEY)["s"].agg(v="sum", count="count")
    both = in_time[in_time["high_low"] & in_time["volume"]]
    sums = both.assign(pv=both["p"] * both["s"]).groupby(_KEY).agg(pv=("pv", "sum"), vv=("s", "sum"))
    last = in_time.groupby(_KEY)["event_ms"].max().rename("last_ms")
    bars = open_close.join(high_low, how="inner").join(volume, how="inner").join(sums, how="left").join(last)
    bars[["pv", "vv"]] = bars[["pv", "vv"]].astype(float).fillna(0.0)
    vwap = bars["pv"] / bars["vv"]
    bars["vwap"] = vwap.where(np.isfinite(vwap))
    finals: pd.DataFrame = bars.assign(revision=0).reset_index()
    return finals[[*BAR_COLUMNS, "pv", "vv"]]


def _revise(
    in_time: pd.DataFrame, late: pd.DataFrame, corrections: pd.DataFrame, conditions: Conditions, rules: Rules
) -> dict[str, Revisions]:
    """Run the late records of every symbol that has some, beside the seconds they may touch."""
    number = corrections["i"].where(corrections["T"] == "x", corrections["oi"])
    named = set(zip(corrections["symbol"], corrections["x"].where(corrections["x"].notna(), ""), number, strict=True))
    names = zip(in_time["symbol"], in_time["x"], in_time["i"], strict=True)
    touched = set(zip(late["symbol"], late["end_ms"], strict=True))
    # A cancel takes from a whole second: of every second that holds a trade it names, all trades are wanted.
    is_named = [name in named for name in names]
    touched |= set(zip(in_time["symbol"][is_named], in_time["end_ms"][is_named], strict=True))
    mine = in_time[[key in touched for key in zip(in_time["symbol"], in_time["end_ms"], strict=True)]]

    found: dict[str, Revisions] = {}
    for symbol in {*late["symbol"], *corrections["symbol"]}:
        found[symbol] = Revisions(symbol, rules, conditions)
    for _, second in mine.groupby(_KEY):
        trades = rows_of(second)
        found[trades[0]["symbol"]].add_second(trades[0]["end_ms"], [_trade(row) for row in trades])
    for row in rows_of(late):
        found[row["symbol"]].add_late(row["end_ms"], row["watermark_ms"], row["offset"], _trade(row))
    for row in rows_of(corrections):
        found[row["symbol"]].add_correction(row)
    for revisions in found.values():
        revisions.run()
    return found


def _trade(row: Mapping[str, Any]) -> Trade:
    values = (row[name] for name in ("x", "i", "p", "s", "open_close", "high_low", "volume", "event_ms"))
    return Trade(*values)


def _replaced(finals: pd.DataFrame, revisions: Mapping[str, Revisions]) -> pd.DataFrame:
    """The finals, with the seconds that a cancel changed before they were final."""
    before = {(symbol, end): bar for symbol, one in revisions.items() for end, bar in one.before_final.items()}
    if not before:
        return finals
    stay = [key not in before for key in zip(finals["symbol"], finals["end_ms"], strict=True)]
    mended = pd.DataFrame([bar for bar in before.values() if bar is not None], columns=finals.columns)
    parts = [part for part in (finals[stay], mended) if len(part)]
    replaced: pd.DataFrame = pd.concat(parts or [finals.iloc[:0]])
    return replaced.sort_values(_KEY, ignore_index=True)
