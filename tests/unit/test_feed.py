"""What `ta feed` sends, when, and which arguments it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from ta_pipeline import feed as feed_module
from ta_pipeline.cli import app
from ta_pipeline.envelope import parse
from ta_pipeline.feed import FeedReport, Outgoing, recorded, simulated
from ta_pipeline.recordings import seconds_of
from ta_pipeline.settings import load_settings
from ta_pipeline.simulator import Market
from tests.messages import at, bar_1m, cancel, quote, trade, write_recording

NOW = 1_900_000_000.0
SETTINGS = load_settings()


def _sent(outgoing: Outgoing, now: float = NOW) -> dict[str, Any]:
    return parse(outgoing.value(now))


def _recorded(path: Path, *messages: dict[str, Any] | bytes, **options: Any) -> list[Outgoing]:
    recording = write_recording(path / "in.jsonl", messages)
    return list(recorded([recording], SETTINGS, **{"speed": 1.0, "as_recorded": False, **options}))


def test_a_simulated_message_is_stamped_with_the_moment_it_is_sent() -> None:
    for outgoing in simulated(Market(symbols=2, rate=50, seconds=4), SETTINGS):
        assert outgoing.due is not None
        envelope = _sent(outgoing, NOW + outgoing.due)
        if "Z" not in envelope["payload"].get("c", ()):
            assert seconds_of(envelope["event_ts"]) == pytest.approx(NOW + outgoing.due, abs=1e-5)
        assert outgoing.symbol == envelope["symbol"]


def test_a_simulated_late_report_is_stamped_in_the_past() -> None:
    ages = [
        NOW - seconds_of(envelope["event_ts"])
        for outgoing in simulated(Market(symbols=2, rate=1_000, seconds=20), SETTINGS)
        for envelope in [_sent(outgoing)]
        if "Z" in envelope["payload"].get("c", ())
    ]
    assert ages
    assert all(2.4 < age < 12.1 for age in ages)


def _identities(market: Market) -> set[tuple[str, str, int]]:
    payloads = [_sent(outgoing)["payload"] for outgoing in simulated(market, SETTINGS) if outgoing.kind == "trades"]
    return {(payload["S"], payload["x"], payload["i"]) for payload in payloads if payload["T"] == "t"}


def test_the_same_market_fed_again_is_not_a_duplicate_of_itself() -> None:
    market = Market(symbols=3, rate=200, seconds=5)
    first, second = _identities(market), _identities(market)
    assert len(first) == len(second) > 100
    assert not first & second


def test_a_simulated_cancel_still_names_its_trade() -> None:
    sent = [_sent(outgoing)["payload"] for outgoing in simulated(Market(symbols=2, rate=1_000, seconds=20), SETTINGS)]
    ids = {payload["i"] for payload in sent if payload["T"] == "t"}
    cancelled = [payload["i"] for payload in sent if payload["T"] == "x"]
    assert cancelled
    assert set(cancelled) <= ids


def test_sequence_numbers_of_a_simulated_market_run_on() -> None:
    sent = [_sent(outgoing)["seq"] for outgoing in simulated(Market(symbols=2, rate=100, seconds=2), SETTINGS)]
    assert sent == list(range(1, len(sent) + 1))


def test_minutes_that_end_while_the_market_runs_come_as_bars_of_its_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    start = 1_900_000_020.0  # a whole minute
    clock = {"now": start}
    monkeypatch.setattr(feed_module.time, "time", lambda: clock["now"])
    trades: list[dict[str, Any]] = []
    bars: list[dict[str, Any]] = []
    for outgoing in simulated(Market(symbols=2, rate=50, seconds=70), SETTINGS):
        assert outgoing.due is not None
        clock["now"] = start + outgoing.due
        payload = _sent(outgoing, clock["now"])["payload"]
        if payload["T"] == "t" and seconds_of(payload["t"]) >= start:
            trades.append(payload)
        elif payload["T"] == "b" and seconds_of(payload["t"]) == start:
            bars.append(payload)
    assert {bar["S"] for bar in bars} == {"AAPL", "MSFT"}
    for bar in bars:
        minute = [t for t in trades if t["S"] == bar["S"] and seconds_of(t["t"]) < start + 60]
        assert bar["v"] == sum(t["s"] for t in minute)
        assert bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]


def test_a_recording_starts_now_and_keeps_its_gaps(tmp_path: Path) -> None:
    first, second = _recorded(tmp_path, trade(1, 0, 10.0), trade(2, 2.5, 10.0))
    assert (first.due, second.due) == (0.0, 2.5)
    assert seconds_of(_sent(first)["event_ts"]) == NOW
    assert seconds_of(_sent(second, NOW + 2.5)["event_ts"]) == NOW + 2.5
    assert (first.symbol, first.kind) == ("AAA", "trades")


def test_speed_divides_the_gaps(tmp_path: Path) -> None:
    assert [outgoing.due for outgoing in _recorded(tmp_path, trade(1, 0, 1.0), trade(2, 10, 1.0), speed=4.0)] == [
        0,
        2.5,
    ]


def test_as_recorded_keeps_the_times_and_ids_and_waits_for_nothing(tmp_path: Path) -> None:
    messages = [trade(1, 0, 10.0), trade(2, 10, 10.0)]
    outgoing = _recorded(tmp_path, *messages, speed=None, as_recorded=True)
    assert [each.due for each in outgoing] == [None, None]
    assert [_sent(each)["payload"] for each in outgoing] == messages


def test_a_recording_may_begin_later(tmp_path: Path) -> None:
    messages = [trade(number, 0, 10.0, t=at(number)) for number in (1, 2, 3)]
    outgoing = _recorded(tmp_path, *messages, begin=seconds_of(at(2)))
    assert [one.due for one in outgoing] == [0.0, 1.0]
    assert [_sent(one)["payload"]["p"] for one in outgoing] == [10.0, 10.0]


def test_as_recorded_at_a_speed_keeps_the_times_and_is_paced(tmp_path: Path) -> None:
    messages = [trade(1, 0, 10.0), trade(2, 10, 10.0)]
    outgoing = _recorded(tmp_path, *messages, speed=10.0, as_recorded=True)
    assert [each.due for each in outgoing] == [0.0, 1.0]
    assert [_sent(each)["event_ts"] for each in outgoing] == [at(0), at(10)]


def test_a_recorded_late_report_is_due_at_once_and_as_old_as_it_was(tmp_path: Path) -> None:
    _, late = _recorded(tmp_path, trade(1, 20, 10.0), trade(2, 9, 10.0))
    assert late.due == 0.0
    assert seconds_of(_sent(late)["event_ts"]) == pytest.approx(NOW - 11, abs=1e-5)


def test_a_recorded_cancel_still_names_its_trade_and_a_second_feed_uses_other_ids(tmp_path: Path) -> None:
    messages = (trade(1, 0, 10.0), cancel(1, 1))
    ids = [[_sent(each)["payload"]["i"] for each in _recorded(tmp_path, *messages)] for _ in range(2)]
    assert ids[0][0] == ids[0][1]
    assert ids[1][0] == ids[1][1] != ids[0][0]


def test_a_recorded_bar_still_begins_on_a_minute(tmp_path: Path) -> None:
    (bar,) = _recorded(tmp_path, bar_1m(0, 10.0))
    assert seconds_of(_sent(bar)["event_ts"]) % 60 == 0


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bad", [b"{not json", trade(9, 0, 1.0, t="yesterday"), trade(9, 0, 1.0, t=None)])
def test_a_record_that_cannot_be_used_is_sent_and_holds_nothing_up(
    tmp_path: Path, bad: dict[str, Any] | bytes, position: int
) -> None:
    messages: list[dict[str, Any] | bytes] = [trade(1, 0, 10.0), quote(1, 9, 11)]
    messages.insert(position, bad)
    outgoing = _recorded(tmp_path, *messages)
    assert [each.due for each in outgoing if each is not outgoing[position]] == [0.0, 1.0]
    value = outgoing[position].value(NOW)
    assert value == bad if isinstance(bad, bytes) else orjson.loads(value)["payload"] == bad


@pytest.mark.parametrize("as_recorded", [True, False])
def test_what_does_not_fit_the_avro_schema_is_sent_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_recorded: bool
) -> None:
    class Refusing:
        def __init__(self, _settings: Any) -> None: ...

        def encode(self, _topic: str, envelope: dict[str, Any]) -> bytes:
            if envelope["payload"]["p"] == "ten":
                raise feed_module.BadRecordError("not_avro")
            return b"avro"

    monkeypatch.setattr(feed_module, "EnvelopeEncoder", Refusing)
    bad = trade(2, 1, "ten")
    recording = write_recording(tmp_path / "in.jsonl", [trade(1, 0, 10.0), bad])
    settings = load_settings(input_format="avro-confluent")
    outgoing = recorded([recording], settings, speed=None, as_recorded=as_recorded)
    first, second = (each.value(NOW) for each in outgoing)
    assert first == b"avro"
    assert orjson.loads(second) == bad


def test_a_report_adds_its_topics_up() -> None:
    assert FeedReport({"a": 3, "b": 4}, 1.0, 0.0, 0.0, 0.0).total == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --fakepaca or one or more recordings"),
        (["--fakepaca", "in.jsonl"], "either --fakepaca or one or more recordings"),
        (["--fakepaca", "--speed", "2"], "--speed and --as-recorded are for recordings"),
        (["--fakepaca", "--as-recorded"], "--speed and --as-recorded are for recordings"),
        (["in.jsonl", "--rate", "5", "--seed", "1"], "--rate, --seed: for --fakepaca"),
        (["in.jsonl", "--speed", "0"], "--speed is 0"),
        (["--fakepaca", "--rate", "-1"], "--rate is -1"),
        (["--fakepaca", "--symbols", "0"], "--symbols is 0"),
        (["--fakepaca", "--seconds", "-1"], "--seconds is -1"),
    ],
)
def test_arguments_that_do_not_go_together_are_a_usage_error(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["feed", *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
