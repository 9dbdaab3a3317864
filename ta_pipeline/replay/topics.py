"""A retained range of topics: a day of production's inputs as recordings, and what it gave out for that day.

Only committed records are read, from the first that can be of that day to the end of the log as it is when it is
reached. Which day a message is of, its event time says, not when Kafka took it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka.schema_registry.avro import AvroDeserializer

from ta_pipeline.decode import OutputDecoder, epoch_ms
from ta_pipeline.envelope import KINDS, is_envelope, topic_of
from ta_pipeline.errors import BadRecordError, RecordingError
from ta_pipeline.replay.compare import Frames
from ta_pipeline.replay.frames import frames_of
from ta_pipeline.replay.inputs import ALL
from ta_pipeline.schema_registry import registry_client
from ta_pipeline.sessions import SessionBounds
from ta_pipeline.settings import Settings
from ta_pipeline.topic_ranges import Progress, Retained, retained_records

_MAGIC = b"\0"


def record_day(
    settings: Settings, bounds: SessionBounds, symbol: str, out: Path, *, progress: Progress = lambda _read: None
) -> list[Path]:
    """Write what the input topics hold of a day and a symbol as one recording for each topic, in log order.

    Args:
        settings: production's.
        bounds: of the day.
        symbol: the records' key; `ALL`: every symbol.
        out: folder, made when missing.
        progress: called often.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
        RecordingError: the topics hold nothing of that day.
    """
    out.mkdir(parents=True, exist_ok=True)
    topics = {topic_of(kind, settings): out / f"{kind}.jsonl" for kind in KINDS}
    files = {topic: path.open("wb") for topic, path in topics.items()}
    try:
        with _lines(settings) as text:
            for record in retained_records(settings, list(topics), bounds.start_ms, progress):
                if symbol in {ALL, record.key} and (line := text(record)) is not None and _is_of(line, bounds):
                    files[record.topic].write(line + b"\n")
    finally:
        for file in files.values():
            file.close()
    written = [path for path in topics.values() if path.stat().st_size]
    if not written:
        raise RecordingError(
            f"{', '.join(topics)} hold no message of {symbol} for that day; retention has deleted it, or there was none"
        )
    return written


def emitted_frames(
    settings: Settings, bounds: SessionBounds, symbol: str, *, progress: Progress = lambda _read: None
) -> Frames:
    """The final bars and signals that production gave out for a day, in log order.

    Args:
        settings: production's.
        bounds: of the day; a window belongs to it by its start.
        symbol: the records' key; `ALL`: every symbol.
        progress: called often.

    Raises:
        KafkaSetupError: a topic is missing, or Kafka cannot be reached or refuses.
        BadRecordError: what is on the topics is not what the job writes.
    """
    records: dict[str, list[dict[str, Any]]] = {"bars": [], "signals": []}
    topics = [settings.bars_topic, settings.signals_topic]
    with OutputDecoder(settings) as decoder:
        for record in retained_records(settings, topics, bounds.start_ms, progress):
            if symbol not in {ALL, record.key}:
                continue
            channel, decoded = decoder.decode(record.topic, record.value)
            if bounds.start_ms < epoch_ms(decoded["event_ts"]) <= bounds.end_ms:
                records[channel].append(decoded)
    return frames_of(records, settings)


@contextmanager
def _lines(settings: Settings) -> Iterator[Callable[[Retained], bytes | None]]:
    """How a value becomes a line of JSON; None: it cannot, and the job would reject it."""
    if settings.input_format == "json":
        yield lambda record: record.value.replace(b"\n", b" ")
        return
    registry = registry_client(settings)
    avro = AvroDeserializer(registry)

    def text(record: Retained) -> bytes | None:
        if not record.value.startswith(_MAGIC):
            return None
        envelope = avro(record.value)
        if not isinstance(envelope, dict) or not is_envelope(envelope):
            return None
        payload = {name: value for name, value in envelope["payload"].items() if value is not None}
        return orjson.dumps({**envelope, "payload": payload})

    try:
        yield text
    finally:
        registry.close()


def _is_of(line: bytes, bounds: SessionBounds) -> bool:
    """By its event time; a record without one is left out: nobody can say which day it is of."""
    try:
        decoded = orjson.loads(line)
        message = decoded["payload"] if is_envelope(decoded) else decoded
        return bounds.start_ms <= epoch_ms(message["t"]) < bounds.end_ms
    except (orjson.JSONDecodeError, BadRecordError, KeyError, TypeError, AttributeError):
        return False
