"""What is in ClickHouse is what the topics hold: the newest revision of each key, once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from typing import Any

from ta_pipeline.clickhouse import client_of
from tests.stack import RunningStack

BAR_COLUMNS = ("o", "h", "l", "c", "v", "vwap", "count", "feed", "last_event_ts")
SIGNAL_COLUMNS = ("c", "bars", "rsi14", "last_event_ts")


def newest(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest revision of each key."""
    ordered = sorted(records, key=lambda record: (record["revision"], record["ingest_ts"]))
    return list({(record["symbol"], record["event_ts"], record["seq"]): record for record in ordered}.values())


def in_clickhouse(stack: RunningStack, table: str, own: str) -> list[dict[str, Any]]:
    """The rows of a table or view whose symbols end with `own`."""
    query = "SELECT * FROM torghut.{table:Identifier} WHERE endsWith(symbol, {own:String})"
    with closing(client_of(stack.settings)) as client:
        return list(client.query(query, parameters={"table": table, "own": own}).named_results())


def require_rows(stack: RunningStack, own: str, bars: list[dict[str, Any]], signals: list[dict[str, Any]]) -> None:
    """The views have the newest revision of each key of these records, and nothing else.

    Args:
        stack: the stack.
        own: the end of the test's symbols; the tables are shared.
        bars: all committed records of the topic.
        signals: as well.
    """
    for name, records, columns in (("ta_microbars", bars, BAR_COLUMNS), ("ta_signals", signals, SIGNAL_COLUMNS)):
        assert rows(in_clickhouse(stack, f"{name}_latest", own), columns) == rows(newest(records), columns)


def rows(records: Iterable[dict[str, Any]], columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Key, revision, times and `columns` of records or rows, in the order of the key."""
    names = ("symbol", "event_ts", "seq", "revision", "ingest_ts", *columns)
    return sorted(tuple(seconds(record[n]) if n.endswith("_ts") else record[n] for n in names) for record in records)


def seconds(instant: str | datetime) -> float:
    """Epoch seconds."""
    return (datetime.fromisoformat(instant) if isinstance(instant, str) else instant).timestamp()
