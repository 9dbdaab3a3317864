"""Sink tables and the inserts into them: Kafka, files (`ta compute`), ClickHouse.

One description of each output's columns; what differs between Kafka and files is only the connector. Field order is
the Avro schema's (schema/avro), because Flink's Avro format writes fields by position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyflink.table import StreamTableEnvironment

from flink.kafka import kafka_properties, with_clause
from ta_pipeline.schema_registry import read_schema
from ta_pipeline.settings import Settings

SIGNALS_VIEW, LATE_VIEW, REJECTS_VIEW = "signals_out", "late_out", "rejects_out"
BEATS_VIEW, STATUS_VIEW = "beats_out", "status_out"


def _instant(column: str) -> str:
    return f"DATE_FORMAT(TO_TIMESTAMP_LTZ({column}, 3), 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''')"


def _group(columns: Mapping[str, str], present: str) -> tuple[str, str]:
    kind = "ROW<" + ", ".join(f"`{name}` DOUBLE" for name in columns) + ">"
    values = ", ".join(columns.values())
    return kind, f"CASE WHEN {present} IS NULL THEN CAST(NULL AS {kind}) ELSE CAST(ROW({values}) AS {kind}) END"


_WINDOW = "ROW<`size` STRING, `step` STRING, `start` STRING, `end` STRING>"


def _envelope(channel: str) -> dict[str, tuple[str, str]]:
    return {
        "ingest_ts": ("STRING", "ingest_ts"),
        "event_ts": ("STRING", "event_ts"),
        "feed": ("STRING", "feed"),
        "channel": ("STRING", f"'{channel}'"),
        "symbol": ("STRING", "symbol"),
        "seq": ("BIGINT", "seq"),
        "is_final": ("BOOLEAN", "is_final"),
        "revision": ("INT", "CAST(revision AS INT)"),
        "source": ("STRING", "'ta'"),
        "window": (_WINDOW, f"CAST(ROW(size, size, start_ts, event_ts) AS {_WINDOW})"),
        "last_event_ts": ("STRING", "last_event_ts"),
        "version": ("INT", "1"),
    }


def _bar_columns() -> dict[str, tuple[str, str]]:
    prices = {name: ("DOUBLE", name) for name in ("o", "h", "l", "c", "v", "vwap")}
    return {**_envelope("bars_1s"), **prices, "count": ("BIGINT", "n")}


def _signal_columns(settings: Settings, channel: str) -> dict[str, tuple[str, str]]:
    return {
        **_envelope(channel),
        "c": ("DOUBLE", "c"),
        "bars": ("BIGINT", "bars"),
        "ema": _group({"ema12": "ema12", "ema26": "ema26"}, "ema12"),
        "macd": _group({"macd": "macd", "signal": "macd_signal", "hist": "macd_hist"}, "macd"),
        "rsi14": ("DOUBLE", "rsi14"),
        "boll": _group({"mid": "boll_mid", "upper": "boll_upper", "lower": "boll_lower"}, "boll_mid"),
        "vwap": _group({"session": "vwap_session", "w5m": "vwap_rolling"}, "COALESCE(vwap_session, vwap_rolling)"),
        "imbalance": _group(
            {name: name for name in ("spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz")}, "bid_px"
        ),
        "vol_realized": _group(
            {"w60s": "vol_realized", "w30m": "vol_realized_30"}, "COALESCE(vol_realized, vol_realized_30)"
        ),
        "vwap_window_s": ("INT", str(settings.vwap_window_seconds)),
        "vol_window_s": ("INT", str(settings.realized_vol_window_seconds)),
    }


_LATE_COLUMNS = {
    "ingest_ts": ("STRING", _instant("ingest_ms")),
    "event_ts": ("STRING", _instant("event_ms")),
    "symbol": ("STRING", "symbol"),
    "reason": ("STRING", "reason"),
    "kind": ("STRING", "kind"),
    "topic": ("STRING", "log_topic"),
    "partition": ("INT", "CAST(log_partition AS INT)"),
    "offset": ("BIGINT", "log_offset"),
    "window_end": ("STRING", _instant("end_ms")),
    "watermark": ("STRING", _instant("watermark_ms")),
    "price": ("DOUBLE", "price"),
    "size": ("DOUBLE", "size"),
    "trade": ("STRING", "trade"),
    "source": ("STRING", "'ta'"),
    "version": ("INT", "1"),
}
_REJECT_COLUMNS = {
    "ingest_ts": ("STRING", _instant("ingest_ms")),
    "symbol": ("STRING", "symbol"),
    "reason": ("STRING", "reason"),
    "detail": ("STRING", "detail"),
    "topic": ("STRING", "log_topic"),
    "partition": ("INT", "CAST(log_partition AS INT)"),
    "offset": ("BIGINT", "log_offset"),
    "raw": ("STRING", "RAW_TEXT(`raw`)"),
    "raw_encoding": ("STRING", "RAW_ENCODING(`raw`)"),
    "raw_size": ("BIGINT", "raw_size"),
    "source": ("STRING", "'ta'"),
    "version": ("INT", "1"),
}


_COUNTS = ("trades", "quotes", "bars_1m", "status", "bars", "signals", "live", "late", "rejects")
_COUNTS_TYPE = "ROW<" + ", ".join(f"`{name}` BIGINT" for name in _COUNTS) + ">"


def _status_columns(settings: Settings) -> dict[str, tuple[str, str]]:
    behind = f"lag_ms > {settings.bar_close_timeout_ms}"
    reason = (
        f"'the watermark is ' || CAST(lag_ms AS STRING) || ' ms behind, {settings.bar_close_timeout_ms} is allowed'"
    )
    return {
        **_envelope("status"),
        "watermark_lag_ms": ("BIGINT", "lag_ms"),
        "status": ("STRING", f"CASE WHEN {behind} THEN 'degraded' ELSE 'ok' END"),
        "status_reason": ("STRING", f"CASE WHEN {behind} THEN {reason} END"),
        "heartbeat": ("BOOLEAN", "TRUE"),
        "counts": (_COUNTS_TYPE, f"CAST(ROW({', '.join(f'`{name}`' for name in _COUNTS)}) AS {_COUNTS_TYPE})"),
    }


def status_view_sql(settings: Settings) -> str:
    """The heartbeat's rows: the beats of all subtasks, summed over one checkpoint interval of processing time."""
    interval_ms = settings.checkpoint_interval_ms
    sums = ", ".join(f"SUM(`{name}`) AS `{name}`" for name in _COUNTS)
    return f"""
        CREATE TEMPORARY VIEW {STATUS_VIEW} AS
        SELECT '*' AS symbol, CAST(NULL AS STRING) AS feed, TRUE AS is_final, 0 AS revision,
               'PT{interval_ms / 1000:g}S' AS size, {_instant("ingest_ms")} AS ingest_ts,
               {_instant("event_ms")} AS event_ts, {_instant(f"event_ms - {interval_ms}")} AS start_ts,
               {_instant("last_ms")} AS last_event_ts, event_ms / {interval_ms} AS seq, lag_ms,
               {", ".join(f"`{name}`" for name in _COUNTS)}
        FROM (
          SELECT EPOCH_MILLIS(CAST(window_end AS TIMESTAMP_LTZ(3))) AS event_ms, MAX(now_ms) AS ingest_ms,
                 MAX(last_event_ms) AS last_ms, MAX(lag_ms) AS lag_ms, {sums}
          FROM TABLE(TUMBLE(TABLE {BEATS_VIEW}, DESCRIPTOR(proc_time), INTERVAL '{interval_ms / 1000}' SECOND(6, 3)))
          GROUP BY window_start, window_end)"""


