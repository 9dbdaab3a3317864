"""Source tables: the four input topics as Kafka tables, or as files of recordings with the same columns.

Both decode through the `dead-letter` format (flink/java), so that a record which cannot be used is a row that says
why; it has nothing else, and says nothing about time. Columns of every source table, whatever feeds it:

    symbol, feed, payload.<field>      from the envelope and from Alpaca's record in it
    reject_reason                      why it cannot be used; NULL: it is used
    decode_error, raw_record, raw_size     of one that cannot: why it did not decode; how it begins; its bytes
    log_topic, log_partition, log_offset   where it stands
    event_ms, event_time, proc_time    Alpaca's `t` in epoch ms (0 when unusable); rowtime; processing time
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment
from pyflink.table.expressions import col

from flink.kafka import kafka_properties, with_clause
from ta_pipeline.settings import Settings

TRADES, QUOTES, BARS_1M, STATUS = "trades_log", "quotes_log", "bars_1m_log", "status_log"
TRADES_READ, QUOTES_READ, BARS_1M_READ = "trades_read", "quotes_read", "bars_1m_read"
"""The logs whose symbols have state, as streams, behind the limit of symbols. Whatever is planned over a stream, in
however many plans, shares one source."""

_PAYLOADS = {
    TRADES: {
        "T": "STRING", "i": "BIGINT", "x": "STRING", "p": "DOUBLE", "s": "DOUBLE", "c": "ARRAY<STRING>", "t": "STRING",
        "z": "STRING", "oi": "BIGINT", "ci": "BIGINT", "cp": "DOUBLE", "cs": "DOUBLE", "cc": "ARRAY<STRING>",
    },
    QUOTES: {"T": "STRING", "bp": "DOUBLE", "bs": "DOUBLE", "ap": "DOUBLE", "as": "DOUBLE", "t": "STRING"},
    BARS_1M: {
        "T": "STRING", "o": "DOUBLE", "h": "DOUBLE", "l": "DOUBLE", "c": "DOUBLE", "v": "DOUBLE", "vw": "DOUBLE",
        "n": "BIGINT", "t": "STRING",
    },
    STATUS: {"T": "STRING", "sc": "STRING", "t": "STRING"},
}  # fmt: skip

# Bars and status come when they come, and say nothing about the time of trades: live, their sources are idle but for
# the moment in which a record comes, and their watermark is one that nobody waits for and that, should all others be
# idle, closes nothing. A file is never idle: its watermark is beyond all others.
_SAYS_NOTHING = "TO_TIMESTAMP_LTZ(0, 3)"
_NEVER_HOLDS_BACK = "TO_TIMESTAMP_LTZ(253402300799000, 3)"
_IDLE_AT_ONCE_MS = 100
_DAY_MS = 86_400_000
_EVENT_TIME = {"event_time": "TO_TIMESTAMP_LTZ(event_ms, 3)"}


@dataclass(frozen=True)
class Recordings:
    """Where the numbered lines of each topic are: `ta_pipeline.recordings.write_topic_files` wrote them."""

    trades: Path
    quotes: Path
    bars_1m: Path
    status: Path


def startup_options(settings: Settings) -> dict[str, str]:
    """Where a job without restored state starts to read, by `TA_STARTUP_MODE`."""
    modes = {"latest": "latest-offset", "earliest": "earliest-offset", "group-offsets": "group-offsets"}
    return {"scan.startup.mode": modes[settings.startup_mode]}


def startup_at(start_ms: int | None) -> dict[str, str]:
    """The same for a job that is rebuilt: what Kafka took from this time on; None: all that is retained."""
    if start_ms is None:
        return {"scan.startup.mode": "earliest-offset"}
    return {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": str(start_ms)}


def create_sources(
    tables: StreamTableEnvironment, settings: Settings, recordings: Recordings | None, startup: Mapping[str, str]
) -> None:
    """Create the four source tables, over Kafka or, when `recordings` is given, over files (bounded).

    Args:
        tables: where they are created.
        settings: of the job.
        recordings: the files.
        startup: where a job without restored state starts to read Kafka: `startup_options`, `startup_at`.
    """
    tables.create_java_temporary_system_function("TRADE_RULE", "ta.flink.TradeRule")
    tables.create_java_temporary_system_function("EPOCH_MILLIS", "ta.flink.EpochMillis")
    tables.create_java_temporary_system_function("LIST_TRADES", "ta.flink.trades.ListTrades")
    topics = {
        TRADES: settings.trades_topic,
        QUOTES: settings.quotes_topic,
        BARS_1M: settings.bars_1m_topic,
        STATUS: settings.status_in_topic,
    }
    files = (
        None
        if recordings is None
        else {
            TRADES: recordings.trades,
            QUOTES: recordings.quotes,
            BARS_1M: recordings.bars_1m,
            STATUS: recordings.status,
        }
    )
    for table, topic in topics.items():
        options = (
            _kafka_options(settings, table, topic, startup)
            if files is None
            else _file_options(settings, table, files[table])
        )
        tables.execute_sql(_ddl(settings, table, topic, options, from_files=files is not None))
    for table, view in ((TRADES, TRADES_READ), (QUOTES, QUOTES_READ), (BARS_1M, BARS_1M_READ)):
        # Without what is computed from it, a record passes as the format has made it; the watermarks are the source's.
        known = _of_known_symbols(stream_of(tables, table, but=["event_time"]), settings)
        create_view(tables, view, known if table == BARS_1M else with_kept_watermark(known), _EVENT_TIME)


def stream_of(tables: StreamTableEnvironment, table: str, but: Iterable[str] = ()) -> DataStream:
    """The rows of a table as Flink's SQL has them, nothing converted; without its processing time, and `but` those."""
    rows = tables.from_path(table)
    left_out = {"proc_time", *but} & set(rows.get_schema().get_field_names())
    if left_out:
        rows = rows.drop_columns(*(col(name) for name in sorted(left_out)))
    row_type = rows._j_table.getResolvedSchema().toSourceRowDataType()
    internal = row_type.bridgedTo(get_gateway().jvm.Class.forName("org.apache.flink.table.data.RowData"))
    return DataStream(tables._j_tenv.toDataStream(rows._j_table, internal))


