"""Alpaca messages for tests: one builder for each kind, times as seconds after a start."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

START = datetime(2026, 7, 21, 14, 30, tzinfo=UTC)


def at(seconds: float, start: datetime = START) -> str:
    """RFC 3339, milliseconds."""
    return (start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trade(number: int | None, seconds: float, price: Any, size: Any = 100, **fields: Any) -> dict[str, Any]:
    """A trade; `fields` replace or add, a field that is None is left out."""
    message = {
        "T": "t", "S": "AAA", "i": number, "x": "V", "p": price, "s": size, "c": ["@"], "z": "C", "t": at(seconds),
    }  # fmt: skip
    return _without_none({**message, **fields})


def quote(seconds: float, bid: float, ask: float, bid_size: float = 3, ask_size: float = 1, **fields: Any) -> Any:
    """A quote."""
    message = {
        "T": "q", "S": "AAA", "bx": "V", "bp": bid, "bs": bid_size, "ax": "V", "ap": ask, "as": ask_size, "c": ["R"],
        "z": "C", "t": at(seconds),
    }  # fmt: skip
    return _without_none({**message, **fields})


def cancel(number: int, seconds: float, **fields: Any) -> dict[str, Any]:
    """A cancel of trade `number`."""
    message = {"T": "x", "S": "AAA", "i": number, "x": "V", "p": 1.0, "s": 1, "a": "C", "z": "C", "t": at(seconds)}
    return _without_none({**message, **fields})


def correction(old: int, new: int, seconds: float, price: float, size: float, **fields: Any) -> dict[str, Any]:
    """A correction of trade `old` into trade `new`."""
    message = {
        "T": "c", "S": "AAA", "x": "V", "oi": old, "op": 1.0, "os": 1, "oc": ["@"], "ci": new, "cp": price, "cs": size,
        "cc": ["@"], "z": "C", "t": at(seconds),
    }  # fmt: skip
    return _without_none({**message, **fields})


def bar_1m(seconds: float, close: float, kind: str = "b", volume: float = 100, **fields: Any) -> dict[str, Any]:
    """An upstream 1-minute bar that starts `seconds` after the start."""
    message = {
        "T": kind, "S": "AAA", "o": close, "h": close, "l": close, "c": close, "v": volume, "vw": close, "n": 9,
        "t": at(seconds),
    }  # fmt: skip
    return _without_none({**message, **fields})


def status(seconds: float, code: str = "H", **fields: Any) -> dict[str, Any]:
    """A trading status."""
    return _without_none({"T": "s", "S": "AAA", "sc": code, "sm": "", "rc": "", "rm": "", "t": at(seconds), **fields})


def write_recording(path: Path, messages: Iterable[dict[str, Any] | bytes]) -> Path:
    """JSON lines; bytes go in as they are."""
    lines = [message if isinstance(message, bytes) else orjson.dumps(message) for message in messages]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def read_records(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of an output file."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _without_none(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


# One bad record of each kind, and the reason it must be rejected with.
BAD: list[tuple[str, dict[str, Any] | bytes]] = [
    ("malformed", b'{"T":"t","S":"AAA","p":1'),
    ("malformed", trade(901, 1, "not a number")),
    ("malformed", trade(902, 1, 10.0, size={"shares": 3})),
    ("malformed", b"[1,2,3]"),
    ("missing_type", trade(903, 1, 10.0, T=None)),
    ("unknown_type", trade(904, 1, 10.0, T="zz")),
    ("missing_symbol", trade(905, 1, 10.0, S=None)),
    ("missing_timestamp", trade(906, 1, 10.0, t=None)),
    ("bad_timestamp", trade(907, 1, 10.0, t="yesterday")),
    ("future_timestamp", trade(908, 1, 10.0, t="2999-01-01T00:00:00Z")),
    ("missing_price", trade(909, 1, None)),
    ("missing_size", trade(910, 1, 10.0, size=None)),
    ("bad_price", trade(911, 1, -10.0)),
    ("bad_price", trade(912, 1, 0)),
    ("bad_size", trade(913, 1, 10.0, size=0)),
    ("missing_id", cancel(1, 1, i=None)),
    ("missing_price", quote(1, 10.0, 10.1, bp=None)),
    ("bad_price", quote(1, -1.0, 10.1)),
    ("bad_size", quote(1, 10.0, 10.1, bid_size=-1)),
    ("missing_price", bar_1m(0, 10.0, c=None)),
    ("bad_price", bar_1m(0, 10.0, h=9.0)),
    ("bad_size", bar_1m(0, 10.0, volume=-1)),
    ("missing_status", status(1, sc=None)),
    # What a comparison with a NaN, a zero time, a mark between fields, or a text of any length would have let through.
    ("bad_price", trade(914, 1, "NaN")),
    ("bad_size", trade(915, 1, 10.0, size="NaN")),
    ("bad_price", trade(916, 1, 1e300)),
    ("bad_price", quote(1, 10.0, 10.1, bp="NaN")),
    ("bad_price", bar_1m(0, 10.0, c="NaN")),
    ("bad_timestamp", trade(917, 1, 10.0, t="1970-01-01T00:00:00Z")),
    ("bad_timestamp", trade(918, 1, 10.0, t="0000-01-01T00:00:00Z")),
    ("bad_timestamp", bar_1m(0.5, 10.0)),
    ("bad_symbol", trade(919, 1, 10.0, S="\N{COLLISION SYMBOL}")),
    ("bad_symbol", trade(920, 1, 10.0, S="A\x00A")),
    ("bad_symbol", trade(921, 1, 10.0, S="'; DROP TABLE bars; --")),
    ("bad_exchange", trade(922, 1, 10.0, x="V|1;")),
    ("bad_status", status(1, sc="a code of its own")),
    ("too_large", trade(923, 1, 10.0, unheard="x" * 70_000)),
    ("malformed", b'{"symbol":"AAA","payload":{"T":"t","S":"AAA","p":1,"s":1,"t":"2026-07-21T14:30:00Z"}}{}'),
]
