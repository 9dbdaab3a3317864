"""Recordings: JSON lines, plain or gzip, of Alpaca messages or of envelopes, in the order they were received.

A file's own order is log order and is never changed: late reports stay late. Several files are merged by time,
each by the newest time it has shown so far (`ingest_ts` where it has one, else `t`); a time that is not RFC 3339
counts as none. A line that is not JSON, or a message of unknown type, stays in the log: the job rejects it where
everyone can see it.
"""

from __future__ import annotations

import gzip
import heapq
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ta_pipeline.envelope import KINDS, Kind, in_case, is_envelope, kind_of, renumbered, wrap
from ta_pipeline.errors import BadRecordError, RecordingError
from ta_pipeline.instants import rfc3339

_GZIP_MAGIC = b"\x1f\x8b"
_MINUTE_SECONDS = 60
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
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
    """The envelope as it came, snake or camel, when the recording has envelopes."""
    line: bytes
    path: Path
    number: int
    """Of the line in its file, from 1."""

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.path}, line {self.number}"


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
    """The record as a JSON envelope; an envelope in this case, and what is not a message, goes through as it came."""
    envelope = enveloped(record, seq)
    if envelope is None:
        return record.line
    cased = in_case(envelope, field_case)
    if record.envelope is not None and cased.keys() == record.envelope.keys():
        return record.line
    return orjson.dumps(cased)


def enveloped(record: Record, seq: int) -> dict[str, Any] | None:
    """The record's envelope, snake case: its own, or one around its message; None when it is not a message."""
    if record.envelope is not None:
        return in_case(record.envelope, "snake")
    message = record.message
    if message is None:
        return None
    ingest_ts = str(message.get("ingest_ts") or message.get("t") or "")
    if "ingest_ts" in message:
        message = {name: value for name, value in message.items() if name != "ingest_ts"}
    return wrap(message, seq=seq, ingest_ts=ingest_ts)


def retimed(envelope: dict[str, Any], now: float, at: float, ids: int) -> dict[str, Any]:
    """The envelope as if it were received at `now` instead of `at`, with trade ids moved up by `ids`.

    How old the message was when it was received stays; a bar still begins on a whole minute. A message without a
    time is left as it is.

    Args:
        envelope: snake case.
        now: epoch seconds.
        at: epoch seconds.
        ids: what to add to trade ids.
    """
    message = envelope["payload"]
    try:
        moved = now + seconds_of(message["t"]) - at
        if message.get("T") in {"b", "u"}:
            moved -= moved % _MINUTE_SECONDS
        stamp = rfc3339(moved)
    except (KeyError, TypeError, ValueError, OverflowError):
        return envelope
    payload = {**renumbered(message, ids), "t": stamp}
    return {**envelope, "ingest_ts": rfc3339(now), "event_ts": stamp, "payload": payload}


def seconds_of(time: str) -> float:
    """Epoch seconds of an RFC 3339 time, with or without its Z; microseconds count.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _records(path: Path) -> Iterator[Record]:
    newest = ""
    for number, line in _lines(path):
        record = parse_line(line, newest, path, number)
        newest = record.time
        yield record


def parse_line(line: bytes, newest: str, path: Path, number: int) -> Record:
    """One line of `path`; `newest` is the newest time the file has shown before it."""
    try:
        decoded = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Record(newest, "trades", None, None, line, path, number)
    if not isinstance(decoded, dict):
        return Record(newest, "trades", None, None, line, path, number)
    envelope = decoded if is_envelope(decoded) else None
    message = decoded["payload"] if envelope is not None else decoded
    received = decoded.get("ingest_ts") or decoded.get("ingestTs")
    newest = max(newest, _sortable(received) or _sortable(message.get("t")))
    return Record(newest, _kind(message, envelope), message, envelope, line, path, number)


def _sortable(time: object) -> str:
    """A time without its Z, as which times of any precision sort as text; empty when it is none."""
    if not isinstance(time, str) or not _RFC3339.fullmatch(time):
        return ""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return ""
    return time[:-1] if time.endswith("Z") else moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def _kind(message: dict[str, Any], envelope: dict[str, Any] | None) -> Kind:
    try:
        return kind_of(message)
    except BadRecordError:
        return _KIND_OF_CHANNEL.get(str((envelope or {}).get("channel")), "trades")


def _lines(path: Path) -> Iterable[tuple[int, bytes]]:
    number = 0
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                stripped = line.strip()
                if stripped:
                    yield number, stripped
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"recording {path} cannot be read after line {number}: {error}") from None
