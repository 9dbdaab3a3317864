"""Recordings: JSON lines, plain or gzip, of Alpaca messages or of envelopes, in the order they were received.

A file's own order is log order and is never changed: late reports stay late. Several files are merged by time,
each by the newest time it has shown so far (`ingest_ts` where it has one, else `t`). A line that is not JSON, or a
message of unknown type, stays in the log: the job rejects it where everyone can see it.
"""

from __future__ import annotations

import gzip
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ta_pipeline.envelope import KINDS, Kind, in_case, is_envelope, kind_of, wrap
from ta_pipeline.errors import BadRecordError, RecordingError

_GZIP_MAGIC = b"\x1f\x8b"
_KIND_OF_CHANNEL: Mapping[str, Kind] = {
    "quotes": "quotes", "bars": "bars_1m", "updatedBars": "bars_1m", "status": "status",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a recording."""

    time: str
    """Newest time seen in its file up to this line, RFC 3339 without the Z; empty before the first."""
    kind: Kind
    message: dict[str, Any] | None
    """Alpaca's message; None when the line could not be read as one."""
    envelope: dict[str, Any] | None
    """The envelope, when the recording has envelopes."""
    line: bytes


def read(paths: Sequence[Path]) -> Iterator[Record]:
    """The records of all files, merged.

    Raises:
        RecordingError: a file is missing, is not gzip although it says so, or is empty of lines.
    """
    if not paths:
        raise RecordingError("no recording was named; give one or more JSONL files, plain or gzip")
    for path in paths:
        if not path.is_file():
            raise RecordingError(f"recording {path} is not a file; give a JSONL file, plain or gzip")
    if len(paths) == 1:
        return _records(paths[0])
    return heapq.merge(*(_records(path) for path in paths), key=lambda record: record.time)


def write_topic_files(paths: Sequence[Path], out: Path, field_case: str) -> dict[str, int]:
    r"""Write the records as one file of numbered envelopes per topic: `<number>\t<envelope>` a line.

    Args:
        paths: the recordings.
        out: folder, made when missing; gets trades.jsonl, quotes.jsonl, bars_1m.jsonl and status.jsonl.
        field_case: snake or camel.

    Returns:
        How many records each topic has.

    Raises:
        RecordingError: a recording cannot be read, or holds no record at all.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict.fromkeys(KINDS, 0)
    files = {kind: (out / f"{kind}.jsonl").open("wb") for kind in KINDS}
    try:
        for record in read(paths):
            number = counts[record.kind]
            counts[record.kind] += 1
            files[record.kind].write(b"%d\t%b\n" % (number, encode(record, number, field_case)))
    finally:
        for file in files.values():
            file.close()
    if not any(counts.values()):
        raise RecordingError(f"no records in {', '.join(map(str, paths))}")
    return counts


def encode(record: Record, seq: int, field_case: str) -> bytes:
    """The record as a JSON envelope; what is not a message goes through as it came."""
    if record.envelope is not None:
        return orjson.dumps(in_case(record.envelope, field_case))
    if record.message is None:
        return record.line
    message = record.message
    if "ingest_ts" in message:
        message = {name: value for name, value in message.items() if name != "ingest_ts"}
    ingest_ts = str(record.message.get("ingest_ts") or record.message.get("t") or "")
    return orjson.dumps(wrap(message, seq=seq, ingest_ts=ingest_ts, field_case=field_case))


def _records(path: Path) -> Iterator[Record]:
    newest = ""
    for line in _lines(path):
        record = parse_line(line, newest)
        newest = record.time
        yield record


def parse_line(line: bytes, newest: str) -> Record:
    """One line; `newest` is the newest time the file has shown before it."""
    try:
        decoded = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Record(newest, "trades", None, None, line)
    if not isinstance(decoded, dict):
        return Record(newest, "trades", None, None, line)
    envelope = in_case(decoded, "snake") if is_envelope(decoded) else None
    message = decoded["payload"] if envelope is not None else decoded
    time = (envelope or message).get("ingest_ts") or message.get("t")
    if isinstance(time, str):
        # Without the Z, RFC 3339 times of any precision sort as text.
        newest = max(newest, time.rstrip("Z"))
    return Record(newest, _kind(message, envelope), message, envelope, line)


def _kind(message: dict[str, Any], envelope: dict[str, Any] | None) -> Kind:
    try:
        return kind_of(message)
    except BadRecordError:
        return _KIND_OF_CHANNEL.get(str((envelope or {}).get("channel")), "trades")


def _lines(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            for line in file:
                stripped = line.strip()
                if stripped:
                    yield stripped
    except (OSError, EOFError) as error:
        raise RecordingError(f"recording {path} cannot be read: {error}") from None
