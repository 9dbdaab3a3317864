"""The one query: every branch as a `TickRow`, UNION ALL, so that each topic is read and deduplicated once.

    FINAL   event-time TUMBLE 1 s over the trades that are in time
    QUOTE   the same over the quotes: the last one of each second
    LIVE    processing-time TUMBLE over trades and quotes, per second (off in bounded runs)
    LATE, LATE_QUOTE, CANCEL, BAR_1M, STATUS, CLOCK, REJECT   record by record

The branches must need the same columns of `trades`: the planner shares a deduplication only when its rows are the
same (docs/decisions/0003-one-query-one-deduplication.md).
"""

from __future__ import annotations

from flink.conditions import HIGH_LOW, OPEN_CLOSE, VOLUME, allowed, rule_sql
from flink.tables import BARS_1M_READ, QUOTES_READ, STATUS, TRADES_READ
from flink.ticks import kept_symbols_sql
from ta_pipeline import rows
from ta_pipeline.settings import Settings
from ta_pipeline.trade_conditions import TradeConditions

TYPES = {
    "branch": "STRING", "symbol": "STRING", "end_ms": "BIGINT",
    "o": "DOUBLE", "h": "DOUBLE", "l": "DOUBLE", "c": "DOUBLE", "v": "DOUBLE", "n": "BIGINT",
    "pv": "DOUBLE", "vv": "DOUBLE", "last_ms": "BIGINT",
    "bid_px": "DOUBLE", "bid_sz": "DOUBLE", "ask_px": "DOUBLE", "ask_sz": "DOUBLE", "quote_ms": "BIGINT",
    "trades": "STRING", "mask": "INT", "unknown": "INT", "ticks": "BIGINT", "watermark_ms": "BIGINT",
    "log_topic": "STRING", "log_partition": "INT", "log_offset": "BIGINT",
    "feed": "STRING", "kind": "STRING", "detail": "STRING", "raw": "BYTES",
}  # fmt: skip


def ticks_query(settings: Settings, rules: TradeConditions, *, live: bool) -> str:
    """The query of all branches: the key, and a nested row whose fields are `ta_pipeline.rows.COLUMNS`."""
    branches = [_final(), _quote(), _late(settings), _late_quote(settings), _cancel(settings, rules), _bar_1m(settings)]
    branches += [_status(settings), *(_reject(table) for table in (TRADES_READ, QUOTES_READ, BARS_1M_READ, STATUS))]
    if live:
        branches.insert(0, _live(settings))
        branches.append(_clock())
    columns = ", ".join(f"`{name}`" for name in TYPES)
    return f"SELECT symbol AS `key`, ROW({columns}) AS `row` FROM (" + "\nUNION ALL\n".join(branches) + ")"


def _branch(name: str, columns: dict[str, str], source: str) -> str:
    unknown = set(columns) - set(TYPES)
    if unknown:
        raise ValueError(f"not columns of a TickRow: {sorted(unknown)}")
    picked = {"branch": f"'{name}'", **columns}
    select = ", ".join(
        f"CAST({picked[column]} AS {kind}) AS `{column}`" if column in picked else f"CAST(NULL AS {kind}) AS `{column}`"
        for column, kind in TYPES.items()
    )
    return f"SELECT {select} FROM {source}"


_BAR = {
    "o": f"FIRST_VALUE(p) FILTER (WHERE {allowed(OPEN_CLOSE)})",
    "h": f"MAX(p) FILTER (WHERE {allowed(HIGH_LOW)})",
    "l": f"MIN(p) FILTER (WHERE {allowed(HIGH_LOW)})",
    "c": f"LAST_VALUE(p) FILTER (WHERE {allowed(OPEN_CLOSE)})",
    "v": f"SUM(s) FILTER (WHERE {allowed(VOLUME)})",
    "n": f"COUNT(*) FILTER (WHERE {allowed(VOLUME)})",
    "pv": f"SUM(p * s) FILTER (WHERE {allowed(HIGH_LOW | VOLUME)})",
    "vv": f"SUM(s) FILTER (WHERE {allowed(HIGH_LOW | VOLUME)})",
    "last_ms": "MAX(event_ms)",
    "unknown": "SUM(conditions_unknown)",
    "ticks": "COUNT(*)",
    "feed": "FIRST_VALUE(feed)",
}
_QUOTE = {
    "bid_px": "LAST_VALUE(bp)", "bid_sz": "LAST_VALUE(bs)", "ask_px": "LAST_VALUE(ap)", "ask_sz": "LAST_VALUE(az)",
}  # fmt: skip

