"""What the job is measured against: the same windows without Python, and a Python function for every tick.

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
from flink.tables import create_sources
from flink.ticks import create_ticks
from flink.windows import TYPES, create_branch_views, ticks_query
from ta_pipeline.indicators.set import IndicatorSet
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings, load_settings
from ta_pipeline.trade_conditions import TradeConditions

VARIANTS = ("floor", "per_tick")


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
    create_sources(tables, settings, None)
    create_ticks(tables, settings, rules)
    create_branch_views(tables)
    inserts = tables.create_statement_set()
    if variant == "floor":
        columns = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
        tables.execute_sql(
            f"CREATE TEMPORARY TABLE nowhere (`key` STRING, `row` ROW<{columns}>) WITH ('connector' = 'blackhole')"
        )
        inserts.add_insert_sql(f"INSERT INTO nowhere {ticks_query(settings, rules, live=True)}")
    else:
        _per_tick(tables, settings)
        inserts.add_insert_sql("INSERT INTO nowhere SELECT * FROM done")
    inserts.attach_as_datastream()
    return environment


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
    build(settings, parser.parse_args().variant).execute(settings.k8s_deployment)


if __name__ == "__main__":
    main()
