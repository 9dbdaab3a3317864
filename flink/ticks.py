"""From logs to ticks: validate, apply the bar rules, drop duplicates, mark what is late.

Views, in the order they build on each other:

    trades_ok   usable trades, with `rule` from their conditions (flink/conditions.py)
    trades_once trades_ok without duplicates
    trades      trades_once with `end_ms` and `late`
    quotes      usable quotes with `end_ms` and `late`

A record that is not usable has a reason in `reason_sql`: the first that holds.
"""

from __future__ import annotations

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from flink.conditions import rule_sql
from flink.tables import BARS_1M, QUOTES, STATUS, TRADES_READ, create_view, stream_of
from ta_pipeline.settings import Settings
from ta_pipeline.trade_conditions import TradeConditions

_LARGEST = "CAST(1.7976931348623157E308 AS DOUBLE)"

# The first reason that holds is the record's. NULL: the record is usable.
_COMMON = {
    "missing_payload": "decode_error = 'payload is missing'",
    "malformed": "decode_error IS NOT NULL",
    "missing_type": "`payload.T` IS NULL",
    "unknown_type": "`payload.T` NOT IN ({types})",
    "missing_symbol": "symbol IS NULL OR symbol = ''",
    "missing_timestamp": "`payload.t` IS NULL",
    "bad_timestamp": "event_ms = 0 AND RFC_3339_MILLIS(`payload.t`) IS NULL",
    "future_timestamp": "event_ms = 0 AND RFC_3339_MILLIS(`payload.t`) <> 0",
}


def _positive(column: str) -> str:
    return f"({column} > 0 AND {column} <= {_LARGEST})"


def _not_negative(column: str) -> str:
    return f"({column} >= 0 AND {column} <= {_LARGEST})"


_REASONS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    TRADES_READ: (
        ("t", "x", "c", "clock"),
        {
            "missing_price": "`payload.T` = 't' AND `payload.p` IS NULL OR `payload.T` = 'c' AND `payload.cp` IS NULL",
            "missing_size": "`payload.T` = 't' AND `payload.s` IS NULL OR `payload.T` = 'c' AND `payload.cs` IS NULL",
            "bad_price": (
                f"`payload.T` = 't' AND NOT {_positive('`payload.p`')} "
                f"OR `payload.T` = 'c' AND NOT {_positive('`payload.cp`')}"
            ),
            "bad_size": (
                f"`payload.T` = 't' AND NOT {_positive('`payload.s`')} "
                f"OR `payload.T` = 'c' AND NOT {_positive('`payload.cs`')}"
            ),
            "missing_id": (
                "`payload.T` = 'x' AND `payload.i` IS NULL "
                "OR `payload.T` = 'c' AND (`payload.oi` IS NULL OR `payload.ci` IS NULL)"
            ),
        },
    ),
    QUOTES: (
        ("q", "clock"),
        {
            "missing_price": "`payload.T` = 'q' AND (`payload.bp` IS NULL OR `payload.ap` IS NULL)",
            "missing_size": "`payload.T` = 'q' AND (`payload.bs` IS NULL OR `payload.as` IS NULL)",
            "bad_price": (
                f"`payload.T` = 'q' AND NOT ({_not_negative('`payload.bp`')} AND {_not_negative('`payload.ap`')})"
            ),
            "bad_size": (
                f"`payload.T` = 'q' AND NOT ({_not_negative('`payload.bs`')} AND {_not_negative('`payload.as`')})"
            ),
        },
    ),
    BARS_1M: (
        ("b", "u"),
        {
            "missing_price": (
                "`payload.o` IS NULL OR `payload.h` IS NULL OR `payload.l` IS NULL OR `payload.c` IS NULL"
            ),
            "missing_size": "`payload.v` IS NULL",
            "bad_price": "NOT (" + " AND ".join(_positive(f"`payload.{f}`") for f in "ohlc") + ")"
            + f" OR `payload.h` < `payload.l` OR NOT {_not_negative('COALESCE(`payload.vw`, CAST(0 AS DOUBLE))')}",
            "bad_size": f"NOT {_not_negative('`payload.v`')} OR `payload.n` < 0",
        },
    ),
    STATUS: (("s",), {"missing_status": "`payload.sc` IS NULL"}),
}  # fmt: skip