@dataclass(frozen=True)
class Output:
    """One sink: its table's name (the role in uids and in the plan), columns, and which rows it takes."""

    name: str
    columns: Mapping[str, tuple[str, str]]
    view: str
    where: str
    topic: str
    file: str
    exactly_once: bool
    schema: str
    """Name of the Avro schema in schema/avro."""
    linger_ms: int = 20

    def insert_sql(self) -> str:
        """The statement that fills the table."""
        select = ", ".join(f"{expression} AS `{name}`" for name, (_, expression) in self.columns.items())
        return f"INSERT INTO {self.name} SELECT {select} FROM {self.view} WHERE {self.where}"

    def ddl(self, options: Mapping[str, str]) -> str:
        """The table over a connector."""
        columns = ", ".join(f"`{name}` {kind}" for name, (kind, _) in self.columns.items())
        return f"CREATE TEMPORARY TABLE {self.name} ({columns}) WITH ({with_clause(options)})"

    def format_options(self, settings: Settings) -> dict[str, str]:
        """How the topic's values are encoded, `TA_OUTPUT_FORMAT`; for whoever writes or reads it in SQL."""
        if settings.output_format == "json":
            return {"value.format": "json"}
        options = {
            "value.format": "avro-confluent",
            "value.avro-confluent.url": settings.schema_registry_url,
            "value.avro-confluent.subject": f"{self.topic}-value",
            # The schema as it was registered before: asked for its id, the registry finds it and adds nothing.
            "value.avro-confluent.schema": read_schema(self.schema),
        }
        if settings.schema_registry_username:
            password = settings.schema_registry_password.get_secret_value()
            options["value.avro-confluent.basic-auth.credentials-source"] = "USER_INFO"
            options["value.avro-confluent.basic-auth.user-info"] = f"{settings.schema_registry_username}:{password}"
        return options


