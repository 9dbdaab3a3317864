"""The rules of docs/market-semantics.md as the pandas computation takes them: plain values, and tables of data.

No module named `reference*` imports anything of the job or of the domain behind it (import-linter keeps it so): what
both shared would be wrong in both.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

NEW_YORK = "America/New_York"
NO_SESSION = -1
SECOND_MS, MINUTE_MS, DAY_MS = 1_000, 60_000, 86_400_000
_EXTENDED_START = pd.Timedelta(hours=4)


@dataclass(frozen=True)
class Rules:
    """What decides numbers; the defaults are those of the settings.

    Attributes:
        conditions: the table of trade conditions, CSV.
        bar_rules: `alpaca`: by that table; `all`: every trade counts.
        session: when the session VWAP begins anew: `extended`, `regular` or `utc_day`.
        symbols: those to keep; empty: all.
    """

    conditions: Path
    bar_rules: str = "alpaca"
    session: str = "extended"
    symbols: tuple[str, ...] = ()
    out_of_orderness_ms: int = 2_000
    horizon_ms: int = 60_000
    quote_stale_after_ms: int = 2_000
    vwap_window_ms: int = 300_000
    vol_window_ms: int = 60_000
    max_future_ms: int = 60_000
    max_record_bytes: int = 65_536
    dedup: bool = True


class May(NamedTuple):
    """What a trade may set."""

    open_close: bool = True
    high_low: bool = True
    volume: bool = True


class Conditions:
    """The table of trade conditions: one row a condition and its tapes, three columns of yes and no."""

    def __init__(self, rules: Rules) -> None:
        self._everything = rules.bar_rules == "all"
        self._rules: dict[tuple[str, str], May] = {}
        self._known: dict[tuple[tuple[str, ...], str | None], May] = {}
        with rules.conditions.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                # Alpaca's own table has the rules of daily bars too.
                if "M" in row.get("bar_type", "M"):
                    fields = ("update_open_close", "update_high_low", "update_volume")
                    for tape in row["tapes"]:
                        self._rules[row["condition"], tape] = May(*(row[field] == "yes" for field in fields))
        self._tapes = sorted({tape for _, tape in self._rules})

    def of(self, conditions: Sequence[str] | None, tape: str | None) -> May:
        """The strictest reading of all conditions; without a tape, of all tapes. An unknown one blocks nothing."""
        if self._everything or not conditions:
            return May()
        asked = (tuple(conditions), tape)
        if asked not in self._known:
            tapes = self._tapes if tape is None else [tape]
            found = [self._rules.get((condition, on), May()) for condition in conditions for on in tapes]
            self._known[asked] = May(*(all(one[part] for one in found) for part in range(3)))
        return self._known[asked]


def session_starts(starts_ms: Longs, session: str) -> Longs:
    """The session each window belongs to by its start: the session's own start, `NO_SESSION` when it is in none."""
    if session == "utc_day":
        return starts_ms // DAY_MS * DAY_MS
    if not len(starts_ms):
        return starts_ms
    times = pd.to_datetime(starts_ms, unit="ms", utc=True)
    if session == "extended":
        days = (times.tz_convert(NEW_YORK).tz_localize(None) - _EXTENDED_START).floor("D")
        return _epoch_ms((days + _EXTENDED_START).tz_localize(NEW_YORK))
    import exchange_calendars  # noqa: PLC0415 - slow, and only regular sessions need it

    first, last = (f"{times[end].year}-{day}" for end, day in ((0, "01-01"), (-1, "12-31")))
    hours = exchange_calendars.get_calendar("XNYS", start=first, end=last).schedule
    opens, closes = (_epoch_ms(pd.DatetimeIndex(hours[column])) for column in ("open", "close"))
    at = np.searchsorted(opens, starts_ms, side="right") - 1
    inside = (at >= 0) & (starts_ms < closes[at])
    return np.where(inside, opens[at], NO_SESSION)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, as plain values by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _epoch_ms(times: pd.DatetimeIndex) -> Longs:
    return times.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
