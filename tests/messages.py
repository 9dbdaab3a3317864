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
