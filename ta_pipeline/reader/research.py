"""Signals and bars of the past from ClickHouse, as pandas frames.

    frame = signals_between(load_settings(), ["NVDA"], start, end)
    frame.loc["NVDA"]["rsi14"].plot()

The tables have final records only, the newest revision of each; a frame's index is (symbol, event_ts), where event_ts
is the end of the window, UTC. Definition of the columns: schema/clickhouse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import pandas as pd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as DriverError

from ta_pipeline.clickhouse import DATABASE, client_of, kind_of
from ta_pipeline.errors import SettingsError
from ta_pipeline.settings import Settings
from ta_pipeline.signals.outputs import MINUTE, SECOND

SYMBOL_BYTES = 2_048
"""Of the symbols in one question, as they stand in its URL: some servers take no more than 4 KiB there."""
UNKNOWN_AS_OF = "unknown_as_of"
"""Name of the attribute of a frame that says how many windows have lost what they were at `as_of`."""
_KEY = ["symbol", "event_ts"]
_SIZES = (SECOND, MINUTE)
_INSTANT = "datetime64[ms, UTC]"
_FIRST = {"symbol": "object", "event_ts": _INSTANT, "seq": "uint64", "revision": "uint32"}
_LAST = {"feed": "object", "source": "object", "last_event_ts": _INSTANT, "ingest_ts": _INSTANT}
_FLOATS = (
    "ema12", "ema26", "macd", "macd_signal", "macd_hist", "rsi14", "boll_mid", "boll_upper", "boll_lower",
    "vwap_session", "vwap_w5m", "spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz", "vol_w60s", "vol_w30m",
)  # fmt: skip
_TYPES: Mapping[str, Mapping[str, str]] = {
    "ta_microbars": {
        **_FIRST, **dict.fromkeys(("o", "h", "l", "c", "v", "vwap"), "float64"), "count": "uint64", **_LAST,
    },
    "ta_signals": {
        **_FIRST, "window_size": "object", "c": "float64", "bars": "uint64", **dict.fromkeys(_FLOATS, "float64"),
        "vwap_window_s": "uint32", "vol_window_s": "uint32", **_LAST,
    },
}  # fmt: skip
"""Columns of the tables as numpy and pandas have them; NaN is null."""
_ROWS = (
    "symbol IN {symbols:Array(String)} AND event_ts >= {start:DateTime64(3, 'UTC')} "
    "AND event_ts < {end:DateTime64(3, 'UTC')}"
)
_NEWEST = "SELECT * FROM {database:Identifier}.{table:Identifier} FINAL WHERE <rows>"
_AS_OF = """\
SELECT * FROM {database:Identifier}.{table:Identifier} WHERE <rows> AND ingest_ts <= {as_of:DateTime64(3, 'UTC')}
ORDER BY row_version DESC LIMIT 1 BY symbol, event_ts, seq"""
_UNKNOWN_AS_OF = """\
SELECT count() FROM (
    SELECT symbol, event_ts, seq FROM {database:Identifier}.{table:Identifier} WHERE <rows>
    GROUP BY symbol, event_ts, seq
    HAVING min(ingest_ts) > {as_of:DateTime64(3, 'UTC')} AND min(revision) > 0
)"""


@dataclass(frozen=True)
class _Asked:
    """What rows; checked."""

    symbols: Sequence[str]
    start: datetime
    end: datetime
    as_of: datetime | None

    def __post_init__(self) -> None:
        if isinstance(self.symbols, str):
            raise SettingsError(f"symbols={self.symbols!r} is not allowed: it is a list, as in [{self.symbols!r}]")
        if not self.symbols:
            raise SettingsError("symbols is empty; name at least one: all symbols of a day do not fit into memory")
        for name, moment in (("start", self.start), ("end", self.end), ("as_of", self.as_of)):
            if moment is not None and moment.tzinfo is None:
                raise SettingsError(
                    f"{name}={moment.isoformat()} has no zone; give one, as in datetime(..., tzinfo=UTC)"
                )
        if self.start >= self.end:
            raise SettingsError(
                f"start={self.start.isoformat()} is not before end={self.end.isoformat()}; the range is [start, end)"
            )


def signals_between(
    source: Settings | Client,
    symbols: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    size: Literal["PT1S", "PT1M"] = "PT1S",
    as_of: datetime | None = None,
    database: str = DATABASE,
) -> pd.DataFrame:
    """Final signals whose windows end in [start, end), sorted by symbol and time.

    Args:
        source: settings with `TA_CLICKHOUSE_*`, or a client that is connected.
        symbols: at least one.
        start: with a zone.
        end: with a zone, after `start`.
        size: of the windows.
        as_of: as they were known then: what the job emitted later is left out. Needs a zone. A revision that another
            one has replaced may be gone: `frame.attrs["unknown_as_of"]` counts the windows of which nothing is left.
        database: another one than production's, as that of a replay.

    Raises:
        SettingsError: an argument is not allowed.
        ClickHouseError: ClickHouse refuses.
        ClickHouseNoAnswerError: ClickHouse does not answer.
    """
    if size not in _SIZES:
        raise SettingsError(f"size={size!r} is not allowed: it is one of {', '.join(_SIZES)}")
    frame = _between(source, "ta_signals", _Asked(symbols, start, end, as_of), database, f" AND window_size = '{size}'")
    return frame.drop(columns="window_size")


def bars_between(
    source: Settings | Client,
    symbols: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    as_of: datetime | None = None,
    database: str = DATABASE,
) -> pd.DataFrame:
    """Final 1-second bars whose seconds end in [start, end); arguments and errors as of `signals_between`."""
    return _between(source, "ta_microbars", _Asked(symbols, start, end, as_of), database, "")


def chunks(symbols: Iterable[str], most_bytes: int = SYMBOL_BYTES) -> list[list[str]]:
    """The symbols, sorted and each once, in as many lists as questions are needed; pure."""
    found: list[list[str]] = []
    left = 0
    for symbol in sorted(set(symbols)):
        # As the client writes it: 'NVDA', and each special character as three.
        need = len(quote(f"'{symbol}',", safe=""))
        if not found or need > left:
            found.append([])
            left = most_bytes
        found[-1].append(symbol)
        left -= need
    return found


def _between(source: Settings | Client, table: str, asked: _Asked, database: str, more: str) -> pd.DataFrame:
    rows = _ROWS + more
    query = (_NEWEST if asked.as_of is None else _AS_OF).replace("<rows>", rows)
    where: dict[str, Any] = {
        "database": database, "table": table, "start": _utc(asked.start), "end": _utc(asked.end),
    }  # fmt: skip
    if asked.as_of is not None:
        where["as_of"] = _utc(asked.as_of)
    frames, unknown = [], 0
    with _connected(source) as client, _asking():
        for chunk in chunks(asked.symbols):
            parameters = {**where, "symbols": chunk}
            frames.append(client.query_df(query, parameters=parameters, use_extended_dtypes=False))
            if asked.as_of is not None:
                counted = client.query(_UNKNOWN_AS_OF.replace("<rows>", rows), parameters=parameters)
                unknown += int(counted.result_rows[0][0])
    frame = _typed([frame for frame in frames if len(frame)], _TYPES[table]).set_index(_KEY).sort_index()
    if asked.as_of is not None:
        frame.attrs[UNKNOWN_AS_OF] = unknown
    return frame


def _typed(frames: list[pd.DataFrame], types: Mapping[str, str]) -> pd.DataFrame:
    """One frame, its columns of the same types whether there are rows or not."""
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
    frame = pd.concat(frames, ignore_index=True)
    for name in [name for name, kind in types.items() if kind == _INSTANT]:
        # The client gives UTC without saying so.
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame.astype(dict(types))


def _utc(moment: datetime) -> str:
    """As ClickHouse reads it, whatever the zone of the client."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


@contextmanager
def _connected(source: Settings | Client) -> Iterator[Client]:
    if not isinstance(source, Settings):
        yield source
        return
    client = client_of(source)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except DriverError as error:
        lines = str(error).strip().splitlines()
        raise kind_of(error)(f"ClickHouse: {lines[0] if lines else type(error).__name__}") from None
