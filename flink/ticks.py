"""From logs to ticks: validate, apply the bar rules, drop duplicates, mark what is late.

Views, in the order they build on each other:

    trades_ok   usable trades, with `rule` from their conditions (flink/conditions.py)
    trades_once trades_ok without duplicates
    trades      trades_once with `end_ms` and `late`
    quotes      usable quotes with `end_ms` and `late`

A record that is not usable has a reason in `reason_sql`: the first that holds.
"""

from __future__ import annotations

from pyflink.table import StreamTableEnvironment

from flink.conditions import rule_sql
from flink.tables import BARS_1M, QUOTES, STATUS, TRADES
from ta_pipeline.settings import Settings
from ta_pipeline.trade_conditions import TradeConditions

DAY_MS = 86_400_000
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
    TRADES: (
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


def reason_sql(table: str) -> str:
    """SQL (STRING): why a record of this table cannot be used, NULL when it can."""
    types, own = _REASONS[table]
    named = ", ".join(f"'{name}'" for name in types)
    reasons = {reason: condition.format(types=named) for reason, condition in _COMMON.items()} | own
    cases = " ".join(f"WHEN {condition} THEN '{reason}'" for reason, condition in reasons.items())
    return f"CASE {cases} ELSE CAST(NULL AS STRING) END"


def kept_symbols_sql(settings: Settings) -> str:
    """SQL (BOOLEAN): the symbol is one of `TA_SYMBOLS`; TRUE when that is empty."""
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in settings.symbol_list)
    return f"symbol IN ({names})" if names else "TRUE"


def create_ticks(tables: StreamTableEnvironment, settings: Settings, rules: TradeConditions) -> None:
    """Create the views named in this module's docstring."""
    rule = rule_sql(rules, "`payload.c`", "`payload.z`") if settings.bar_rules == "alpaca" else "0"
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW trades_ok AS
        SELECT symbol, `payload.x` AS x, `payload.i` AS i, event_ms / {DAY_MS} AS event_day,
               CASE WHEN `payload.i` >= 0 THEN `payload.i` / 1024 ELSE (`payload.i` + 1) / 1024 - 1 END AS id_block,
               `payload.p` AS p, `payload.s` AS s, {rule} AS rule, feed,
               log_partition, log_offset, event_ms, event_time, proc_time
        FROM {TRADES}
        WHERE decode_error IS NULL AND `payload.T` = 't' AND symbol <> '' AND event_ms <> 0
          AND {_positive("`payload.p`")} AND {_positive("`payload.s`")} AND {kept_symbols_sql(settings)}""")
    once = """
        SELECT * FROM (
          SELECT *, ALREADY_SEEN(i) OVER (
            PARTITION BY symbol, event_day, x, id_block ORDER BY proc_time
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS repeated
          FROM trades_ok)
        WHERE NOT repeated"""
    tables.execute_sql(f"CREATE TEMPORARY VIEW trades_once AS {once if settings.dedup else 'SELECT * FROM trades_ok'}")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW trades AS
        SELECT *, event_ms / 1000 * 1000 + 1000 AS end_ms, {_late_sql()} AS late,
               MOD(rule, 8) AS mask, rule / 8 AS conditions_unknown,
               COALESCE(x, '') || '|' || COALESCE(CAST(i AS STRING), '') || '|' || CAST(MOD(rule, 8) AS STRING) || '|'
                 || CAST(p AS STRING) || '|' || CAST(s AS STRING) AS trade
        FROM trades_once""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW quotes AS
        SELECT symbol, `payload.bp` AS bp, `payload.bs` AS bs, `payload.ap` AS ap, `payload.as` AS az, feed,
               log_partition, log_offset, event_ms, event_time, proc_time,
               event_ms / 1000 * 1000 + 1000 AS end_ms, {_late_sql()} AS late
        FROM {QUOTES}
        WHERE decode_error IS NULL AND `payload.T` = 'q' AND symbol <> '' AND event_ms <> 0
          AND {_not_negative("`payload.bp`")} AND {_not_negative("`payload.ap`")}
          AND {_not_negative("`payload.bs`")} AND {_not_negative("`payload.as`")} AND {kept_symbols_sql(settings)}""")


def _late_sql() -> str:
    # TUMBLE drops a row when its window has fired, not when the row is behind the watermark: the same test here
    # keeps every row in exactly one of FINAL and LATE.
    return (
        "CURRENT_WATERMARK(event_time) IS NOT NULL "
        "AND TO_TIMESTAMP_LTZ(event_ms / 1000 * 1000 + 999, 3) <= CURRENT_WATERMARK(event_time)"
    )