_USABLE_TRADE = (
    "decode_error IS NULL AND `payload.T` = 't' AND symbol <> '' AND event_ms <> 0 "
    f"AND {_positive('`payload.p`')} AND {_positive('`payload.s`')}"
)
_USABLE_QUOTE = (
    "decode_error IS NULL AND `payload.T` = 'q' AND symbol <> '' AND event_ms <> 0 "
    f"AND {_not_negative('`payload.bp`')} AND {_not_negative('`payload.ap`')} "
    f"AND {_not_negative('`payload.bs`')} AND {_not_negative('`payload.as`')}"
)


def reason_sql(table: str) -> str:
    """SQL (STRING): why a record of this table cannot be used, NULL when it can."""
    types, own = _REASONS[table]
    named = ", ".join(f"'{name}'" for name in types)
    reasons = {reason: condition.format(types=named) for reason, condition in _COMMON.items()} | own
    cases = " ".join(f"WHEN {condition} THEN '{reason}'" for reason, condition in reasons.items())
    return f"CASE {cases} ELSE CAST(NULL AS STRING) END"


def unusable_sql(table: str) -> str:
    """SQL (BOOLEAN): a record of this table has a reason; the usual record is told by a few comparisons."""
    usual = {TRADES_READ: _USABLE_TRADE, QUOTES: _USABLE_QUOTE}.get(table)
    reason = f"{reason_sql(table)} IS NOT NULL"
    return f"({usual}) IS NOT TRUE AND {reason}" if usual else reason


def kept_symbols_sql(settings: Settings) -> str:
    """SQL (BOOLEAN): the symbol is one of `TA_SYMBOLS`; TRUE when that is empty."""
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in settings.symbol_list)
    return f"symbol IN ({names})" if names else "TRUE"


def create_ticks(tables: StreamTableEnvironment, settings: Settings, rules: TradeConditions) -> None:
    """Create the views named in this module's docstring."""
    rule = rule_sql(rules, "`payload.c`", "`payload.z`") if settings.bar_rules == "alpaca" else "0"
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW trades_ok AS
        SELECT symbol, `payload.x` AS x, `payload.i` AS i, `payload.p` AS p, `payload.s` AS s, {rule} AS rule, feed,
               log_partition, log_offset, event_ms, event_time
        FROM {TRADES_READ}
        WHERE {_USABLE_TRADE} AND {kept_symbols_sql(settings)}""")
    create_view(tables, "trades_once", _once(tables, settings))
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW trades AS
        SELECT *, event_ms / 1000 * 1000 + 1000 AS end_ms, {_late_sql()} AS late,
               MOD(rule, 8) AS mask, rule / 8 AS conditions_unknown
        FROM trades_once""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW quotes AS
        SELECT symbol, `payload.bp` AS bp, `payload.bs` AS bs, `payload.ap` AS ap, `payload.as` AS az, feed,
               log_partition, log_offset, event_ms, event_time, proc_time,
               event_ms / 1000 * 1000 + 1000 AS end_ms, {_late_sql()} AS late
        FROM {QUOTES}
        WHERE {_USABLE_QUOTE} AND {kept_symbols_sql(settings)}""")


def _once(tables: StreamTableEnvironment, settings: Settings) -> DataStream:
    """The trades without duplicates, by a function of our own (docs/decisions/0006)."""
    columns = tables.from_path("trades_ok").get_schema().get_field_names()
    symbol, time, exchange, number = (columns.index(name) for name in ("symbol", "event_ms", "x", "i"))
    stream = stream_of(tables, "trades_ok")
    if not settings.dedup:
        return stream
    trades = get_gateway().jvm.ta.flink.trades
    rows = stream._j_data_stream
    by_block = rows.keyBy(trades.Deduplicate.BlockOf(symbol, time, exchange, number, settings.max_parallelism))
    once = by_block.process(trades.Deduplicate(number, settings.dedup_ttl_ms), rows.getType())
    return DataStream(once.name("deduplicate"))


def _late_sql() -> str:
    # TUMBLE drops a row when its window has fired, not when the row is behind the watermark: the same test here
    # keeps every row in exactly one of FINAL and LATE.
    return (
        "CURRENT_WATERMARK(event_time) IS NOT NULL "
        "AND TO_TIMESTAMP_LTZ(event_ms / 1000 * 1000 + 999, 3) <= CURRENT_WATERMARK(event_time)"
    )