def _of_known_symbols(stream: DataStream, settings: Settings) -> DataStream:
    """The records, those of too many symbols with that reason (docs/decisions/0013)."""
    rows = stream._j_data_stream
    # Symbols that were asked for by name are as many as they are.
    most = 0 if settings.symbol_list else settings.max_symbols
    known = get_gateway().jvm.ta.flink.symbols.KnownSymbols(
        rows.getType().getDataType().getLogicalType(), most, settings.state_ttl_days * _DAY_MS
    )
    return DataStream(rows.process(known, rows.getType()).name("known_symbols"))


def with_kept_watermark(stream: DataStream) -> DataStream:
    """The rows behind a watermark that is in the state: what tells late rows from those on time needs it so.

    The exchange behind another subtask's watermark has one of its own: where there is an exchange before the question,
    this stands between the two (docs/decisions/0017).
    """
    rows = stream._j_data_stream
    kept = rows.transform("kept_watermark", rows.getType(), get_gateway().jvm.ta.flink.watermarks.KeepWatermark())
    return DataStream(kept)


def create_view(
    tables: StreamTableEnvironment, name: str, stream: DataStream, computed: Mapping[str, str] = MappingProxyType({})
) -> None:
    """A view over a stream of such rows, with the watermarks it came with, processing time and `computed` columns."""
    schema = Schema.new_builder()
    for column, expression in {**computed, "proc_time": "PROCTIME()"}.items():
        schema = schema.column_by_expression(column, expression)
    schema = schema.watermark("event_time", "SOURCE_WATERMARK()").build()
    tables.create_temporary_view(name, tables.from_data_stream(stream, schema))


