"""Production against a replay: what differs without anything being wrong is left out and counted, the rest is red."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ta_pipeline.replay.compare import Frames
from ta_pipeline.replay.production import WARM_UP, compare_with_production
from ta_pipeline.settings import load_settings
from tests.messages import trade
from tests.unit.replay.frames import copied, day

SETTINGS = load_settings()
HORIZON_SECONDS = 60


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return day(tmp_path_factory.mktemp("day"), 1_000)


def test_the_same_output_is_green_but_for_its_edges(replayed: Frames) -> None:
    comparison = compare_with_production(replayed, copied(replayed), SETTINGS)
    assert comparison.is_green
    assert (comparison.found_side, comparison.expected_side) == ("production", "replay")
    assert comparison.table("bars").expected == 1_000 - 1 - HORIZON_SECONDS
    assert comparison.table("signals").expected == 1_000 - 1 - HORIZON_SECONDS
    (note,) = comparison.notes
    assert note.startswith("61 seconds at the edges")


def test_a_value_production_got_wrong_and_a_second_it_lost_are_red(replayed: Frames) -> None:
    emitted = copied(replayed)
    emitted["signals"].loc[500, "ema12"] += 1e-3
    emitted["bars"] = emitted["bars"].drop(index=[600])
    comparison = compare_with_production(replayed, emitted, SETTINGS)
    assert comparison.table("bars").missing == 1
    assert [field.name for field in comparison.table("signals").fields if field.differences] == ["ema12"]


def test_a_record_that_production_gave_twice_is_red(replayed: Frames) -> None:
    emitted = copied(replayed)
    emitted["bars"] = pd.concat([emitted["bars"], emitted["bars"].iloc[[500]]], ignore_index=True)
    assert compare_with_production(replayed, emitted, SETTINGS).table("bars").duplicates == 1


def test_a_production_that_started_within_the_day_is_compared_after_its_indicators_agree(
    replayed: Frames, tmp_path: Path
) -> None:
    comparison = compare_with_production(replayed, day(tmp_path, 900, first=100), SETTINGS)
    assert comparison.is_green, comparison.problems()
    assert comparison.table("bars").expected == 900 - 1 - HORIZON_SECONDS
    assert comparison.table("signals").expected == 900 - 1 - HORIZON_SECONDS - WARM_UP
    assert comparison.notes[-1].endswith("bars and session are not compared")


def test_what_was_late_on_one_side_only_is_compared_by_its_newest_revision(tmp_path: Path) -> None:
    late = trade(5_000, 499.9, 90.0)
    in_order = [trade(5_001, 1_000 + n, 100.0) for n in range(3)]
    live, replay = tmp_path / "live", tmp_path / "replay"
    live.mkdir()
    replay.mkdir()
    replayed = day(replay, 1_000, *in_order, late)
    assert replayed["bars"]["revision"].max() == 0, "beyond the horizon"
    late = trade(5_000, 960.9, 90.0)
    replayed, emitted = day(replay, 1_000, *in_order, late), day(live, 961, late)
    emitted = {name: pd.concat([emitted[name], frame[frame["end_ms"] > emitted[name]["end_ms"].max()]])
               if name in {"bars", "signals"} else emitted[name] for name, frame in replayed.items()}  # fmt: skip
    assert replayed["bars"]["revision"].max() == 1
    assert emitted["bars"]["revision"].max() == 0
    comparison = compare_with_production(replayed, emitted, load_settings(revision_horizon_ms=10_000))
    assert comparison.is_green, comparison.problems()
    assert any(note.startswith("1 seconds were revised on one side only") for note in comparison.notes)


def test_a_vwap_that_took_a_late_trade_sooner_is_left_out_and_one_without_a_late_trade_near_is_red(
    tmp_path: Path,
) -> None:
    late = trade(5_000, 500.9, 90.0)
    replayed = day(tmp_path, 504, late, *[trade(6_000 + n, 504.5 + n, 100.0) for n in range(496)])
    assert replayed["bars"]["revision"].max() == 1
    emitted = copied(replayed)
    signals = emitted["signals"]
    signals.loc[signals["end_ms"] == replayed["signals"]["end_ms"].iloc[510], "session"] *= 1 + 1e-6
    comparison = compare_with_production(replayed, emitted, SETTINGS)
    assert comparison.is_green, comparison.problems()
    assert any(note.startswith("1 signals were given out before a late trade") for note in comparison.notes)
    signals.loc[signals["end_ms"] == replayed["signals"]["end_ms"].iloc[300], "session"] *= 1 + 1e-6
    comparison = compare_with_production(replayed, emitted, SETTINGS)
    assert [field.name for field in comparison.table("signals").fields if field.differences] == ["session"]


def test_nothing_emitted_is_red(replayed: Frames) -> None:
    empty = {name: frame.iloc[:0] for name, frame in replayed.items()}
    assert not compare_with_production(replayed, empty, SETTINGS).is_green
