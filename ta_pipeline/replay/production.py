"""What production gave out against a replay of the same inputs; pure.

Three things differ without anything being wrong, and are left out and counted:

- The edges. A production that started within the day has a first second of which it saw a part; its newest seconds may
  still be revised. One that started before has indicators older than the replay's, which agree after `WARM_UP` bars.
- What was late on one side only. A live job's watermark moves with the clock, a replay's with each record, so a trade
  near the limit may be late in one of them. Volume, count, high and low of such a second agree in the end and are
  compared; its open and close are not, nor the signals of the next `WARM_UP` bars. The same holds for a minute whose
  updated bar was late on one side only.
- When a late trade came. It counts in the VWAPs of the signals that follow it, and what follows it is a matter of
  timing too: the VWAPs of signals in between are not compared, all later ones are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.compare import Frames, compare
from ta_pipeline.replay.fields import BARS, SIGNALS, Table
from ta_pipeline.replay.reference import MINUTE
from ta_pipeline.replay.verdict import Comparison
from ta_pipeline.settings import Settings

WARM_UP = 400
"""(25/27)^400 < 1e-13: what an EMA 26 keeps of anything older; RSI and MACD keep less."""

_BARS = Table(BARS.name, ("symbol", "end_ms", "seq"), BARS.fields)
_SIGNALS = Table(SIGNALS.name, ("symbol", "size", "end_ms", "seq"), SIGNALS.fields)
_OF_THE_FIRST = ["o", "c", "last_ms"]
_KEY = ["symbol", "end_ms"]
_CUMULATED = ("session", "w5m")
_FIELDS = {field.name: field for field in SIGNALS.fields}
_SERIES = ["symbol", "size"]


def compare_with_production(replayed: Frames, emitted: Frames, settings: Settings) -> Comparison:
    """The verdict on what production emitted, measured by the replay.

    Args:
        replayed: what the job gave in the replay.
        emitted: what production's topics hold of the day.
        settings: production's.
    """
    notes: list[str] = []
    bars, own_bars = _newest(replayed["bars"], _KEY), _newest(emitted["bars"], _KEY)
    first, last = _edges(emitted["bars"], settings.revision_horizon_ms)
    bars, own_bars = (_within(frame, first, last) for frame in (bars, own_bars))
    left_out = len(_newest(replayed["bars"], _KEY)) - len(bars)
    if left_out:
        notes.append(
            f"{left_out:,} seconds at the edges of what production gave out are left out: before its first whole "
            f"second, or so new ({settings.revision_horizon_ms / 1_000:g} s) that they may still be revised"
        )
    unsettled = _late_on_one_side(bars, own_bars)
    if len(unsettled):
        notes.append(
            f"{len(unsettled):,} seconds were revised on one side only: compared by their newest revision, without "
            "open, close and last_event_ts"
        )
        bars, own_bars = (_blank(frame, unsettled, _OF_THE_FIRST) for frame in (bars, own_bars))
    signals, own_signals = _signals(replayed, first, last), _signals(emitted, first, last)
    settled = _settled(signals, own_signals, unsettled, settings, notes)
    signals, own_signals = (_only(frame, settled) for frame in (signals, own_signals))
    _forget_what_began_elsewhere(signals, own_signals, notes)
    revised = pd.concat([_revised(replayed["bars"]), _revised(emitted["bars"])]).drop_duplicates()
    _forget_what_took_a_late_trade_earlier(signals, own_signals, revised, settings, notes)
    return compare(
        {"bars": bars, "signals": signals},
        {"bars": own_bars, "signals": own_signals},
        sides=("replay", "production"),
        notes=notes,
        tables=(_BARS, _SIGNALS),
    )


def _newest(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """The newest revision of each key, in the order they came; one that came twice stays twice."""
    return frame[frame["revision"] == frame.groupby(key)["revision"].transform("max")]


def _edges(emitted: pd.DataFrame, horizon_ms: int) -> tuple[int, int]:
    """Seconds that end after the first and not after the second of these are compared."""
    if emitted.empty:
        return 0, 0
    return int(emitted["end_ms"].min()), int(emitted["end_ms"].max()) - horizon_ms


def _within(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    return frame[(frame["end_ms"] > first) & (frame["end_ms"] <= last)]


def _late_on_one_side(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    both = one[[*_KEY, "revision"]].merge(other[[*_KEY, "revision"]], on=_KEY, how="inner")
    return both.loc[both["revision_x"] != both["revision_y"], _KEY]


def _updated_on_one_side(own: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Minutes whose updated bar came before the watermark on one side, and revised the minute on the other."""
    both = own[["end_ms", "revision"]].merge(theirs[["end_ms", "revision"]], on="end_ms", how="inner")
    return both[both["revision_x"] != both["revision_y"]]