def _ddl(settings: Settings, table: str, topic: str, options: Mapping[str, str], *, from_files: bool) -> str:
    if from_files:
        place = f"line_no BIGINT, log_topic AS '{topic}', log_partition AS 0, log_offset AS line_no"
    else:
        place = (
            "log_topic STRING NOT NULL METADATA FROM 'topic' VIRTUAL, "
            "log_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL, "
            "log_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL"
        )
    payload = ", ".join(f"`payload.{field}` {kind}" for field, kind in _PAYLOADS[table].items())
    return f"""
        CREATE TEMPORARY TABLE {table} (
          symbol STRING,
          feed STRING,
          {payload},
          reject_reason STRING,
          decode_error STRING,
          raw_record BYTES,
          raw_size BIGINT,
          event_ms BIGINT NOT NULL,
          {place},
          {", ".join(f"{name} AS {expression}" for name, expression in _EVENT_TIME.items())},
          proc_time AS PROCTIME(),
          WATERMARK FOR event_time AS {_watermark(settings, table, from_files=from_files)}
        ) WITH ({with_clause(options)})"""


def _watermark(settings: Settings, table: str, *, from_files: bool) -> str:
    out_of_orderness = f"INTERVAL '{settings.max_out_of_orderness_ms / 1000}' SECOND(3, 3)"
    if table in {TRADES, QUOTES}:
        return _of_usable(f"event_time - {out_of_orderness}")
    if not from_files:
        return _SAYS_NOTHING
    if table == BARS_1M:
        # `t` is the start of the minute: its bar is known one minute later, and nothing may run past it.
        return _of_usable(f"event_time + INTERVAL '1' MINUTE - {out_of_orderness}")
    return _NEVER_HOLDS_BACK


def _of_usable(watermark: str) -> str:
    """A record that cannot be used has no say in what is late."""
    return f"CASE WHEN reject_reason IS NULL THEN {watermark} END"


def _format(settings: Settings, table: str) -> dict[str, str]:
    judged = {
        "format": "dead-letter",
        "dead-letter.rules": table.removesuffix("_log"),
        "dead-letter.max-future-ms": str(settings.max_future_ms),
        "dead-letter.max-bytes": str(settings.max_record_bytes),
    }
    if settings.input_format == "json":
        return {**judged, "dead-letter.format": "json"}
    options = {
        **judged,
        "dead-letter.format": "exact-avro",
        "dead-letter.exact-avro.url": settings.schema_registry_url,
    }
    if settings.schema_registry_username:
        password = settings.schema_registry_password.get_secret_value()
        options["dead-letter.exact-avro.user-info"] = f"{settings.schema_registry_username}:{password}"
    return options


def _kafka_options(settings: Settings, table: str, topic: str, startup: Mapping[str, str]) -> dict[str, str]:
    if table in {TRADES, QUOTES}:
        # The clock shares the consumer of the topics whose windows it closes: one fetch session brings both, and a
        # partition's watermark counts only when the others' are known or idle. Idle is what gives nothing while the
        # clock ticks; when the clock is silent too, it is the broker that stands still (docs/decisions/0005).
        connector = {
            "connector": "clocked-kafka",
            "topic": f"{topic};{settings.clock_topic}",
            "clock.type-field": "payload.T",
            "clock.reason-field": "reject_reason",
            "clock.time-field": "event_ms",
            "clock.idle-timeout": f"{settings.idle_timeout_ms} ms",
        }
    else:
        connector = {
            "connector": "kafka", "topic": topic, "scan.watermark.idle-timeout": f"{_IDLE_AT_ONCE_MS} ms",
        }  # fmt: skip
    return {
        **connector,
        **startup,
        "scan.topic-partition-discovery.interval": f"{settings.partition_discovery_ms} ms",
        "properties.group.id": settings.group_id,
        "properties.isolation.level": "read_committed",
        "properties.auto.offset.reset": "earliest",
        **kafka_properties(settings),
        **_format(settings, table),
    }


def _file_options(settings: Settings, table: str, path: Path) -> dict[str, str]:
    return {
        "connector": "filesystem",
        "path": path.resolve().as_uri(),
        **_format(settings, table),
        "dead-letter.numbered-lines": "true",
    }
