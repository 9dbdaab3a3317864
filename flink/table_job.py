"""The table path: the committed final topics into ClickHouse, in batches, as a job of its own.

    ta.bars.1s.v1, ta.signals.v1  (read_committed)  ->  torghut.ta_microbars, torghut.ta_signals

Its own job, so that a ClickHouse which is down, full or hangs stops nothing else. Its sink waits behind a breaker
while rows cannot be inserted (flink/java, ta.flink.clickhouse): the job stays RUNNING, its position in the topics
stands still, and going on from there is the backfill. Rows are written at least once; the tables keep one per key
(docs/decisions/0004-clickhouse-through-jdbc-in-its-own-job.md, 0014-the-table-path-waits-behind-a-breaker.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from pyflink.datastream import StreamExecutionEnvironment

from flink.environment import create_environment
from flink.kafka import kafka_properties, with_clause
from flink.sinks import Output, outputs
from flink.uids import set_uids
from ta_pipeline.job_options import of_the_table_job, table_job_name
from ta_pipeline.settings import Settings, load_settings, parse_overrides

DATABASE = "torghut"


def _time(column: str) -> str:
    """ClickHouse's text form of an RFC 3339 instant in UTC."""
    return f"REPLACE(REPLACE(`{column}`, 'T', ' '), 'Z', '')"


_KEY = {
    "symbol": ("STRING", "symbol"),
    "event_ts": ("STRING", _time("event_ts")),
    "seq": ("BIGINT", "seq"),
    "revision": ("INT", "revision"),
}
_ORIGIN = {
    "feed": ("STRING", "feed"),
    "source": ("STRING", "`source`"),
    "last_event_ts": ("STRING", _time("last_event_ts")),
    "ingest_ts": ("STRING", _time("ingest_ts")),
}
MICROBARS = {
    **_KEY,
    **{name: ("DOUBLE", f"`{name}`") for name in ("o", "h", "l", "c", "v", "vwap")},
    "count": ("BIGINT", "`count`"),
    **_ORIGIN,
}
_GROUPS = {
    "ema12": "ema.ema12", "ema26": "ema.ema26", "macd": "macd.macd", "macd_signal": "macd.signal",
    "macd_hist": "macd.hist", "rsi14": "rsi14", "boll_mid": "boll.mid", "boll_upper": "boll.upper",
    "boll_lower": "boll.lower", "vwap_session": "vwap.session", "vwap_w5m": "vwap.w5m",
    "spread": "imbalance.spread", "imbalance": "imbalance.imbalance", "bid_px": "imbalance.bid_px",
    "ask_px": "imbalance.ask_px", "bid_sz": "imbalance.bid_sz", "ask_sz": "imbalance.ask_sz",
    "vol_w60s": "vol_realized.w60s", "vol_w30m": "vol_realized.w30m",
}  # fmt: skip
SIGNALS = {
    **_KEY,
    "window_size": ("STRING", "`window`.`size`"),
    "c": ("DOUBLE", "c"),
    "bars": ("BIGINT", "bars"),
    **{name: ("DOUBLE", ".".join(f"`{part}`" for part in path.split("."))) for name, path in _GROUPS.items()},
    "vwap_window_s": ("INT", "vwap_window_s"),
    "vol_window_s": ("INT", "vol_window_s"),
    **_ORIGIN,
}
_TABLES: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = {
    "bars": ("ta_microbars", MICROBARS),
    "signals": ("ta_signals", SIGNALS),
}


def build(settings: Settings) -> StreamExecutionEnvironment:
    """The table job as a graph, ready to execute."""
    environment, tables = create_environment(of_the_table_job(settings), bounded=False)
    inserts = tables.create_statement_set()
    for output in outputs(settings, live=False):
        if output.file not in _TABLES:
            continue
        table, columns = _TABLES[output.file]
        tables.execute_sql(_source(settings, output))
        tables.execute_sql(_sink(settings, table, columns))
        select = ", ".join(f"{expression} AS `{name}`" for name, (_, expression) in columns.items())
        inserts.add_insert_sql(f"INSERT INTO {table} SELECT {select} FROM {output.file}_topic")
    inserts.attach_as_datastream()
    set_uids(environment)
    return environment


def jdbc_url(settings: Settings) -> str:
    """`TA_CLICKHOUSE_URL` for the JDBC driver, with its timeouts.

    The driver waits for an answer for ever, and tries four times, unless it is told otherwise.
    """
    url = urlsplit(settings.clickhouse_url)
    timeout_ms = settings.clickhouse_conn_timeout_seconds * 1_000
    options = {
        "connection_timeout": timeout_ms,
        "socket_timeout": timeout_ms,
        "retry": 0,
        "ssl": "true" if url.scheme == "https" else "false",
    }
    return f"jdbc:ch:{url.scheme}://{url.netloc}/{DATABASE}?{urlencode(options)}"


def _source(settings: Settings, output: Output) -> str:
    columns = ", ".join(f"`{name}` {kind}" for name, (kind, _) in output.columns.items())
    options = {
        "connector": "kafka",
        "topic": output.topic,
        "scan.startup.mode": "group-offsets",
        "properties.auto.offset.reset": "earliest",
        "properties.group.id": f"{settings.group_id}-table",
        "properties.isolation.level": "read_committed",
        **kafka_properties(settings),
        **output.format_options(settings),
    }
    return f"CREATE TEMPORARY TABLE {output.file}_topic ({columns}) WITH ({with_clause(options)})"


def _sink(settings: Settings, table: str, columns: Mapping[str, tuple[str, str]]) -> str:
    declared = ", ".join(f"`{name}` {kind}" for name, (kind, _) in columns.items())
    options = {
        "connector": "clickhouse",
        "url": jdbc_url(settings),
        "table-name": table,
        "username": settings.clickhouse_username,
        "password": settings.clickhouse_password.get_secret_value(),
        "batch.rows": str(settings.clickhouse_batch_size),
        "batch.interval": f"{settings.clickhouse_flush_ms} ms",
        "breaker.attempts": str(1 + settings.clickhouse_max_retries),
        "breaker.wait": f"{settings.clickhouse_breaker_wait_seconds} s",
    }
    return f"CREATE TEMPORARY TABLE {table} ({declared}) WITH ({with_clause(options)})"


def main() -> None:
    """Build the table job from the command line and submit it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="TA_X=Y", help="override one setting")
    settings = load_settings(**parse_overrides(parser.parse_args().set))
    build(settings).execute(table_job_name(settings))


if __name__ == "__main__":
    main()
