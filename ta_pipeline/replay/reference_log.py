"""Recordings as four logs: every message with its place, its time, whether it can be used, and whether it is late.

A log is in the order of its file; several files are merged by the newest time each has shown so far. The watermark
that a message meets is the newest event time before it in its log, less the allowed out-of-orderness.
"""

from __future__ import annotations

import gzip
import json
import re
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.reference_rules import MINUTE_MS, SECOND_MS, Rules

NO_WATERMARK = -(2**62)
"""Before the first record of a log."""
_KIND_OF = {
    "t": "trades", "x": "trades", "c": "trades", "q": "quotes", "b": "bars_1m", "u": "bars_1m", "s": "status",
}  # fmt: skip
_KIND_OF_CHANNEL = {"quotes": "quotes", "bars": "bars_1m", "updatedBars": "bars_1m", "status": "status"}
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):([0-5]\d))",
    re.ASCII,
)
_LARGEST_LONG = 2**63 - 1
_SYMBOL = re.compile(r"[A-Za-z0-9./:^=+*$#@~!%&_-]{1,32}")
_EXCHANGE = re.compile(r"[A-Za-z0-9._-]{0,16}")
_STATUS = re.compile(r"[A-Za-z0-9]")
_PRICES, _SIZES = (1e-12, 1e12), (1e-12, 1e18)
_CLOCK = "*"
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
    lines = [line for path in paths for line in _timed_lines(path, rules.max_record_bytes)]
    if len(paths) > 1:
        lines.sort(key=lambda line: line[0])  # stable: a file's own order is the log's
    rows: dict[str, list[Row]] = {kind: [] for kind in _FIELDS}
    for _, kind, symbol, message in lines:
        rows[kind].append(_row(kind, symbol, message, now_ms + rules.max_future_ms))
    return {kind: _log(kind, found, rules) for kind, found in rows.items()}


def _timed_lines(path: Path, longest: int) -> Iterator[tuple[int, str, Any, Any]]:
    """Newest time so far in nanoseconds, kind, symbol and message of each line; of one too long, no message."""
    newest = 0
    for line in _lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
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
        yield (
            newest,
            kind,
            record.get("symbol") if is_envelope else message.get("S"),
            message if len(line) <= longest else None,
        )


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
    usable = 0 < event_ms <= latest_ms and _is_usable(kind, named, event_ms, fields)
    # What cannot be used has no say in what is late.
    return {"symbol": named, "event_ms": event_ms if usable else 0, "usable": usable, **fields}


def _is_usable(kind: str, symbol: str, event_ms: int, row: Row) -> bool:
    test = _USABLE.get((kind, row["T"]))
    if test is None or not _SYMBOL.fullmatch(symbol) or (row["T"] == "clock" and symbol != _CLOCK):
        return False
    if kind == "bars_1m" and event_ms % MINUTE_MS:
        return False
    return bool(test(row))


def _is_trade(row: Row, price: str, size: str) -> bool:
    return _all(_price, row, price) and _all(_size, row, size) and _has_exchange(row)


def _has_exchange(row: Row) -> bool:
    return row["x"] is None or _EXCHANGE.fullmatch(row["x"]) is not None


def _is_minute(row: Row) -> bool:
    prices = _all(_price, row, "o", "h", "l", "c") and row["h"] >= row["l"]
    counts = (row["vw"] is None or 0 <= row["vw"] <= _PRICES[1]) and (row["n"] is None or row["n"] >= 0)
    return prices and counts and row["v"] is not None and 0 <= row["v"] <= _SIZES[1]


def _is_quote(row: Row) -> bool:
    prices = _all(lambda price: 0 <= price <= _PRICES[1], row, "bp", "ap")
    return prices and _all(lambda size: 0 <= size <= _SIZES[1], row, "bs", "as")


def _all(test: Callable[[Any], bool], row: Row, *names: str) -> bool:
    return all(row[name] is not None and test(row[name]) for name in names)


def _price(value: float) -> bool:
    return _PRICES[0] <= value <= _PRICES[1]


def _size(value: float) -> bool:
    return _SIZES[0] <= value <= _SIZES[1]


_USABLE: Mapping[tuple[str, str | None], Callable[[Row], bool]] = {
    ("trades", "t"): lambda row: _is_trade(row, "p", "s"),
    ("trades", "x"): lambda row: row["i"] is not None and _has_exchange(row),
    ("trades", "c"): lambda row: None not in (row["oi"], row["ci"]) and _is_trade(row, "cp", "cs"),
    ("trades", "clock"): lambda _row: True,
    ("quotes", "q"): _is_quote,
    ("quotes", "clock"): lambda _row: True,
    ("bars_1m", "b"): _is_minute,
    ("bars_1m", "u"): _is_minute,
    ("status", "s"): lambda row: row["sc"] is not None and _STATUS.fullmatch(row["sc"]) is not None,
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
