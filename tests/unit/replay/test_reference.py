"""The pandas computation on messages whose outcome can be said without a computer."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from ta_pipeline.envelope import wrap
from ta_pipeline.replay.reference import Reference, compute_reference
from ta_pipeline.replay.reference_rules import Rules
from ta_pipeline.trade_conditions import DEFAULT_PATH
from tests.messages import BAD, START, at, bar_1m, cancel, correction, quote, trade, write_recording

START_MS = int(START.timestamp()) * 1_000
RULES = Rules(DEFAULT_PATH)


def _reference(folder: Path, *messages: dict[str, Any] | bytes, **rules: Any) -> Reference:
    recording = write_recording(folder / "in.jsonl", messages)
    return compute_reference([recording], replace(RULES, **rules))


def _bars(reference: Reference, second: int) -> list[dict[str, Any]]:
    found = reference.bars[reference.bars["end_ms"] == START_MS + (second + 1) * 1_000]
    return [dict(row) for _, row in found.iterrows()]


def _signals(reference: Reference, size: str = "PT1S") -> pd.DataFrame:
    return reference.signals[reference.signals["size"] == size].reset_index(drop=True)


def test_of_two_trades_with_one_identity_the_first_counts(tmp_path: Path) -> None:
    reference = _reference(tmp_path, trade(1, 0.1, 10.0), trade(1, 0.2, 99.0), trade(1, 0.3, 11.0, x="Q"))
    (bar,) = _bars(reference, 0)
    assert (bar["o"], bar["h"], bar["c"], bar["count"]) == (10.0, 11.0, 11.0, 2)
    assert reference.duplicates == 1


def test_trades_without_an_id_always_count_and_large_ids_are_told_apart(tmp_path: Path) -> None:
    large = 2**53
    messages = [trade(None, 0.1, 10.0), trade(None, 0.1, 10.0), trade(large, 0.2, 10.0), trade(large + 1, 0.2, 10.0)]
    (bar,) = _bars(_reference(tmp_path, *messages), 0)
    assert bar["count"] == 4


def test_conditions_decide_what_a_trade_may_set(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path,
        trade(1, 0.1, 10.0), trade(2, 0.2, 50.0, 7, c=["I"]),  # an odd lot: volume only
        trade(3, 1.1, 10.0, c=["I"]),                          # alone it makes no bar
        trade(4, 2.1, 10.0), trade(5, 2.2, 60.0, c=["nobody knows it"]),
        trade(6, 3.1, 10.0), trade(7, 3.2, 60.0, c=["B"], z="A"), trade(8, 3.3, 61.0, c=["B"], z="C"),
        trade(9, 4.1, 10.0), trade(10, 4.2, 60.0, c=["B"], z=None),  # without a tape, as the strictest reads it
    )  # fmt: skip
    assert [(bar["h"], bar["v"], bar["vwap"]) for bar in _bars(reference, 0)] == [(10.0, 107.0, 10.0)]
    assert _bars(reference, 1) == []
    assert [_bars(reference, second)[0]["h"] for second in (2, 3, 4)] == [60.0, 61.0, 10.0]
    all_count = _reference(tmp_path, trade(1, 0.1, 10.0), trade(2, 0.2, 50.0, c=["I"]), bar_rules="all")
    assert _bars(all_count, 0)[0]["h"] == 50.0


def test_a_late_trade_revises_volume_and_may_extend_high_and_low(tmp_path: Path) -> None:
    reference = _reference(tmp_path, trade(1, 0.1, 10.0), trade(2, 10.0, 10.0), trade(3, 0.5, 12.0, 50))
    final, revised = _bars(reference, 0)
    assert (final["revision"], final["h"], final["v"]) == (0, 10.0, 100)
    assert [revised[name] for name in ("revision", "o", "h", "c", "v", "count")] == [1, 10.0, 12.0, 10.0, 150, 2]
    assert len(_signals(reference)) == 2


def test_a_trade_is_late_when_the_watermark_has_passed_its_second_and_not_before(tmp_path: Path) -> None:
    just_in_time = _reference(tmp_path, trade(1, 2.998, 10.0), trade(2, 0.5, 12.0))
    assert [bar["revision"] for bar in _bars(just_in_time, 0)] == [0]
    assert len(_signals(just_in_time)) == 2
    late = _reference(tmp_path, trade(1, 2.999, 10.0), trade(2, 0.5, 12.0))
    assert [bar["revision"] for bar in _bars(late, 0)] == [0]
    assert len(_signals(late)) == 1, "a late trade for a second without a bar gives that bar without a signal"


def test_late_volume_is_in_the_vwaps_from_the_next_bar_on(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path, trade(1, 0.1, 10.0), trade(2, 10.0, 10.0), trade(3, 0.5, 40.0, 100), trade(4, 13.0, 10.0)
    )
    signals = _signals(reference)
    assert signals["session"].tolist() == [10.0, 20.0, pytest.approx(17.5)]
    assert signals["w5m"].tolist() == [10.0, 20.0, pytest.approx(17.5)]
    assert signals["ema12"].tolist() == [10.0, 10.0, 10.0]


def test_what_is_older_than_the_horizon_is_late_and_changes_nothing(tmp_path: Path) -> None:
    reference = _reference(tmp_path, trade(1, 0.1, 10.0), trade(2, 61.001, 10.0), trade(3, 0.5, 12.0))
    assert len(_bars(reference, 0)) == 1
    assert reference.late.to_dict("records") == [{"kind": "trades", "offset": 2, "reason": "beyond_horizon"}]
    assert len(_bars(_reference(tmp_path, trade(1, 0.1, 10.0), trade(2, 61.0, 10.0), trade(3, 0.5, 12.0)), 0)) == 2


def test_a_cancel_before_the_bar_is_final_only_subtracts(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path, trade(1, 0.1, 10.0), trade(2, 0.2, 12.0), cancel(2, 0.5), trade(3, 1.1, 10.0), cancel(3, 1.2)
    )
    (bar,) = _bars(reference, 0)
    assert (bar["revision"], bar["h"], bar["c"], bar["v"], bar["vwap"]) == (0, 12.0, 12.0, 100, 10.0)
    assert _bars(reference, 1) == []
    assert len(_signals(reference)) == 1


def test_a_cancel_after_the_bar_was_final_gives_it_again_with_its_prices(tmp_path: Path) -> None:
    reference = _reference(tmp_path, trade(1, 0.1, 10.0), trade(2, 10.0, 11.0), cancel(1, 10.5), trade(3, 13.0, 11.0))
    final, cancelled = _bars(reference, 0)
    assert (cancelled["revision"], cancelled["c"], cancelled["v"], cancelled["count"]) == (1, final["c"], 0.0, 0)
    assert pd.isna(cancelled["vwap"])
    assert _signals(reference)["session"].tolist() == [10.0, 11.0, 11.0]


def test_a_correction_is_a_cancel_and_a_late_trade(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path, trade(1, 0.1, 10.0), trade(2, 10.0, 10.0), correction(1, 50, 10.5, 11.0, 300), cancel(50, 10.6)
    )
    _, corrected, cancelled = _bars(reference, 0)
    assert [corrected[name] for name in ("o", "h", "c", "v", "vwap", "count")] == [10.0, 11.0, 10.0, 300, 11.0, 1]
    assert (cancelled["revision"], cancelled["v"]) == (2, 0.0)


def test_a_cancel_that_finds_no_trade_is_late_when_its_own_second_is_final(tmp_path: Path) -> None:
    reference = _reference(tmp_path, trade(1, 0.1, 10.0), cancel(7, 0.5), cancel(2, 0.6), trade(2, 0.7, 12.0))
    assert reference.late.to_dict("records") == [{"kind": "trades", "offset": 1, "reason": "no_such_trade"}]
    (bar,) = _bars(reference, 0)
    assert (bar["v"], bar["c"]) == (100, 12.0), "one that came before its trade finds it"


def test_quotes_are_joined_at_the_windows_end_and_say_nothing_when_they_cannot(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path,
        trade(1, 0.1, 10.0),                                                  # none so far
        quote(1.1, 9.9, 10.1), quote(1.9, 9.8, 10.1, 1, 3), trade(2, 1.2, 10.0),
        trade(3, 3.8, 10.0), trade(4, 4.1, 10.0),                             # 2.1 s old, 3.1 s old
        quote(5.1, 0, 10.1), trade(5, 5.2, 10.0), quote(6.1, 10.2, 10.1), trade(6, 6.2, 10.0),
        quote(7.1, 10.1, 10.1), trade(7, 7.2, 10.0),
    )  # fmt: skip
    signals = _signals(reference)
    assert signals["bid_px"].isna().tolist() == [True, False, False, False, False, False, False]
    assert signals["spread"].tolist()[1] == pytest.approx(0.3)
    assert signals["imbalance"].tolist()[1] == -0.5
    assert signals["spread"].isna().tolist() == [True, False, True, True, True, True, False]
    assert signals["spread"].tolist()[6] == 0.0


def test_a_late_quote_counts_unless_a_newer_second_has_one(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path,
        quote(0.1, 9.0, 11.0), quote(4.0, 9.9, 10.1), quote(10.0, 9.8, 10.2),
        quote(0.5, 1.0, 2.0), quote(4.5, 9.7, 10.3),  # the watermark is at 8: second 4 is in force, second 10 is not
        trade(1, 9.5, 10.0), trade(2, 12.0, 10.0),
    )  # fmt: skip
    assert reference.late.to_dict("records") == [{"kind": "quotes", "offset": 3, "reason": "newer_quote_known"}]
    assert _signals(reference)["bid_px"].tolist() == [9.7, 9.8]


def test_minutes_have_indicators_of_their_own_and_an_update_gives_the_newest_again(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path, bar_1m(0, 10.5), bar_1m(0, 10.6, "u"), bar_1m(0, 10.6, "u"), bar_1m(60, 11.4), bar_1m(0, 9.0, "u")
    )
    minutes = _signals(reference, "PT1M")
    assert minutes[["revision", "c", "bars"]].to_numpy().tolist() == [[0, 10.5, 1], [1, 10.6, 1], [0, 11.4, 2]]
    assert minutes["ema12"].tolist()[2] == pytest.approx(10.6 + (11.4 - 10.6) * 2 / 13, rel=1e-12)
    assert reference.late.to_dict("records") == [{"kind": "bars_1m", "offset": 4, "reason": "older_minute"}]


def test_every_bad_record_is_a_reject_and_no_other(tmp_path: Path) -> None:
    reference = _reference(tmp_path, *[message for _, message in BAD], trade(1, 0.1, 10.0))
    assert len(reference.rejects) == len(BAD)
    assert len(reference.bars) == 1


def test_envelopes_and_messages_are_the_same_plain_or_gzip(tmp_path: Path) -> None:
    messages = [trade(1, 0.1, 10.0), quote(0.2, 9.9, 10.1), trade(2, 1.1, 10.2)]
    plain = write_recording(tmp_path / "plain", messages)
    envelopes = [wrap(m, seq=n, ingest_ts=at(9), field_case="camel") for n, m in enumerate(messages)]
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, envelopes))))
    one, other = (compute_reference([path], RULES) for path in (plain, packed))
    pd.testing.assert_frame_equal(one.signals, other.signals)


def test_several_files_are_merged_by_time(tmp_path: Path) -> None:
    early = write_recording(tmp_path / "a", [trade(1, 0.1, 10.0), trade(2, 20.0, 10.0)])
    late = write_recording(tmp_path / "b", [trade(3, 0.5, 12.0), trade(4, 10.0, 10.0)])
    reference = compute_reference([early, late], RULES)
    assert reference.bars["revision"].tolist() == [0, 0, 0]


def test_only_the_symbols_asked_for_are_computed_but_all_move_the_watermark(tmp_path: Path) -> None:
    reference = _reference(
        tmp_path, trade(1, 0.1, 10.0), trade(2, 9.0, 10.0, S="BBB"), trade(3, 0.5, 10.0), symbols=("AAA",)
    )
    assert reference.bars[["symbol", "revision"]].to_numpy().tolist() == [["AAA", 0], ["AAA", 1]]


def test_a_session_begins_at_four_in_new_york_in_summer_and_in_winter(tmp_path: Path) -> None:
    times = ["2026-07-21T07:59:59.5Z", "2026-07-21T08:00:00.5Z", "2026-12-21T08:59:59.5Z", "2026-12-21T09:00:00.5Z"]
    trades = [trade(n, 0, 10.0 + n, t=time) for n, time in enumerate(times)]
    assert _signals(_reference(tmp_path, *trades[:2]))["session"].tolist() == [10.0, 11.0]
    now = 4_000_000_000_000
    winter = compute_reference([write_recording(tmp_path / "in", trades[2:])], RULES, now)
    assert winter.signals["session"].tolist() == [12.0, 13.0]


def test_regular_sessions_count_nothing_outside_of_them(tmp_path: Path) -> None:
    times = ["2026-07-21T13:29:59.5Z", "2026-07-21T13:30:00.5Z", "2026-07-21T19:59:59.5Z", "2026-07-21T20:00:00.5Z"]
    trades = [trade(n, 0, 10.0 + n, t=time) for n, time in enumerate(times)]
    session = _signals(_reference(tmp_path, *trades, session="regular"))["session"]
    assert session.isna().tolist() == [True, False, False, True]
    assert session.tolist()[1:3] == [11.0, 11.5]
