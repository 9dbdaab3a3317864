"""The input envelope: Alpaca's message with what the forwarder knows about it.

    ingest_ts event_ts feed channel symbol seq payload is_final? source version

Definition: the `*Envelope` schemas (docs/reference/schemas.md). A forwarder may write camelCase
(`TA_INPUT_FIELD_CASE=camel`); the payload keeps Alpaca's own names always. Alpaca's messages: T is t (trade),
c (correction), x (cancel), q (quote), b (bar), u (updated bar), s (status).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from ta_pipeline.errors import BadRecordError
from ta_pipeline.settings import Settings

Kind = Literal["trades", "quotes", "bars_1m", "status"]
KINDS: tuple[Kind, ...] = ("trades", "quotes", "bars_1m", "status")

_KIND_OF: Mapping[str, Kind] = {
    "t": "trades", "c": "trades", "x": "trades", "q": "quotes", "b": "bars_1m", "u": "bars_1m", "s": "status",
}  # fmt: skip
_CHANNEL_OF = {
    "t": "trades", "c": "trades", "x": "trades", "q": "quotes", "b": "bars", "u": "updatedBars", "s": "status",
}  # fmt: skip
_CAMEL = {"ingest_ts": "ingestTs", "event_ts": "eventTs", "is_final": "isFinal"}
_SNAKE = {camel: snake for snake, camel in _CAMEL.items()}
VERSION = 1
_ID_FIELDS = ("i", "oi", "ci")


def kind_of(message: Mapping[str, Any]) -> Kind:
    """Which of the four logs an Alpaca message belongs to.

    Raises:
        BadRecordError: `unknown_type`, T is none of Alpaca's.
    """
    kind = _KIND_OF.get(str(message.get("T")))
    if kind is None:
        raise BadRecordError("unknown_type", f"T={message.get('T')!r}; allowed are {', '.join(_KIND_OF)}")
    return kind


def topic_of(kind: Kind, settings: Settings) -> str:
    """The input topic of a log."""
    return dict(zip(KINDS, settings.input_topics, strict=True))[kind]


def wrap(
    message: Mapping[str, Any],
    *,
    seq: int,
    ingest_ts: str,
    feed: str = "sip",
    source: str = "ws",
    field_case: str = "snake",
) -> dict[str, Any]:
    """An envelope around an Alpaca message.

    Args:
        message: Alpaca's message; kept as it is, as `payload`.
        seq: running number of the forwarder.
        ingest_ts: when the forwarder received it, RFC 3339.
        feed: sip, iex, ...
        source: ws or rest.
        field_case: snake or camel.
    """
    message_type = str(message.get("T"))
    envelope: dict[str, Any] = {
        "ingest_ts": ingest_ts,
        "event_ts": message.get("t"),
        "feed": feed,
        "channel": _CHANNEL_OF.get(message_type, "unknown"),
        "symbol": message.get("S"),
        "seq": seq,
        "payload": message,
        "source": source,
        "version": VERSION,
    }
    if message_type in {"b", "u"}:
        envelope["is_final"] = message_type == "b"
    return in_case(envelope, field_case)


def renumbered(message: Mapping[str, Any], ids: int) -> dict[str, Any]:
    """The message with its trade ids moved up by `ids`; a cancel still names the trade it cancels."""
    moved = {name: message[name] + ids for name in _ID_FIELDS if type(message.get(name)) is int}
    return {**message, **moved}


def parse(value: bytes) -> dict[str, Any]:
    """A JSON envelope as a dictionary with snake field names, whichever case it was written in.

    Raises:
        BadRecordError: `malformed`, `missing_payload`, `missing_type`, `unknown_type`, `missing_symbol` or
            `missing_timestamp`.
    """
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise BadRecordError("malformed", str(error)) from None
    if not isinstance(decoded, dict):
        raise BadRecordError("malformed", f"an envelope is a JSON object, got {type(decoded).__name__}")
    if not is_envelope(decoded):
        raise BadRecordError("missing_payload", "an envelope holds Alpaca's message as `payload`")
    payload = decoded["payload"]
    if payload.get("T") is None:
        raise BadRecordError("missing_type", "the payload has no T")
    kind_of(payload)
    for name, reason in (("S", "missing_symbol"), ("t", "missing_timestamp")):
        if not isinstance(payload.get(name), str) or not payload[name]:
            raise BadRecordError(reason, f"{name}={payload.get(name)!r}; it must be a string that is not empty")
    return in_case(decoded, "snake")


def in_case(envelope: dict[str, Any], field_case: str) -> dict[str, Any]:
    """The same envelope with snake or camel field names; the payload is left alone."""
    names = _CAMEL if field_case == "camel" else _SNAKE
    return {names.get(name, name): value for name, value in envelope.items()}


def is_envelope(record: Mapping[str, Any]) -> bool:
    """Whether a decoded record is an envelope, not a bare Alpaca message."""
    return isinstance(record.get("payload"), dict)