def outputs(settings: Settings, *, live: bool) -> list[Output]:
    """The outputs of the job; the live one only when live signals are on."""
    once = settings.delivery_guarantee == "exactly-once"
    every = [
        Output(
            "bars_sink", _bar_columns(), SIGNALS_VIEW, "has_bar", settings.bars_topic, "bars", once, "TaBar1s",
        ),
        Output(
            "signals_sink", _signal_columns(settings, "signals"), SIGNALS_VIEW, "has_signal AND is_final",
            settings.signals_topic, "signals", once, "TaSignal",
        ),
        Output("late_sink", _LATE_COLUMNS, LATE_VIEW, "TRUE", settings.late_topic, "late", once, "TaLate"),
        Output(
            "rejects_sink", _REJECT_COLUMNS, REJECTS_VIEW, "TRUE", settings.rejects_topic, "rejects", once, "TaReject",
        ),
    ]  # fmt: skip
    if live:
        every.append(
            Output(
                "live_sink", _signal_columns(settings, "signals_live"), SIGNALS_VIEW, "has_signal AND NOT is_final",
                settings.live_topic, "live", exactly_once=False, schema="TaSignal", linger_ms=5,
            )
        )  # fmt: skip
        if settings.status_topic:
            every.append(
                Output(
                    "status_sink", _status_columns(settings), STATUS_VIEW, "TRUE", settings.status_topic, "status",
                    exactly_once=False, schema="TaStatus",
                )
            )  # fmt: skip
    return every


def create_sinks(
    tables: StreamTableEnvironment, settings: Settings, every: list[Output], directory: Path | None
) -> None:
    """Create the sink tables over Kafka, or over one folder of JSON lines each under `directory`."""
    tables.create_java_temporary_system_function("RAW_TEXT", "ta.flink.Printable$Text")
    tables.create_java_temporary_system_function("RAW_ENCODING", "ta.flink.Printable$Encoding")
    for output in every:
        options = _kafka_options(settings, output) if directory is None else _file_options(directory / output.file)
        tables.execute_sql(output.ddl(options))


def _kafka_options(settings: Settings, output: Output) -> dict[str, str]:
    options = {
        "connector": "kafka",
        "topic": output.topic,
        "key.format": "raw",
        "key.fields": "symbol",
        "sink.delivery-guarantee": "exactly-once" if output.exactly_once else "at-least-once",
        "properties.acks": "all",
        "properties.enable.idempotence": "true",
        "properties.max.in.flight.requests.per.connection": "5",
        "properties.compression.type": "lz4",
        "properties.linger.ms": str(output.linger_ms),
        **kafka_properties(settings),
        **output.format_options(settings),
    }
    if output.exactly_once:
        options["sink.transactional-id-prefix"] = f"{settings.transactional_id_prefix}-{output.file}"
        options["sink.transaction-naming-strategy"] = "pooling"
        options["properties.transaction.timeout.ms"] = str(settings.transaction_timeout_ms)
    return options


def _file_options(folder: Path) -> dict[str, str]:
    return {"connector": "filesystem", "path": folder.resolve().as_uri(), "format": "json"}
