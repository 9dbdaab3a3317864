"""The job on made-up recordings: what is late, revised, cancelled or unusable, and that two runs agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.compute import OUTPUTS, compute
from ta_pipeline.errors import FlinkError, RecordingError
from ta_pipeline.settings import load_settings
from tests.messages import BAD, bar_1m, cancel, correction, quote, read_records, status, trade, write_recording


def _run(folder: Path, messages: list[dict[str, Any] | bytes], **overrides: str) -> dict[str, list[dict[str, Any]]]:
    out = folder / "out"
    compute([write_recording(folder / "in.jsonl", messages)], out, load_settings(**overrides), overrides)
    return {name: read_records(out / f"{name}.jsonl") for name in OUTPUTS}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Two minutes of one symbol with everything that can go wrong; times in seconds after the start."""
    messages: list[dict[str, Any] | bytes] = [
        quote(0.1, 9.9, 10.1), trade(1, 0.2, 10.0), trade(2, 0.4, 10.2, 50), trade(2, 0.5, 99.0),  # the same id again
        *[message for _, message in BAD],
        trade(3, 1.1, 10.1), cancel(3, 1.5),                      # second 1: cancelled before it is final
        trade(4, 2.1, 10.3), trade(5, 2.2, 10.4),
        quote(3.1, 0, 10.5), trade(6, 3.2, 10.4),                 # one-sided
        quote(4.1, 10.6, 10.5), trade(7, 4.2, 10.4),              # crossed
        quote(5.1, 10.5, 10.5), trade(8, 5.2, 10.5),              # locked
        trade(9, 20.0, 11.0), trade(10, 20.5, 11.0, 200),
        trade(11, 10.5, 9.0, 10), trade(12, 2.5, 12.0, 100),      # 10 s late, no bar there; 18 s late, revises
        cancel(4, 21.0), correction(5, 50, 21.1, 10.45, 300), cancel(777, 21.2),
        trade(13, 30.0, 11.2), status(31, "H"), status(40, "T"),
        bar_1m(0, 10.5), trade(14, 61.5, 11.3), bar_1m(0, 10.6, "u"), trade(15, 65.0, 11.4),
        bar_1m(60, 11.4), trade(16, 125.0, 11.5), bar_1m(0, 10.7, "u"),
        trade(17, 3.3, 10.0), trade(18, 130.0, 11.6),
    ]  # fmt: skip
    return _run(tmp_path_factory.mktemp("market"), messages)


def _bars(market: dict[str, list[dict[str, Any]]], second: int) -> list[dict[str, Any]]:
    ends = f"2026-07-21T14:{30 + (second + 1) // 60:02d}:{(second + 1) % 60:02d}.000Z"
    return [bar for bar in market["bars"] if bar["event_ts"] == ends]