_PLACES = {"log_partition": "MAX(log_partition)", "log_offset": "MAX(log_offset)"}


def _windowed(columns: dict[str, str]) -> str:
    return ", ".join(f"{expression} AS `{name}`" for name, expression in columns.items())


def _final() -> str:
    columns = {**_BAR, **_PLACES, "trades": "LIST_TRADES(x, i, mask, p, s)"}
    source = f"""(
        SELECT symbol, MAX(end_ms) AS end_ms, {_windowed(columns)}
        FROM TABLE(TUMBLE(TABLE trades_in_time, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
        GROUP BY symbol, window_start, window_end)"""
    return _branch(rows.FINAL, {name: f"`{name}`" for name in ("symbol", "end_ms", *columns)}, source)


def _quote() -> str:
    columns = {**_QUOTE, "quote_ms": "LAST_VALUE(event_ms)", "ticks": "COUNT(*)"}
    source = f"""(
        SELECT symbol, MAX(end_ms) AS end_ms, {_windowed(columns)}
        FROM TABLE(TUMBLE(TABLE quotes_in_time, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
        GROUP BY symbol, window_start, window_end)"""
    return _branch(rows.QUOTE, {name: f"`{name}`" for name in ("symbol", "end_ms", *columns)}, source)


def _live(settings: Settings) -> str:
    columns = {**_BAR, **_QUOTE, **_PLACES, "quote_ms": "LAST_VALUE(quote_ms)", "ticks": "COUNT(p)"}
    slice_length = f"INTERVAL '{settings.live_slice_ms / 1000}' SECOND(3, 3)"
    source = f"""(
        SELECT symbol, end_ms, {_windowed(columns)}
        FROM TABLE(TUMBLE(TABLE ticks_now, DESCRIPTOR(proc_time), {slice_length}))
        GROUP BY symbol, end_ms, window_start, window_end)"""
    return _branch(rows.LIVE, {name: f"`{name}`" for name in ("symbol", "end_ms", *columns)}, source)


# What a catch-up reads does not cross into Python slice by slice. Seconds twice as old as those that are previewed do:
# the first preview stands on them.
_RECENT = f"end_ms > (UNIX_TIMESTAMP() - {2 * rows.CATCH_UP_MS // 1_000}) * 1000"


def create_branch_views(tables: object) -> None:
    """The inputs of the windows: a table function takes a view, not a query with a filter."""
    nothing = "CAST(NULL AS {}) AS {}"
    no_quote = ", ".join(nothing.format("DOUBLE", name) for name in ("bp", "bs", "ap", "az"))
    no_trade = ", ".join([nothing.format("DOUBLE", "p"), nothing.format("DOUBLE", "s")])
    for statement in (
        "CREATE TEMPORARY VIEW trades_in_time AS SELECT * FROM trades WHERE NOT late",
        "CREATE TEMPORARY VIEW quotes_in_time AS SELECT * FROM quotes WHERE NOT late",
        f"""CREATE TEMPORARY VIEW ticks_now AS
            SELECT symbol, end_ms, p, s, mask, conditions_unknown, feed, event_ms, {no_quote},
                   log_partition, log_offset, CAST(NULL AS BIGINT) AS quote_ms, proc_time
            FROM trades_in_time WHERE {_RECENT}
            UNION ALL
            SELECT symbol, end_ms, {no_trade}, CAST(7 AS INT), CAST(NULL AS INT), CAST(NULL AS STRING),
                   CAST(NULL AS BIGINT), bp, bs, ap, az, log_partition, log_offset, event_ms, proc_time
            FROM quotes_in_time WHERE {_RECENT}""",
    ):
        tables.execute_sql(statement)  # type: ignore[attr-defined]


_PLACE = {"log_partition": "log_partition", "log_offset": "log_offset"}
_TRADE = (
    "COALESCE(x, '') || '|' || COALESCE(CAST(i AS STRING), '') || '|' || CAST(mask AS STRING) || '|' "
    "|| CAST(p AS STRING) || '|' || CAST(s AS STRING)"
)
_WATERMARK = "EPOCH_MILLIS(CURRENT_WATERMARK(event_time))"


