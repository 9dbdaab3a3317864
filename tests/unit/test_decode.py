from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import orjson
import pytest

from ta_pipeline.decode import OutputDecoder, channels, epoch_ms, head_of
from ta_pipeline.errors import BadRecordError, SchemaError
from ta_pipeline.schema_registry import read_schema
from ta_pipeline.settings import load_settings
from tests.output_records import START_MS, bar, live, signal

SETTINGS = load_settings(status_topic="ta.status.v1")
AVRO = load_settings(
    output_format="avro-confluent",
    schema_registry_url="http://127.0.0.1:1/apis/ccompat/v7",
    schema_registry_username="reader",
    schema_registry_password="do-not-show",  # noqa: S106 - made up
)
HTML = b"<html>Sign in</html>"
FRAMED = b"\x00\x00\x00\x00\x07" + b"\x02" * 20


class Registry:
    """Answers everybody the same, and counts how often it was asked."""

    def __init__(self) -> None:
        self.status, self.answer, self.asked = 200, b"", 0
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked += 1
                self.send_response(registry.status)
                self.send_header("Content-Length", str(len(registry.answer)))
                self.end_headers()
                self.wfile.write(registry.answer)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def has(self, schema: str, **more: str) -> None:
        self.status, self.answer = 200, orjson.dumps({"schema": schema, **more})

    def has_none(self) -> None:
        self.status, self.answer = 404, orjson.dumps({"error_code": 40403, "message": "Schema not found"})

    def decoder(self) -> OutputDecoder:
        url = f"http://127.0.0.1:{self.server.server_port}"
        return OutputDecoder(load_settings(output_format="avro-confluent", schema_registry_url=url))


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def decode(record: Any, topic: str = SETTINGS.signals_topic) -> Any:
    return OutputDecoder(SETTINGS).decode(topic, orjson.dumps(record))


def without(record: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != name}


@pytest.mark.parametrize(
    ("topic", "channel", "record"),
    [
        (SETTINGS.bars_topic, "bars", bar()),
        (SETTINGS.signals_topic, "signals", signal()),
        (SETTINGS.signals_topic, "signals", signal(size="PT1M")),
        (SETTINGS.live_topic, "live", live("AAPL", START_MS, 170.1, 4)),
        (SETTINGS.late_topic, "late", {"reason": "beyond_horizon", "symbol": "AAPL"}),
        (SETTINGS.rejects_topic, "rejects", {"reason": "not_json", "symbol": None}),
        (SETTINGS.status_topic, "status", {"status": "ok", "symbol": "*"}),
    ],
)
def test_a_record_comes_out_as_it_went_in_and_with_what_it_is(topic: str, channel: str, record: dict[str, Any]) -> None:
    assert decode(record, topic) == (channel, record)


def test_groups_of_a_signal_may_be_null() -> None:
    names = ("ema", "macd", "rsi14", "boll", "vwap", "imbalance", "vol_realized")
    _, record = decode(signal(**dict.fromkeys(names)))
    assert [record[name] for name in names] == [None] * len(names)


def test_the_heartbeat_is_a_channel_only_when_its_topic_is_set() -> None:
    assert "status" in channels(SETTINGS).values()
    assert "status" not in channels(load_settings(status_topic="")).values()


@pytest.mark.parametrize("value", [None, b""])
def test_a_record_without_a_value_is_bad(value: bytes | None) -> None:
    with pytest.raises(BadRecordError, match="empty"):
        OutputDecoder(SETTINGS).decode(SETTINGS.signals_topic, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (FRAMED, "not_json"),
        (b"[1]", "not_an_object"),
        (b"7", "not_an_object"),
    ],
)
def test_bytes_that_are_no_json_object_are_bad(value: bytes, reason: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        OutputDecoder(SETTINGS).decode(SETTINGS.signals_topic, value)
    assert caught.value.reason == reason
    assert SETTINGS.signals_topic in str(caught.value)


@pytest.mark.parametrize("name", ["symbol", "event_ts", "last_event_ts", "seq", "revision", "is_final"])
def test_a_signal_that_lacks_what_names_it_is_bad(name: str) -> None:
    with pytest.raises(BadRecordError, match=f"missing_field: .*{name}"):
        decode(without(signal(), name))
    with pytest.raises(BadRecordError, match=f"missing_field: .*{name} is None"):
        decode({**signal(), name: None})


def test_a_signal_without_the_size_of_its_window_is_bad() -> None:
    for window in (None, {}, {"size": None}):
        with pytest.raises(BadRecordError, match=r"missing_field: .*window"):
            decode({**signal(), "window": window})
    with pytest.raises(BadRecordError, match=r"wrong_type: .*window\.size is 'PT5S': .*'PT1S', 'PT1M'"):
        decode({**signal(), "window": {"size": "PT5S"}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("symbol", 7), ("seq", "7"), ("seq", True), ("seq", 1.5), ("is_final", 1), ("event_ts", 5), ("window", 7)],
)
def test_a_signal_with_a_field_of_another_type_is_bad(name: str, value: Any) -> None:
    with pytest.raises(BadRecordError, match=f"wrong_type: .*{name} is {value!r}: Expected"):
        decode({**signal(), name: value})


@pytest.mark.parametrize(("name", "value"), [("ema", 170.1), ("c", "170.1"), ("c", True), ("bars", 1.5), ("rsi14", {})])
def test_a_signal_with_a_value_of_another_type_is_bad(name: str, value: Any) -> None:
    with pytest.raises(BadRecordError, match=f"wrong_type: .*{name}"):
        decode({**signal(), name: value})


def test_a_value_of_another_type_within_a_group_is_bad_and_named() -> None:
    with pytest.raises(BadRecordError, match=r"wrong_type: ta.signals.v1: boll.upper is '171': Expected `float"):
        decode({**signal(), "boll": {"mid": 170.0, "upper": "171", "lower": 169.0}})


def test_a_late_record_without_a_reason_is_bad() -> None:
    with pytest.raises(BadRecordError, match="missing_field"):
        decode({"symbol": "AAPL"}, SETTINGS.late_topic)


def test_a_topic_that_is_no_output_is_bad_and_the_message_lists_those_that_are() -> None:
    with pytest.raises(BadRecordError, match=r"unknown_topic: torghut.trades.v1; .*ta.signals.v1"):
        decode(signal(), "torghut.trades.v1")


@pytest.mark.parametrize("value", [b"\x00\x01", orjson.dumps(signal()), b"\x01" * 30])
def test_bytes_without_the_registrys_framing_are_bad_avro(value: bytes) -> None:
    with pytest.raises(BadRecordError, match=r"not_avro: .*TA_OUTPUT_FORMAT"):
        OutputDecoder(AVRO).decode(AVRO.signals_topic, value)


def test_a_registry_that_does_not_answer_is_no_bad_record_and_its_password_is_not_shown() -> None:
    with pytest.raises(SchemaError, match=r"http://127.0.0.1:1/.* did not answer") as caught:
        OutputDecoder(AVRO).decode(AVRO.signals_topic, FRAMED)
    assert "do-not-show" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        '{"type": "object", "properties": {"symbol": {"type": "string"}}}',
        '{"title": "Signal"}',
        '{"type": "record", "name": "A", "fields": [{"name": "b", "type": "other.Referenced"}]}',
        "5",
        "null",
        "",
        'syntax = "proto3";',
    ],
)
def test_a_schema_that_is_not_avro_makes_the_record_bad_and_nothing_else(registry: Registry, schema: str) -> None:
    registry.has(schema)
    with registry.decoder() as decoder, pytest.raises(BadRecordError, match=r"unknown_schema: .*id 7 is not Avro"):
        decoder.decode(AVRO.signals_topic, FRAMED)