def test_every_bad_record_is_rejected_with_its_reason_and_its_place_in_the_log(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    assert sorted(record["reason"] for record in market["rejects"]) == sorted(reason for reason, _ in BAD)
    for record in market["rejects"]:
        assert record["topic"]
        assert record["offset"] >= 0
        assert record["raw"]


def test_the_first_of_two_trades_with_one_identity_counts(market: dict[str, list[dict[str, Any]]]) -> None:
    (bar,) = _bars(market, 0)
    assert (bar["o"], bar["h"], bar["c"], bar["v"], bar["count"]) == (10.0, 10.2, 10.2, 150, 2)


def test_a_second_whose_only_trade_was_cancelled_before_it_was_final_has_no_bar(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    assert _bars(market, 1) == []


def test_a_late_trade_a_cancel_and_a_correction_revise_their_bar(market: dict[str, list[dict[str, Any]]]) -> None:
    final, late, cancelled, corrected = _bars(market, 2)
    assert [bar["revision"] for bar in (final, late, cancelled, corrected)] == [0, 1, 2, 3]
    assert (late["o"], late["h"], late["c"], late["v"], late["count"]) == (10.3, 12.0, 10.4, 300, 3)
    assert (cancelled["h"], cancelled["v"], cancelled["count"]) == (12.0, 200, 2)
    assert (corrected["v"], corrected["count"]) == (400, 2)
    assert corrected["vwap"] == pytest.approx((12.0 * 100 + 10.45 * 300) / 400, rel=1e-12)


def test_a_late_trade_for_a_second_without_a_bar_gives_that_bar_without_a_signal(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    (bar,) = _bars(market, 10)
    assert (bar["revision"], bar["c"], bar["v"]) == (0, 9.0, 10)
    assert bar["seq"] not in {signal["seq"] for signal in market["signals"]}


def test_what_comes_beyond_the_horizon_or_finds_nothing_is_on_the_late_topic(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    assert sorted(record["reason"] for record in market["late"]) == ["beyond_horizon", "no_such_trade", "older_minute"]


def test_quotes_that_are_one_sided_or_crossed_give_no_spread_and_locked_ones_zero(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    by_second = {
        signal["seq"]: signal["imbalance"] for signal in market["signals"] if signal["window"]["size"] == "PT1S"
    }
    first = min(by_second)
    assert by_second[first]["spread"] == pytest.approx(0.2)
    assert by_second[first]["imbalance"] == 0.5
    assert [by_second[first + second]["spread"] for second in (3, 4, 5)] == [None, None, 0.0]
    assert by_second[first + 3]["ask_px"] == 10.5


def test_minute_signals_have_their_own_indicators_and_are_given_again_when_updated(
    market: dict[str, list[dict[str, Any]]],
) -> None:
    minutes = [signal for signal in market["signals"] if signal["window"]["size"] == "PT1M"]
    assert [(m["event_ts"][14:19], m["revision"], m["c"], m["bars"]) for m in minutes] == [
        ("31:00", 0, 10.5, 1), ("31:00", 1, 10.6, 1), ("32:00", 0, 11.4, 2),
    ]  # fmt: skip
    assert minutes[2]["ema"]["ema12"] == pytest.approx(10.6 + (11.4 - 10.6) * 2 / 13, rel=1e-12)


def test_two_runs_give_the_same_files_but_for_ingest_ts_and_count_each_trade_once(tmp_path: Path) -> None:
    messages: list[dict[str, Any] | bytes] = []
    # Ids that are counted up, run backwards, or are far apart; each third is sent again at once, each fifth at the end.
    numbers = {"UP": range(6_000), "DOWN": range(5_000, -1_000, -1), "FAR": range(0, 6_000 * 997, 997)}
    for place in range(6_000):
        for symbol, ids in numbers.items():
            messages += [trade(ids[place], place / 100, 10.0, S=symbol)] * (2 if place % 3 == 0 else 1)
    messages += [
        trade(ids[place], 60, 10.0, S=symbol) for symbol, ids in numbers.items() for place in range(0, 6_000, 5)
    ]
    for number in range(3_000):
        seconds = 60 + number / 50 - (7 if number % 37 == 0 else 0)
        symbol = f"S{number % 7}"
        messages.append(trade(number, max(seconds, 0), 100 + number % 13, S=symbol))
        messages.append(quote(max(seconds, 0), 99.0, 101.0 + number % 3, S=symbol))
        if number % 41 == 0:
            messages.append(cancel(number - 5, max(seconds, 0), S=f"S{(number - 5) % 7}"))
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(_run(tmp_path / name, messages))
    for run in runs:
        assert run["late"]
        assert any(bar["revision"] > 0 for bar in run["bars"])
        for symbol in numbers:
            assert sum(bar["count"] for bar in run["bars"] if bar["symbol"] == symbol) == 6_000
        for records in run.values():
            for record in records:
                assert record.pop("ingest_ts")
    assert runs[0] == runs[1]


def test_symbols_beyond_the_limit_are_rejected_those_known_before_stay_and_quiet_ones_make_room(tmp_path: Path) -> None:
    day = 86_400
    messages: list[dict[str, Any] | bytes] = [
        *(trade(number, number, 10.0, S=f"S{number}") for number in range(5)),
        *(quote(number, 9.0, 10.0, S=f"Q{number}") for number in range(4)),
        trade(10, 10, 11.0, S="S1"),
        trade(11, 2 * day, 12.0, S="S1"), trade(12, 2 * day, 12.0, S="S9"),  # by then the others are forgotten
    ]  # fmt: skip
    found = _run(tmp_path, messages, max_symbols="3", state_ttl_days="1")
    assert [(record["symbol"], record["reason"]) for record in found["rejects"]] == [
        ("Q3", "too_many_symbols"), ("S3", "too_many_symbols"), ("S4", "too_many_symbols"),
    ]  # fmt: skip
    assert all(record["raw_size"] == len(record["raw"]) > 100 for record in found["rejects"])
    assert [(bar["symbol"], bar["c"]) for bar in found["bars"]] == [
        ("S0", 10.0), ("S1", 10.0), ("S2", 10.0), ("S1", 11.0), ("S1", 12.0), ("S9", 12.0),
    ]  # fmt: skip


def test_a_record_that_cannot_be_used_says_nothing_about_time(tmp_path: Path) -> None:
    much_later = trade(2, 80 * 86_400, -1.0)
    found = _run(tmp_path, [trade(1, 0, 10.0), much_later, trade(3, 1, 11.0)])
    assert [record["reason"] for record in found["rejects"]] == ["bad_price"]
    assert [(bar["c"], bar["revision"]) for bar in found["bars"]] == [(10.0, 0), (11.0, 0)]
    assert found["late"] == []


def test_a_bad_record_stops_the_run_when_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FlinkError, match=r"TA_ON_BAD_RECORD=fail.*bad_price"):
        _run(tmp_path, [trade(1, 0, -1.0)], on_bad_record="fail")


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nowhere\.jsonl"):
        compute([tmp_path / "nowhere.jsonl"], tmp_path, load_settings(), {})
