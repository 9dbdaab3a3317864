"""Recordings as four logs: every message with its place, its time, whether it can be used, and whether it is late.

A log is in the order of its file; several files are merged by the newest time each has shown so far. The watermark
that a message meets is the newest event time before it in its log, less the allowed out-of-orderness.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_rules import SECOND_MS, Rules

NO_WATERMARK = -(2**62)
"""Before the first record of a log."""
_KIND_OF = {
    "t": "trades", "x": "trades", "c": "trades", "q": "quotes", "b": "bars_1m", "u": "bars_1m", "s": "status",
}  # fmt: skip
_KIND_OF_CHANNEL = {"quotes": "quotes", "bars": "bars_1m", "updatedBars": "bars_1m", "status": "status"}
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):([0-5]\d))"
)
_LARGEST_LONG = 2**63 - 1
_GZIP_MAGIC = b"\x1f\x8b"

Row = dict[str, Any]


def _long(value: Any) -> int:
    number = value if type(value) is int else int(_text(value))
    if not -_LARGEST_LONG <= number <= _LARGEST_LONG:
        raise ValueError(number)
    return number


def _double(value: Any) -> float:
    return value if type(value) is float else float(_text(value))


def _text(value: Any) -> str:
    if type(value) is bool:
        return "true" if value else "false"
    return value if type(value) is str else json.dumps(value)


def _list(value: Any) -> list[str]:
    if type(value) is not list:
        raise ValueError(value)
    return [_text(item) for item in value if item is not None]


_FIELDS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "trades": {
        "T": _text, "t": _text, "i": _long, "x": _text, "p": _double, "s": _double, "c": _list, "z": _text,
        "oi": _long, "ci": _long, "cp": _double, "cs": _double, "cc": _list,
    },
    "quotes": {"T": _text, "t": _text, "bp": _double, "bs": _double, "ap": _double, "as": _double},
    "bars_1m": {
        "T": _text, "t": _text, "o": _double, "h": _double, "l": _double, "c": _double, "v": _double, "vw": _double,
        "n": _long,
    },
    "status": {"T": _text, "t": _text, "sc": _text},
}  # fmt: skip


def read_logs(paths: Sequence[Path], rules: Rules, now_ms: int) -> dict[str, pd.DataFrame]:
    """The logs by kind: trades, quotes, bars_1m, status.

    Args:
        paths: JSON lines of Alpaca's messages or of envelopes, plain or gzip.
        rules: which times and symbols are kept.
        now_ms: this machine's clock; event times too far ahead of it are no use.

    Returns:
        One row a message, in log order: `offset`, `symbol`, `event_ms` (0: none), `end_ms` of its second,
        `watermark_ms`, `late`, `usable`, `kept` (usable, and of a symbol that is asked for) and the typed fields of
        the message.
    """
    lines = [line for path in paths for line in _timed_lines(path)]
    if len(paths) > 1:
        lines.sort(key=lambda line: line[0])  # stable: a file's own order is the log's
    rows: dict[str, list[Row]] = {kind: [] for kind in _FIELDS}
    for _, kind, symbol, message in lines:
        rows[kind].append(_row(kind, symbol, message, now_ms + rules.max_future_ms))
    return {kind: _log(kind, found, rules) for kind, found in rows.items()}


def _timed_lines(path: Path) -> Iterator[tuple[int, str, Any, Any]]:
    """Newest time so far in nanoseconds, kind, symbol and message of each line."""
    newest = 0
    for line in _lines(path):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            yield newest, "trades", None, None
            continue
        is_envelope = isinstance(record.get("payload"), dict)
        message = record["payload"] if is_envelope else record
        received = record.get("ingest_ts") or record.get("ingestTs")
        newest = max(newest, epoch_ns(received) or epoch_ns(message.get("t")) or 0)
        kind = _KIND_OF.get(str(message.get("T")))
        if kind is None:
            kind = _KIND_OF_CHANNEL.get(str(record.get("channel")), "trades") if is_envelope else "trades"
        yield newest, kind, record.get("symbol") if is_envelope else message.get("S"), message


def _lines(path: Path) -> Iterable[bytes]:
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
    with gzip.open(path, "rb") if compressed else path.open("rb") as file:
        for line in file:
            if stripped := line.strip():
                yield stripped


def _row(kind: str, symbol: Any, message: Any, latest_ms: int) -> Row:
    """One message, typed; without a time when a field is of a wrong type, as then none of it is known."""
    try:
        fields = {
            name: None if message.get(name) is None else convert(message[name])
            for name, convert in _FIELDS[kind].items()
        }
        named = "" if symbol is None else _text(symbol)
    except (ValueError, AttributeError):
        return {"symbol": "", "event_ms": 0, "usable": False}
    ns = epoch_ns(fields["t"])
    event_ms = 0 if ns is None else ns // 1_000_000
    if event_ms > latest_ms:
        event_ms = 0
    usable = bool(named and event_ms and _is_usable(kind, fields))
    return {"symbol": named, "event_ms": event_ms, "usable": usable, **fields}


def _is_usable(kind: str, row: Row) -> bool:
    test = _USABLE.get((kind, row["T"]))
    return test is not None and test(row)


def _is_minute(row: Row) -> bool:
    prices = _all(_positive, row, "o", "h", "l", "c") and row["h"] >= row["l"]
    counts = (row["vw"] is None or _not_negative(row["vw"])) and (row["n"] is None or row["n"] >= 0)
    return prices and counts and _all(_not_negative, row, "v")


def _all(test: Callable[[Any], bool], row: Row, *names: str) -> bool:
    return all(row[name] is not None and test(row[name]) for name in names)


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _not_negative(value: float) -> bool:
    return 0 <= value < math.inf


_USABLE: Mapping[tuple[str, str | None], Callable[[Row], bool]] = {
    ("trades", "t"): lambda row: _all(_positive, row, "p", "s"),
    ("trades", "x"): lambda row: row["i"] is not None,
    ("trades", "c"): lambda row: None not in (row["oi"], row["ci"]) and _all(_positive, row, "cp", "cs"),
    ("trades", "clock"): lambda _row: True,
    ("quotes", "q"): lambda row: _all(_not_negative, row, "bp", "ap", "bs", "as"),
    ("quotes", "clock"): lambda _row: True,
    ("bars_1m", "b"): _is_minute,
    ("bars_1m", "u"): _is_minute,
    ("status", "s"): lambda row: row["sc"] is not None,
}


def _log(kind: str, rows: list[Row], rules: Rules) -> pd.DataFrame:
    # Column by column: a whole number must not become a double because another row has none.
    columns: dict[str, Any] = {"symbol": object, "event_ms": "int64", "usable": bool}
    columns |= {name: float if convert is _double else object for name, convert in _FIELDS[kind].items()}
    log = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=as_) for name, as_ in columns.items()})
    log.insert(0, "offset", np.arange(len(log)))
    log["end_ms"] = log["event_ms"] // SECOND_MS * SECOND_MS + SECOND_MS
    newest = np.maximum.accumulate(log["event_ms"].to_numpy())
    watermark = np.full(len(log), NO_WATERMARK)
    watermark[1:] = newest[:-1] - rules.out_of_orderness_ms
    log["watermark_ms"] = watermark
    log["late"] = log["end_ms"] - 1 <= log["watermark_ms"]
    log["kept"] = log["usable"] & (log["symbol"].isin(rules.symbols) if rules.symbols else True)
    return log


def epoch_ns(text: object) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time; None when it is none."""
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    midnight = _midnight(day)
    if midnight is None or (sign and int(hours) > 23):
        return None
    seconds = midnight + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(hours) * 3_600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=64)
def _midnight(day: str) -> int | None:
    try:
        return timegm(date.fromisoformat(day).timetuple())
    except ValueError:
        return None
