"""The input envelope: around every kind of Alpaca message, in both field cases, and back."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import orjson
import pytest

from ta_pipeline.clock import tick
from ta_pipeline.envelope import kind_of, parse, renumbered, topic_of, wrap
from ta_pipeline.errors import BadRecordError
from ta_pipeline.instants import rfc3339
from ta_pipeline.schema_registry import declared_subjects
from ta_pipeline.settings import load_settings
from tests.messages import bar_1m, cancel, correction, quote, status, trade
from tests.shared_data import shared_file

MESSAGES: list[tuple[dict[str, Any], str, str, bool | None]] = [
    (trade(1, 0, 10.0), "trades", "trades", None),
    (cancel(1, 0), "trades", "trades", None),
    (correction(1, 2, 0, 10.0, 5), "trades", "trades", None),
    (quote(0, 9.0, 10.0), "quotes", "quotes", None),
    (bar_1m(0, 10.0), "bars_1m", "bars", True),
    (bar_1m(0, 10.0, "u"), "bars_1m", "updatedBars", False),
    (status(0, "H"), "status", "status", None),
]


@pytest.mark.parametrize(("message", "kind", "channel", "is_final"), MESSAGES)
def test_every_message_has_its_log_its_channel_and_whether_it_is_final(
    message: dict[str, Any], kind: str, channel: str, is_final: bool | None
) -> None:
    envelope = wrap(message, seq=7, ingest_ts="2026-07-21T14:30:00.090Z")
    assert kind_of(message) == kind
    assert envelope["channel"] == channel
    assert envelope.get("is_final") is is_final
    assert (envelope["symbol"], envelope["event_ts"], envelope["seq"]) == ("AAA", message["t"], 7)
    assert (envelope["feed"], envelope["source"], envelope["version"]) == ("sip", "ws", 1)
    assert envelope["payload"] == message


@pytest.mark.parametrize("case", ["snake", "camel"])
@pytest.mark.parametrize("message", [message for message, *_ in MESSAGES])
def test_an_envelope_in_either_case_is_read_back_as_it_was(message: dict[str, Any], case: str) -> None:
    written = wrap(message, seq=1, ingest_ts="2026-07-21T14:30:00Z", field_case=case)
    assert ("ingestTs" in written) is (case == "camel")
    assert parse(orjson.dumps(written)) == wrap(message, seq=1, ingest_ts="2026-07-21T14:30:00Z")


def test_each_log_is_the_topic_that_the_settings_name() -> None:
    settings = load_settings(trades_topic="a", quotes_topic="b", bars_1m_topic="c", status_in_topic="d")
    assert [topic_of(kind, settings) for kind in ("trades", "quotes", "bars_1m", "status")] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[1]", "malformed"),
        (b"{}", "missing_payload"),
        (b'{"payload":"text"}', "missing_payload"),
        (b'{"payload":{}}', "missing_type"),
        (b'{"payload":{"T":"zz"}}', "unknown_type"),
        (b'{"payload":{"T":"t","t":"2026-07-21T14:30:00Z"}}', "missing_symbol"),
        (b'{"payload":{"T":"t","S":"AAA"}}', "missing_timestamp"),
        (b'{"payload":{"T":"t","S":"AAA","t":5}}', "missing_timestamp"),
    ],
)
def test_a_record_that_is_no_envelope_is_refused_with_its_reason(value: bytes, reason: str) -> None:
    with pytest.raises(BadRecordError) as refusal:
        parse(value)
    assert refusal.value.reason == reason


def test_renumbering_moves_trade_ids_together_and_nothing_else() -> None:
    assert renumbered(trade(5, 0, 10.0), 100) == trade(105, 0, 10.0)
    assert renumbered(cancel(5, 0), 100) == cancel(105, 0)
    assert renumbered(correction(5, 6, 0, 10.0, 1), 100) == correction(105, 106, 0, 10.0, 1)
    assert renumbered(quote(0, 9.0, 10.0), 100) == quote(0, 9.0, 10.0)
    assert renumbered({"i": "text"}, 100) == {"i": "text"}


def test_times_are_utc_with_microseconds_and_a_z() -> None:
    assert rfc3339(0.25) == "1970-01-01T00:00:00.250000Z"


def test_every_message_and_the_clock_fit_the_avro_schema_of_their_topic() -> None:
    settings = load_settings()
    schemas = {
        subject.name.removesuffix("-value"): fastavro.parse_schema(json.loads(subject.schema))
        for subject in declared_subjects(settings)
    }
    examples = [orjson.loads(line)["msg"] for line in shared_file("alpaca_examples.jsonl").read_bytes().splitlines()]
    stream = [message for message in examples if isinstance(message, dict) and message.get("T") in set("tcxqbus")]
    assert {message["T"] for message in stream} == set("tcxqbus")
    crypto = {"T": "t", "S": "BTC/USD", "p": 61_800.3, "s": 0.006, "t": "2026-07-21T14:30:00Z", "i": 1, "tks": "B"}
    enveloped = [
        (topic_of(kind_of(message), settings), wrap(message, seq=1, ingest_ts="2026-07-21T14:30:00Z"))
        for message in [*(message for message, *_ in MESSAGES), *stream, crypto]
    ]
    for topic, envelope in [*enveloped, (settings.clock_topic, tick(1, 1_000.0))]:
        encoded = io.BytesIO()
        fastavro.schemaless_writer(encoded, schemas[topic], envelope)
        encoded.seek(0)
        decoded: Any = fastavro.schemaless_reader(encoded, schemas[topic], None)
        payload = envelope["payload"]
        assert isinstance(payload, dict)
        kept = {name: value for name, value in decoded["payload"].items() if value is not None}
        assert kept == {name: value for name, value in payload.items() if name != "tks"}
