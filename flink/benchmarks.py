"""What the job is measured against: the same windows without Python, and a Python function for every tick.

    bare           bars of one second and nothing else, straight from the log: what Flink's SQL costs on this machine
    floor          the job's query with its deduplication, into a sink that drops everything
    per_tick       the job's deduplicated trades, each into a Python function that builds the bars and indicators

Run by `ta bench` on the same cluster, topics and settings as the job.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink.environment import create_environment
from flink.exchanges import execute
from flink.kafka import kafka_properties, with_clause
from flink.tables import TRADES, create_sources, startup_options
from flink.ticks import create_ticks
from flink.windows import TYPES, create_branch_views, ticks_query
from ta_pipeline.indicators.set import IndicatorSet
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings, load_settings
from ta_pipeline.trade_conditions import TradeConditions

VARIANTS = ("bare", "floor", "per_tick")


class BarsPerTick(KeyedProcessFunction):  # type: ignore[misc]
    """One symbol's trades into bars and indicators, trade by trade; a bar is done when a later second begins."""

    def __init__(self, settings: Settings) -> None:
        self._windows_ms = (settings.vwap_window_seconds * 1_000, settings.realized_vol_window_seconds * 1_000)
        self._session = settings.session

    def open(self, _context: RuntimeContext) -> None:
        """Nothing is kept across restarts: this is a measurement."""
        self._sessions = Sessions(self._session)
        self._bars: dict[str, list[float]] = {}
        self._indicators: dict[str, IndicatorSet] = {}

    def process_element(self, value: Row, _context: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Take in one trade."""
        symbol, end_ms, price, size = value[0], value[1], value[2], value[3]
        bar = self._bars.get(symbol)
        if bar is not None and bar[0] == end_ms:
            bar[1:] = [max(bar[1], price), min(bar[2], price), price, bar[4] + size, bar[5] + price * size]
            return
        if bar is not None:
            indicators = self._indicators.get(symbol)
            if indicators is None:
                indicators = self._indicators[symbol] = IndicatorSet("1s", *self._windows_ms, self._sessions)
            end = int(bar[0])
            values = indicators.advance(end, end - 1_000, bar[3], bar[5], bar[4])
            yield Row(symbol, end, bar[3], values.ema12)
        self._bars[symbol] = [end_ms, price, price, price, size, price * size]


def build(settings: Settings, variant: str) -> StreamExecutionEnvironment:
    """One variant as a graph, ready to execute."""
    environment, tables = create_environment(settings, bounded=False)
    rules = TradeConditions.load()
    if variant != "bare":
        create_sources(tables, settings, None, startup_options(settings))
        create_ticks(tables, settings, rules)
        create_branch_views(tables)
    inserts = tables.create_statement_set()
    if variant == "floor":
        columns = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
        tables.execute_sql(
            f"CREATE TEMPORARY TABLE nowhere (`key` STRING, `row` ROW<{columns}>) WITH ('connector' = 'blackhole')"
        )
        inserts.add_insert_sql(f"INSERT INTO nowhere {ticks_query(settings, rules, live=True)}")
    elif variant == "bare":
        _bare(tables, settings)
        inserts.add_insert_sql("INSERT INTO nowhere SELECT * FROM bars")
    else:
        _per_tick(tables, settings)
        inserts.add_insert_sql("INSERT INTO nowhere SELECT * FROM done")
    inserts.attach_as_datastream()
    return environment


def _bare(tables: StreamTableEnvironment, settings: Settings) -> None:
    options = {
        "connector": "kafka", "topic": settings.trades_topic, "scan.startup.mode": "earliest-offset",
        "properties.group.id": settings.group_id, "format": "json", **kafka_properties(settings),
    }  # fmt: skip
    tables.create_java_temporary_system_function("RFC_3339_MILLIS", "ta.flink.Rfc3339Millis")
    tables.execute_sql(f"""
        CREATE TEMPORARY TABLE {TRADES} (
          symbol STRING, payload ROW<p DOUBLE, s DOUBLE, t STRING>,
          event_time AS TO_TIMESTAMP_LTZ(RFC_3339_MILLIS(payload.t), 3),
          WATERMARK FOR event_time AS event_time - INTERVAL '2' SECOND
        ) WITH ({with_clause(options)})""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW bars AS
        SELECT symbol, window_end, FIRST_VALUE(payload.p) AS o, MAX(payload.p) AS h, MIN(payload.p) AS l,
               LAST_VALUE(payload.p) AS c, SUM(payload.s) AS v, COUNT(*) AS n
        FROM TABLE(TUMBLE(TABLE {TRADES}, DESCRIPTOR(event_time), INTERVAL '1' SECOND))
        GROUP BY symbol, window_start, window_end""")
    tables.execute_sql(
        "CREATE TEMPORARY TABLE nowhere (symbol STRING, window_end TIMESTAMP(3), o DOUBLE, h DOUBLE, l DOUBLE, "
        "c DOUBLE, v DOUBLE, n BIGINT) WITH ('connector' = 'blackhole')"
    )


def _per_tick(tables: StreamTableEnvironment, settings: Settings) -> None:
    trades = tables.to_data_stream(tables.sql_query("SELECT symbol, end_ms, p, s FROM trades WHERE NOT late"))
    kind = Types.ROW_NAMED(
        ["symbol", "end_ms", "c", "ema12"], [Types.STRING(), Types.LONG(), Types.DOUBLE(), Types.DOUBLE()]
    )
    done = trades.key_by(lambda row: row[0], Types.STRING()).process(BarsPerTick(settings), kind)
    tables.create_temporary_view("done", tables.from_data_stream(done))
    tables.execute_sql(
        "CREATE TEMPORARY TABLE nowhere (symbol STRING, end_ms BIGINT, c DOUBLE, ema12 DOUBLE) "
        "WITH ('connector' = 'blackhole')"
    )


def main() -> None:
    """Build the variant named on the command line and submit it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=VARIANTS)
    settings = load_settings()
    execute(build(settings, parser.parse_args().variant), settings.k8s_deployment)


if __name__ == "__main__":
    main()
