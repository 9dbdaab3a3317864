"""Indicators of one symbol's bars, each straight from its definition in docs/market-semantics.md.

Every function takes whole series and gives one value for each bar, NaN where there is none yet. Those that look at a
window take `since`: values before that index are not asked for and stay NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from ta_pipeline.replay.reference_revisions import Change, order_of_final
from ta_pipeline.replay.reference_rules import NO_SESSION, Floats, Longs, session_starts

_RSI, _BOLLINGER = 14, 20


def of_closes(close: Floats) -> dict[str, Floats]:
    """EMA, MACD, RSI and Bollinger bands: what depends on the closes alone."""
    ema12, ema26 = _ema(close, 12), _ema(close, 26)
    macd = ema12 - ema26
    signal = _ema(macd, 9)
    mid, upper, lower = _bollinger(close)
    return {
        "ema12": ema12, "ema26": ema26, "macd": macd, "signal": signal, "hist": macd - signal, "rsi14": _rsi(close),
        "mid": mid, "upper": upper, "lower": lower,
    }  # fmt: skip


def _ema(values: Floats, span: int) -> Floats:
    return pd.Series(values).ewm(span=span, adjust=False).mean().to_numpy()


def _bollinger(close: Floats) -> tuple[Floats, Floats, Floats]:
    mid, deviation = np.full(len(close), np.nan), np.full(len(close), np.nan)
    if len(close) >= _BOLLINGER:
        windows = sliding_window_view(close, _BOLLINGER)
        mid[_BOLLINGER - 1 :], deviation[_BOLLINGER - 1 :] = windows.mean(axis=1), windows.std(axis=1)
    return mid, mid + 2 * deviation, mid - 2 * deviation


def _rsi(close: Floats) -> Floats:
    change = np.diff(close)
    gains, losses = np.clip(change, 0, None).tolist(), np.clip(-change, 0, None).tolist()
    out = np.full(len(close), np.nan)
    if len(change) < _RSI:
        return out
    gain, loss = sum(gains[:_RSI]) / _RSI, sum(losses[:_RSI]) / _RSI
    for k in range(_RSI, len(close)):
        if k > _RSI:
            gain, loss = ((_RSI - 1) * gain + gains[k - 1]) / _RSI, ((_RSI - 1) * loss + losses[k - 1]) / _RSI
        out[k] = 50.0 if gain + loss == 0 else 100.0 * gain / (gain + loss)
    return out


def volatility(ends: Longs, close: Floats, window_ms: int, since: int = 0) -> Floats:
    """Population deviation of the log returns between bars that both end in the window; None below two returns."""
    out = np.full(len(close), np.nan)
    returns = np.log(close[1:] / close[:-1])
    first = np.searchsorted(ends, ends - window_ms, side="right")
    for k in range(since, len(close)):
        inside = returns[first[k] : k]
        if len(inside) >= 2:
            out[k] = np.std(inside)
    return out


def volatility_of_last(close: Floats, bars: int = 31, since: int = 0) -> Floats:
    """The same over the last closes, whatever time lies between them."""
    out = np.full(len(close), np.nan)
    returns = np.log(close[1:] / close[:-1])
    for k in range(max(since, 2), len(close)):
        out[k] = np.std(returns[max(0, k - bars + 1) : k])
    return out


def vwaps(
    bars: pd.DataFrame,
    size_ms: int,
    *,
    window_ms: int,
    session: str,
    changes: Sequence[Change] = (),
    since: int = 0,
) -> tuple[Floats, Floats]:
    """Session and rolling VWAP after each bar.

    Args:
        bars: `end_ms`, `pv` and `vv`, in order of time.
        size_ms: length of a bar.
        window_ms: length of the rolling one.
        session: when the other begins anew.
        changes: what late records do to the sums of a second, in order; from the next bar on they count.
        since: first bar asked for.
    """
    own = bars["end_ms"].to_numpy()
    ends = np.union1d(own, np.array([change.end_ms for change in changes], dtype=np.int64))
    pv, vv = np.zeros(len(ends)), np.zeros(len(ends))
    sessions = session_starts(ends - size_ms, session)
    begins = np.searchsorted(ends, sessions, side="right")
    oldest = np.searchsorted(ends, ends - window_ms, side="right")
    of_session, rolling = np.full(len(own), np.nan), np.full(len(own), np.nan)
    done = 0
    places = np.searchsorted(ends, own)
    for number, (at, end_ms, bar_pv, bar_vv) in enumerate(
        zip(places.tolist(), own.tolist(), bars["pv"].tolist(), bars["vv"].tolist(), strict=True)
    ):
        while done < len(changes) and changes[done].order < order_of_final(end_ms):
            changed = np.searchsorted(ends, changes[done].end_ms)
            pv[changed], vv[changed] = changes[done].pv, changes[done].vv
            done += 1
        pv[at], vv[at] = bar_pv, bar_vv
        if number < since:
            continue
        rolling[number] = _ratio(pv, vv, oldest[at], at)
        if sessions[at] != NO_SESSION:
            of_session[number] = _ratio(pv, vv, begins[at], at)
    return of_session, rolling


def _ratio(pv: Floats, vv: Floats, first: int, last: int) -> float:
    volume = float(np.add.reduce(vv[first : last + 1]))
    return float(np.add.reduce(pv[first : last + 1])) / volume if volume > 0 else np.nan
