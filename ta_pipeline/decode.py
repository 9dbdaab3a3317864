"""Output records from Kafka bytes: JSON, or Avro with the registry, as `TA_OUTPUT_FORMAT` says.

A decoded record is a plain dict in the shape of its schema (docs/reference/schemas.md), checked for what every reader
leans on: what names it, and when it is about. Groups of a signal may be null.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Literal, NamedTuple, Self, get_args, get_origin, get_type_hints

import fastavro
import msgspec
import orjson
from confluent_kafka.schema_registry.error import SchemaRegistryError
from msgspec import Struct

from ta_pipeline.errors import BadRecordError
from ta_pipeline.schema_registry import asking, registry_client
from ta_pipeline.settings import Settings
from ta_pipeline.shapes import TaBar, TaSignal, TaStatus, Windowed, WithReason
from ta_pipeline.signals.outputs import MINUTE

Channel = Literal["bars", "signals", "live", "late", "rejects", "status"]
Record = dict[str, Any]

_SHAPES: Mapping[Channel, type[Struct]] = {
    "bars": TaBar,
    "signals": TaSignal,
    "live": TaSignal,
    "late": WithReason,
    "rejects": WithReason,
    "status": TaStatus,
}
_MISSING = re.compile(r"missing required field `(?P<name>\w+)`")
_PLACE = re.compile(r" - at `\$\.(?P<path>[\w.]+)`$")
_UNKNOWN_SCHEMA = {404, 40403}
_ASK_AGAIN_SECONDS = 5.0
_MOST_REFUSED = 1_000
"""Ids of schemas that are remembered as refused: foreign bytes may look like any."""
_AVRO = "AVRO"
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
        """The record, and what it is; as `read`."""
        channel, record, _ = self.read(topic, value)
        return channel, record

    def read(self, topic: str, value: bytes | None) -> tuple[Channel, Record, Struct]:
        """What the record is, the record as it was written, and the same in its shape (`ta_pipeline.shapes`).

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
        try:
            return channel, record, msgspec.convert(record, _SHAPES[channel])
        except msgspec.ValidationError as error:
            raise _misshapen(topic, record, _SHAPES[channel], str(error)) from None


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


def head_in(shape: Windowed) -> Head:
    """As `head_of`, of what was read into its shape."""
    return Head(
        shape.symbol,
        shape.window.size,
        shape.seq,
        shape.revision,
        shape.is_final,
        epoch_ms(shape.event_ts),
        epoch_ms(shape.last_event_ts),
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
        self._refused: dict[int, tuple[float, str]] = {}  # asked for again then, and why; the oldest first

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
            schema = self._asked(topic, number)
        try:
            # Not the registry client's deserializer: it walks the schema anew for each record, twice the time.
            decoded: object = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), schema, None)
        except Exception as error:  # on foreign bytes fastavro raises anything from EOFError to MemoryError
            raise BadRecordError("not_avro", f"{topic}: {type(error).__name__}: {error}") from None
        return decoded

    def _asked(self, topic: str, number: int) -> Any:
        """The schema of an id, asked for once; a refusal holds for some seconds, so that not each record asks."""
        again_at, why = self._refused.get(number, (0.0, ""))
        if time.monotonic() >= again_at:
            self._refused.pop(number, None)
            schema, why = self._fetch(topic, number)
            if not why:
                self._schemas[number] = schema
                return schema
            self._refused[number] = (time.monotonic() + _ASK_AGAIN_SECONDS, why)
            if len(self._refused) > _MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
        raise BadRecordError("unknown_schema", f"{topic}: id {number}{why}")

    def _fetch(self, topic: str, number: int) -> tuple[Any, str]:
        """The schema, or why there is none that could be used."""
        with asking(self._settings, f"the schema of a record of {topic}"):
            try:
                found = self._registry.get_schema(number)
            except SchemaRegistryError as error:
                if error.http_status_code in _UNKNOWN_SCHEMA or error.error_code in _UNKNOWN_SCHEMA:
                    return None, f": {error.error_message}"
                raise
        if (found.schema_type or _AVRO) != _AVRO:
            return None, f" is not Avro: it is {found.schema_type}"
        try:
            return fastavro.parse_schema(orjson.loads(found.schema_str or "")), ""
        except Exception as error:  # a registry takes any text; on what is not Avro fastavro raises anything
            return None, f" is not Avro: {type(error).__name__}: {error}"


def _misshapen(topic: str, record: Record, shape: type[Struct], said: str) -> BadRecordError:
    """The error for what msgspec says of a record, with the value that it leaves out."""
    place = _PLACE.search(said)
    path = place["path"].split(".") if place else []
    if missing := _MISSING.search(said):
        return BadRecordError("missing_field", f"{topic}: {'.'.join([*path, missing['name']])}")
    value: Any = record
    for name in path:
        value = value[name]
    detail = f"{topic}: {'.'.join(path)} is {value!r}: {said.removesuffix(place[0] if place else '')}"
    if allowed := _allowed(shape, tuple(path)):
        detail += f"; it is one of {', '.join(map(repr, allowed))}"
    return BadRecordError("missing_field" if value is None else "wrong_type", detail)


@cache
def _allowed(shape: type[Struct], path: tuple[str, ...]) -> tuple[object, ...]:
    """The values that a field may have, where its shape lists them."""
    kind: Any = shape
    for name in path:
        kind = get_type_hints(kind)[name]
        kind = next((one for one in get_args(kind) if isinstance(one, type) and issubclass(one, Struct)), kind)
    return get_args(kind) if get_origin(kind) is Literal else ()
