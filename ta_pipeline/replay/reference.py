"""A day's messages computed a second time, with pandas, from the rules: what a replay of the job is compared with.

Written from docs/market-semantics.md and Alpaca's table of trade conditions; nothing of the job's code is imported.
Covered: bars and their revisions by late trades, cancels and corrections; signals of seconds and of upstream minutes;
quotes, late ones too; what goes to the topics of late records and of rejects. Not covered: live signals, status
messages, and ids that are forgotten after `TA_DEDUP_TTL_MS` (a bounded run ends before that).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_bars import BAR_COLUMNS, Bars, bars_of
from ta_pipeline.replay.reference_indicators import of_closes, volatility, vwaps
from ta_pipeline.replay.reference_log import read_logs
from ta_pipeline.replay.reference_minutes import minute_signals
from ta_pipeline.replay.reference_quotes import QUOTE_COLUMNS, Quotes
from ta_pipeline.replay.reference_revisions import Change, LateRecord
from ta_pipeline.replay.reference_rules import MINUTE_MS, SECOND_MS, Floats, Rules

INDICATOR_COLUMNS = [
    "ema12", "ema26", "macd", "signal", "hist", "rsi14", "mid", "upper", "lower", "session", "w5m", "w60s", "w30m",
]  # fmt: skip
SIGNAL_COLUMNS = [
    "symbol", "size", "end_ms", "seq", "revision", "c", "bars", "last_ms", *INDICATOR_COLUMNS, *QUOTE_COLUMNS,
]  # fmt: skip
SECOND, MINUTE = "PT1S", "PT1M"


@dataclass(frozen=True)
class Reference:
    """What the job has to give.

    Attributes:
        bars: every bar of every revision, by event time.
        signals: every final signal, by event time.
        late: one row a record on the late topic: `kind` of its log, `offset`, `reason`.
        rejects: one row a record that cannot be used: `kind` of its log, `offset`.
        read: messages by kind of log.
        duplicates: trades dropped because their identity was seen.
    """

    bars: pd.DataFrame
    signals: pd.DataFrame
    late: pd.DataFrame
    rejects: pd.DataFrame
    read: Mapping[str, int]
    duplicates: int


def compute_reference(paths: Sequence[Path], rules: Rules, now_ms: int | None = None) -> Reference:
    """Bars, signals, late records and rejects of recordings.

    Args:
        paths: JSON lines of Alpaca's messages or of envelopes, plain or gzip.
        rules: what decides numbers.
        now_ms: this machine's clock unless given.
    """
    logs = read_logs(paths, rules, time.time_ns() // 1_000_000 if now_ms is None else now_ms)
    found = bars_of(logs["trades"], rules)
    quotes = Quotes(logs["quotes"])
    minutes, late_minutes = minute_signals(logs["bars_1m"], rules)
    return Reference(
        bars=_bars(found),
        signals=_signals(found, minutes, quotes, rules),
        late=pd.DataFrame([*found.late, *quotes.late, *late_minutes], columns=LateRecord._fields),
        rejects=_rejects(logs),
        read={kind: len(log) for kind, log in logs.items()},
        duplicates=found.duplicates,
    )


def _bars(found: Bars) -> pd.DataFrame:
    parts = [part[BAR_COLUMNS] for part in (found.finals, found.revised) if len(part)]
    bars = pd.concat(parts) if parts else found.finals[BAR_COLUMNS]
    bars = bars.assign(seq=bars["end_ms"] // SECOND_MS)
    return bars.sort_values(["end_ms", "symbol", "revision"], ignore_index=True)


def _signals(found: Bars, minutes: list[pd.DataFrame], quotes: Quotes, rules: Rules) -> pd.DataFrame:
    parts = [_of_symbol(own, found, str(symbol), rules) for symbol, own in found.finals.groupby("symbol")]
    parts += [one.assign(size=MINUTE, seq=one["end_ms"] // MINUTE_MS) for one in minutes]
    if not parts:
        return pd.DataFrame(columns=SIGNAL_COLUMNS)
    signals = pd.concat(parts, ignore_index=True)
    signals[QUOTE_COLUMNS] = quotes.as_of(signals, rules)
    return signals.sort_values(["end_ms", "symbol", "seq", "revision"], ignore_index=True)[SIGNAL_COLUMNS]


def indicators(bars: pd.DataFrame, rules: Rules, changes: Sequence[Change] = ()) -> dict[str, Floats]:
    """The indicators of one symbol's 1-second bars: `INDICATOR_COLUMNS`, one value a bar.

    Args:
        bars: `end_ms`, `c`, and the sums `pv` and `vv` behind the VWAPs, in order of time.
        rules: the lengths of the windows, and the session.
        changes: what late records do to the sums.
    """
    ends, close = bars["end_ms"].to_numpy(), bars["c"].to_numpy(dtype=float)
    session, rolling = vwaps(bars, SECOND_MS, window_ms=rules.vwap_window_ms, session=rules.session, changes=changes)
    return {
        **of_closes(close), "session": session, "w5m": rolling,
        "w60s": volatility(ends, close, rules.vol_window_ms), "w30m": np.full(len(close), np.nan),
    }  # fmt: skip


def _of_symbol(bars: pd.DataFrame, found: Bars, symbol: str, rules: Rules) -> pd.DataFrame:
    own = bars[["symbol", "end_ms", "revision", "c", "last_ms"]]
    columns = indicators(bars, rules, found.changes.get(symbol, []))
    return own.assign(size=SECOND, seq=own["end_ms"] // SECOND_MS, bars=np.arange(1, len(own) + 1), **columns)


def _rejects(logs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    parts = [log.loc[~log["usable"], ["offset"]].assign(kind=kind) for kind, log in logs.items()]
    return pd.concat(parts, ignore_index=True)[["kind", "offset"]]