def _late(settings: Settings) -> str:
    columns = {
        "symbol": "symbol", "end_ms": "end_ms", "c": "p", "v": "s", "last_ms": "event_ms", "trades": _TRADE,
        "mask": "mask", "unknown": "conditions_unknown", "ticks": "1", "watermark_ms": _WATERMARK, "feed": "feed",
        "kind": "'t'", "log_topic": f"'{settings.trades_topic}'", **_PLACE,
    }  # fmt: skip
    return _branch(rows.LATE, columns, "trades WHERE late")


def _late_quote(settings: Settings) -> str:
    columns = {
        "symbol": "symbol", "end_ms": "end_ms", "bid_px": "bp", "bid_sz": "bs", "ask_px": "ap", "ask_sz": "az",
        "quote_ms": "event_ms", "last_ms": "event_ms", "ticks": "1", "watermark_ms": _WATERMARK, "feed": "feed",
        "kind": "'q'", "log_topic": f"'{settings.quotes_topic}'", **_PLACE,
    }  # fmt: skip
    return _branch(rows.LATE_QUOTE, columns, "quotes WHERE late")


def _cancel(settings: Settings, rules: TradeConditions) -> str:
    rule = rule_sql(rules, "`payload.cc`", "`payload.z`") if settings.bar_rules == "alpaca" else "0"
    number = "CASE WHEN `payload.T` = 'x' THEN `payload.i` ELSE `payload.oi` END"
    trade = f"COALESCE(`payload.x`, '') || '|' || CAST({number} AS STRING)"
    corrected = "COALESCE(`payload.x`, '') || '|' || CAST(`payload.ci` AS STRING)"
    columns = {
        "symbol": "symbol", "end_ms": "event_ms / 1000 * 1000 + 1000", "last_ms": "event_ms",
        "c": "`payload.cp`", "v": "`payload.cs`",
        "mask": f"MOD({rule}, 8)", "unknown": f"{rule} / 8",
        "trades": trade, "detail": corrected, "ticks": "1", "watermark_ms": _WATERMARK, "feed": "feed",
        "kind": "`payload.T`", "log_topic": "log_topic", **_PLACE,
    }  # fmt: skip
    where = f"reject_reason IS NULL AND `payload.T` IN ('x', 'c') AND {kept_symbols_sql(settings)}"
    return _branch(rows.CANCEL, columns, f"{TRADES_READ} WHERE {where}")


def _bar_1m(settings: Settings) -> str:
    columns = {
        "symbol": "symbol", "end_ms": "event_ms + 60000", "o": "`payload.o`", "h": "`payload.h`", "l": "`payload.l`",
        "c": "`payload.c`", "v": "`payload.v`", "n": "`payload.n`", "pv": "`payload.vw` * `payload.v`",
        "vv": "CASE WHEN `payload.vw` IS NOT NULL THEN `payload.v` END", "last_ms": "event_ms", "ticks": "1",
        "feed": "feed", "kind": "`payload.T`", "log_topic": "log_topic", **_PLACE,
    }  # fmt: skip
    return _branch(rows.BAR_1M, columns, f"{BARS_1M_READ} WHERE reject_reason IS NULL AND {kept_symbols_sql(settings)}")


def _status(settings: Settings) -> str:
    columns = {
        "symbol": "symbol", "end_ms": "event_ms", "last_ms": "event_ms", "ticks": "1", "feed": "feed",
        "kind": "`payload.T`", "detail": "`payload.sc`", "log_topic": "log_topic", **_PLACE,
    }  # fmt: skip
    return _branch(rows.STATUS, columns, f"{STATUS} WHERE reject_reason IS NULL AND {kept_symbols_sql(settings)}")


def _clock() -> str:
    columns = {"symbol": "symbol", "end_ms": "event_ms", "last_ms": "event_ms", "kind": "`payload.T`"}
    return _branch(rows.CLOCK, columns, f"{TRADES_READ} WHERE reject_reason IS NULL AND `payload.T` = 'clock'")


def _reject(table: str) -> str:
    columns = {
        "symbol": "COALESCE(symbol, '')", "end_ms": "event_ms", "ticks": "1", "log_topic": "log_topic",
        "kind": "reject_reason", "detail": "decode_error", "raw": "raw_record", "n": "raw_size", **_PLACE,
    }  # fmt: skip
    return _branch(rows.REJECT, columns, f"{table} WHERE reject_reason IS NOT NULL")
