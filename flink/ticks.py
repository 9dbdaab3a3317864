"""From logs to ticks: apply the bar rules, drop duplicates, mark what is late.

Views, in the order they build on each other:

    trades_ok   usable trades, with `rule` from their conditions (flink/conditions.py)
    trades_once trades_ok without duplicates
    trades      trades_once with `end_ms` and `late`
    quotes      usable quotes with `end_ms` and `late`

What cannot be used never gets here: the format has given it a `reject_reason` (flink/java, RecordRules).
"""

from __future__ import annotations

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from flink.conditions import rule_sql
from flink.tables import QUOTES_READ, TRADES_READ, create_view, stream_of, with_kept_watermark
from ta_pipeline.settings import Settings
from ta_pipeline.trade_conditions import TradeConditions


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
        WHERE reject_reason IS NULL AND `payload.T` = 't' AND {kept_symbols_sql(settings)}""")
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
        FROM {QUOTES_READ}
        WHERE reject_reason IS NULL AND `payload.T` = 'q' AND {kept_symbols_sql(settings)}""")


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
    return with_kept_watermark(DataStream(once.name("deduplicate")))


def _late_sql() -> str:
    # TUMBLE drops a row when its window has fired, not when the row is behind the watermark: the same test here
    # keeps every row in exactly one of FINAL and LATE.
    return (
        "CURRENT_WATERMARK(event_time) IS NOT NULL "
        "AND TO_TIMESTAMP_LTZ(event_ms / 1000 * 1000 + 999, 3) <= CURRENT_WATERMARK(event_time)"
    )