def _blank(frame: pd.DataFrame, seconds: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    found = pd.MultiIndex.from_frame(frame[_KEY]).isin(pd.MultiIndex.from_frame(seconds))
    blanked = frame.astype(dict.fromkeys(columns, float))
    blanked.loc[found, columns] = np.nan
    return blanked


def _signals(side: Frames, first: int, last: int) -> pd.DataFrame:
    frame = side["signals"]
    return _within(_newest(frame, [*_SERIES, "end_ms"]), first, last)


def _settled(
    replayed: pd.DataFrame, emitted: pd.DataFrame, unsettled: pd.DataFrame, settings: Settings, notes: list[str]
) -> pd.DataFrame:
    """The keys of the signals whose indicators have to agree."""
    kept = []
    for (symbol, size), own in replayed.groupby(_SERIES):
        ends = own["end_ms"].to_numpy()
        theirs = emitted[(emitted["symbol"] == symbol) & (emitted["size"] == size)]
        usable = np.ones(len(own), dtype=bool)
        began = own[["end_ms", "bars"]].merge(theirs[["end_ms", "bars"]], on="end_ms")
        if (began["bars_x"] != began["bars_y"]).any():
            usable[:WARM_UP] = False
            usable &= ends > ends.min() + settings.vwap_window_seconds * 1_000
        late = unsettled.loc[unsettled["symbol"] == symbol] if size != MINUTE else _updated_on_one_side(own, theirs)
        for end_ms in late["end_ms"]:
            at = int(np.searchsorted(ends, end_ms))
            usable[at : at + WARM_UP] = False
        kept.append(own.loc[usable, [*_SERIES, "end_ms"]])
    keys = pd.concat(kept) if kept else replayed[[*_SERIES, "end_ms"]]
    if len(keys) < len(replayed):
        notes.append(
            f"{len(replayed) - len(keys):,} signals are left out: in the {WARM_UP} bars after a start with another "
            "history, or after a second that was revised on one side only"
        )
    return keys


def _only(frame: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    columns = [*_SERIES, "end_ms"]
    return frame[pd.MultiIndex.from_frame(frame[columns]).isin(pd.MultiIndex.from_frame(keys))].copy()


def _revised(bars: pd.DataFrame) -> pd.DataFrame:
    return bars.loc[bars["revision"] > 0, _KEY]


def _forget_what_took_a_late_trade_earlier(
    replayed: pd.DataFrame, emitted: pd.DataFrame, revised: pd.DataFrame, settings: Settings, notes: list[str]
) -> None:
    """Blank the VWAP of signals before which a late trade came on one side, and after which on the other.

    It counts in every later VWAP, on both sides: so only what came in between differs, and only within the horizon.
    """
    keys = [*_SERIES, "end_ms"]
    both = replayed[[*keys, *_CUMULATED]].merge(emitted[[*keys, *_CUMULATED]], on=keys)
    differ = np.zeros(len(both), dtype=bool)
    for name in _CUMULATED:
        one, other = both[f"{name}_x"].to_numpy(float), both[f"{name}_y"].to_numpy(float)
        differ |= np.abs(one - other) > _FIELDS[name].relative * np.fmax(np.abs(one), np.abs(other))
    ends = {symbol: np.sort(group["end_ms"].to_numpy()) for symbol, group in revised.groupby("symbol")}
    explained = [
        index
        for index, symbol, end_ms in both.loc[differ, ["symbol", "end_ms"]].itertuples()
        if _has_within(ends.get(symbol), end_ms - settings.revision_horizon_ms, end_ms)
    ]
    if not explained:
        return
    chosen = pd.MultiIndex.from_frame(both.loc[explained, keys])
    for frame in (replayed, emitted):
        frame.loc[pd.MultiIndex.from_frame(frame[keys]).isin(chosen), list(_CUMULATED)] = np.nan
    notes.append(
        f"{len(explained):,} signals were given out before a late trade of an earlier second on one side, and after it "
        "on the other: their VWAPs are not compared, those of the later ones are"
    )


def _has_within(ends: np.ndarray[Any, np.dtype[np.int64]] | None, after: int, before: int) -> bool:
    return ends is not None and bool(((ends >= after) & (ends < before)).any())


def _forget_what_began_elsewhere(replayed: pd.DataFrame, emitted: pd.DataFrame, notes: list[str]) -> None:
    """Blank what counts from the start of the state where the two have not started together."""
    both = replayed[[*_SERIES, "end_ms", "bars"]].merge(emitted[[*_SERIES, "end_ms", "bars"]], on=[*_SERIES, "end_ms"])
    if (both["bars_x"] == both["bars_y"]).all():
        return
    blank = ["bars"]
    if (both["bars_y"] < both["bars_x"]).any():
        blank.append("session")
    for frame in (replayed, emitted):
        frame[blank] = np.nan
    notes.append(f"production and the replay did not start at the same bar: {' and '.join(blank)} are not compared")
