"""Output records from Kafka bytes: JSON, or Avro with the registry, as `TA_OUTPUT_FORMAT` says.

A decoded record is a plain dict in the shape of its schema (docs/reference/schemas.md), checked for what every reader
leans on: what names it, and when it is about. Groups of a signal may be null.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self

import fastavro
import orjson
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.errors import BadRecordError
from ta_pipeline.schema_registry import asking, registry_client
from ta_pipeline.settings import Settings
from ta_pipeline.signals.outputs import MINUTE, SECOND

Channel = Literal["bars", "signals", "live", "late", "rejects", "status"]
Record = dict[str, Any]

_ENVELOPE: Mapping[str, type] = {
    "symbol": str, "event_ts": str, "last_event_ts": str, "seq": int, "revision": int, "is_final": bool,
}  # fmt: skip
_REQUIRED: Mapping[Channel, Mapping[str, type]] = {
    "bars": _ENVELOPE,
    "signals": _ENVELOPE,
    "live": _ENVELOPE,
    "late": {"reason": str},
    "rejects": {"reason": str},
    "status": {"status": str},
}
_NUMBER = (int, float)
_SIGNAL: Mapping[str, type | tuple[type, ...]] = {
    "c": _NUMBER, "bars": int, "rsi14": _NUMBER, "ema": dict, "macd": dict, "boll": dict, "vwap": dict,
    "imbalance": dict, "vol_realized": dict,
}  # fmt: skip
_OPTIONAL: Mapping[Channel, Mapping[str, type | tuple[type, ...]]] = {
    "bars": {**dict.fromkeys(("o", "h", "l", "c", "v", "vwap"), _NUMBER), "count": int},
    "signals": _SIGNAL,
    "live": _SIGNAL,
}
_SIZES = (SECOND, MINUTE)
_UNKNOWN_SCHEMA = {404, 40403}
_MAGIC, _FRAME = 0, 5
"""Confluent's framing: a zero byte and the schema's id, 4 bytes, big-endian."""


class Head(NamedTuple):
    """What names a bar or a signal, and its times as epoch milliseconds.

    (symbol, event_ms, seq) is its key, in any timeframe; the highest revision of a key wins.
    """

    symbol: str
    size: str
    seq: int
    revision: int
    is_final: bool
    event_ms: int
    last_event_ms: int

    @property
    def measured_from_ms(self) -> int:
        """The time its latency counts from: the newest tick; of a 1-minute signal the end of the upstream bar."""
        return self.event_ms if self.size == MINUTE else self.last_event_ms


def channels(settings: Settings) -> dict[str, Channel]:
    """What each output topic carries; the heartbeat only when `TA_STATUS_TOPIC` is set."""
    topics: dict[str, Channel] = {
        settings.bars_topic: "bars",
        settings.signals_topic: "signals",
        settings.live_topic: "live",
        settings.late_topic: "late",
        settings.rejects_topic: "rejects",
    }
    if settings.status_topic:
        topics[settings.status_topic] = "status"
    return topics


class OutputDecoder:
    """Decodes the records of the output topics for one set of settings; schemas are asked for once each."""

    def __init__(self, settings: Settings) -> None:
        self._channels = channels(settings)
        self._avro = _AvroValues(settings) if settings.output_format == "avro-confluent" else None
        self._value = self._avro.decode if self._avro is not None else _json

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the registry."""
        if self._avro is not None:
            self._avro.close()

    def channel(self, topic: str) -> Channel:
        """What a topic carries.

        Raises:
            BadRecordError: `unknown_topic`, it is none of the output topics.
        """
        found = self._channels.get(topic)
        if found is None:
            raise BadRecordError("unknown_topic", f"{topic}; the output topics are {', '.join(self._channels)}")
        return found

    def decode(self, topic: str, value: bytes | None) -> tuple[Channel, Record]:
        """The record, and what it is.

        Raises:
            BadRecordError: `unknown_topic`, `empty`, `not_json`, `not_avro`, `unknown_schema`, `not_an_object`,
                `missing_field` or `wrong_type`.
            SchemaError: the registry does not answer.
        """
        channel = self.channel(topic)
        if not value:
            raise BadRecordError("empty", f"a record of {topic} has no value")
        record = self._value(topic, value)
        if not isinstance(record, dict):
            raise BadRecordError("not_an_object", f"a record of {topic} is {type(record).__name__}, not an object")
        _require(topic, record, _REQUIRED[channel])
        for name, kind in _OPTIONAL.get(channel, {}).items():
            if record.get(name) is not None and not isinstance(record[name], kind):
                raise BadRecordError("wrong_type", f"{topic}: {name} is {record[name]!r}")
        if channel in {"bars", "signals", "live"} and _size(record) not in _SIZES:
            raise BadRecordError("wrong_type", f"{topic}: window.size is {_size(record)!r}; known are {_SIZES}")
        return channel, record