def test_a_schema_of_another_language_is_not_taken_for_avro(registry: Registry) -> None:
    registry.has('{"type": "string"}', schemaType="JSON")
    with registry.decoder() as decoder, pytest.raises(BadRecordError, match=r"unknown_schema: .*not Avro: it is JSON"):
        decoder.decode(AVRO.signals_topic, FRAMED)


@pytest.mark.parametrize("answer", [HTML, b"", b"[1]", b"7", b"null"])
def test_what_answers_and_is_no_registry_is_no_bad_record(registry: Registry, answer: bytes) -> None:
    registry.answer = answer
    with registry.decoder() as decoder, pytest.raises(SchemaError, match="not as a schema registry does"):
        decoder.decode(AVRO.signals_topic, FRAMED)


def test_an_unknown_schema_is_asked_for_again_after_some_seconds(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.has_none()
    with registry.decoder() as decoder:
        for _ in range(3):
            with pytest.raises(BadRecordError, match=r"unknown_schema: .*id 7: Schema not found"):
                decoder.decode(AVRO.signals_topic, FRAMED)
        assert registry.asked == 1
        monkeypatch.setattr("ta_pipeline.decode._ASK_AGAIN_SECONDS", 0.0)
        late = FRAMED[:4] + b"\x08" + FRAMED[5:]
        for _ in range(2):
            with pytest.raises(BadRecordError, match=r"unknown_schema: .*id 8"):
                decoder.decode(AVRO.signals_topic, late)
        assert registry.asked == 3
        schema = fastavro.parse_schema(orjson.loads(read_schema("TaLate")))
        record = {field["name"]: None for field in schema["fields"]} | {"reason": "beyond_horizon"}
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, record)
        registry.has(read_schema("TaLate"))
        assert decoder.decode(AVRO.late_topic, late[:5] + written.getvalue()) == ("late", record)


def test_a_few_foreign_ids_are_remembered_and_not_all(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ta_pipeline.decode._MOST_REFUSED", 2)
    registry.has_none()
    with registry.decoder() as decoder:
        for number in (1, 2, 3, 3, 2, 1):
            with pytest.raises(BadRecordError, match=f"id {number}:"):
                decoder.decode(AVRO.signals_topic, b"\x00" + number.to_bytes(4) + FRAMED[5:])
    assert registry.asked == 4


def test_a_head_has_key_and_times_as_epoch_milliseconds() -> None:
    head = head_of(live("AAPL", START_MS, 170.1, 4))
    assert head == ("AAPL", "PT1S", START_MS // 1_000, 4, False, START_MS, START_MS - 600)
    assert head.measured_from_ms == START_MS - 600


def test_a_one_minute_signal_is_measured_from_the_end_of_its_bar() -> None:
    head = head_of(signal(size="PT1M", last_ms=START_MS - 60_000))
    assert head.measured_from_ms == head.event_ms == START_MS


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-02T14:30:01.312Z", 1_767_364_201_312),
        ("2026-01-02T14:30:01Z", 1_767_364_201_000),
        ("2026-01-02T09:30:01.312-05:00", 1_767_364_201_312),
        ("2026-01-02T14:30:01.312999Z", 1_767_364_201_313),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_an_instant_is_read_in_any_zone(text: str, ms: int) -> None:
    assert epoch_ms(text) == ms


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02T14:30:01", "2026-13-02T14:30:01Z"])
def test_what_is_no_instant_is_bad(text: str) -> None:
    with pytest.raises(BadRecordError, match="not_an_instant"):
        epoch_ms(text)