def head_of(record: Record) -> Head:
    """Key and times of a decoded bar or signal.

    Raises:
        BadRecordError: `not_an_instant`, a time cannot be read.
    """
    return Head(
        record["symbol"],
        record["window"]["size"],
        record["seq"],
        record["revision"],
        record["is_final"],
        epoch_ms(record["event_ts"]),
        epoch_ms(record["last_event_ts"]),
    )


def epoch_ms(instant: str) -> int:
    """Epoch milliseconds of an ISO-8601 instant with a zone.

    Raises:
        BadRecordError: `not_an_instant`.
    """
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        raise BadRecordError("not_an_instant", f"{instant!r}; expected like 2026-01-02T14:30:01.000Z") from None
    if moment.tzinfo is None:
        raise BadRecordError("not_an_instant", f"{instant!r} has no zone; expected like 2026-01-02T14:30:01.000Z")
    return round(moment.timestamp() * 1_000)


def _json(topic: str, value: bytes) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadRecordError("not_json", f"{topic}: {error}; is TA_OUTPUT_FORMAT that of the job?") from None


class _AvroValues:
    """Decodes values in Confluent's framing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._registry = registry_client(settings)
        self._schemas: dict[int, Any] = {}

    def close(self) -> None:
        self._registry.close()

    def decode(self, topic: str, value: bytes) -> object:
        if len(value) <= _FRAME or value[0] != _MAGIC:
            raise BadRecordError(
                "not_avro", f"{topic}: it does not begin with a schema's id; is TA_OUTPUT_FORMAT that of the job?"
            )
        number = int.from_bytes(value[1:_FRAME])
        schema = self._schemas.get(number)
        if schema is None:
            schema = self._schemas[number] = self._fetch(topic, number)
        try:
            # Not the registry client's deserializer: it walks the schema anew for each record, twice the time.
            decoded: object = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), schema, None)
        except Exception as error:  # on foreign bytes fastavro raises anything from EOFError to MemoryError
            raise BadRecordError("not_avro", f"{topic}: {type(error).__name__}: {error}") from None
        return decoded

    def _fetch(self, topic: str, schema_id: int) -> Any:
        """The schema, asked for once."""
        with asking(self._settings, f"the schema of a record of {topic}"):
            try:
                found = self._registry.get_schema(schema_id)
            except SchemaRegistryError as error:
                if error.http_status_code in _UNKNOWN_SCHEMA or error.error_code in _UNKNOWN_SCHEMA:
                    raise BadRecordError("unknown_schema", f"{topic}: id {schema_id}: {error.error_message}") from None
                raise
        try:
            return fastavro.parse_schema(orjson.loads(found.schema_str or ""))
        except (orjson.JSONDecodeError, fastavro.schema.SchemaParseException) as error:
            raise BadRecordError("unknown_schema", f"{topic}: id {schema_id} is not Avro: {error}") from None


def _size(record: Record) -> object:
    window = record.get("window")
    return window.get("size") if isinstance(window, dict) else None


def _require(topic: str, record: Record, fields: Mapping[str, type]) -> None:
    for name, kind in fields.items():
        value = record.get(name)
        if value is None:
            raise BadRecordError("missing_field", f"{topic}: {name}")
        # bool is an int to isinstance, and a flag in place of a number is an error here.
        if type(value) is not kind:
            raise BadRecordError("wrong_type", f"{topic}: {name} is {value!r}, not {kind.__name__}")
