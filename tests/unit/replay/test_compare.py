"""The verdict on two sides: what is red, what is not, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ta_pipeline.replay.compare import Frames, compare
from ta_pipeline.replay.verdict import Comparison, FieldVerdict, Verdict
from tests.messages import trade
from tests.unit.replay.frames import copied, day


@pytest.fixture
def expected(tmp_path: Path) -> Frames:
    return day(tmp_path)


def _field(comparison: Comparison, table: str, name: str) -> FieldVerdict:
    return next(field for field in comparison.table(table).fields if field.name == name)


def test_two_equal_sides_are_green_and_every_value_was_compared(expected: Frames) -> None:
    comparison = compare(expected, copied(expected))
    assert comparison.is_green
    assert (comparison.problems(), comparison.examples()) == ([], [])
    assert [(table.name, table.expected) for table in comparison.tables] == [
        ("bars", 30), ("signals", 30), ("late", 0), ("rejects", 0),
    ]  # fmt: skip
    assert all(field.compared == 30 for field in comparison.table("signals").fields)
    assert (
        Verdict((comparison,)).summary() == "job against pandas: 30 bars, 30 signals, every value within its tolerance"
    )


@pytest.mark.parametrize(
    ("table", "field", "by"),
    [("bars", "c", 1e-12), ("bars", "count", 1), ("bars", "vwap", 1e-6), ("signals", "ema12", 1e-6),
     ("signals", "rsi14", 1e-6), ("signals", "macd", 1e-6), ("signals", "bid_px", 1e-9), ("signals", "last_ms", 1)],
)  # fmt: skip
def test_one_value_beyond_its_tolerance_turns_it_red_and_is_shown(
    expected: Frames, table: str, field: str, by: float
) -> None:
    found = copied(expected)
    column = found[table][field].astype(float)
    column.iloc[20] += by if by >= 1 else by * column.iloc[20] + by
    found[table][field] = column
    comparison = compare(expected, found)
    assert not comparison.is_green
    assert [name for name, verdict in _fields(comparison) if verdict.differences] == [f"{table}.{field}"]
    (line,) = comparison.problems()
    assert line.startswith(f"{table}: {field} differs in 1 of 30, at worst by ")
    (example,) = comparison.examples()
    assert example.field == field
    assert example.record.startswith("AAA")
    assert example.record.endswith("2026-07-21T14:30:21.000Z")


def test_rounding_of_sums_and_indicators_is_green_and_reported(expected: Frames) -> None:
    found = copied(expected)
    rounding = 1 + np.random.default_rng(7).uniform(-1e-11, 1e-11, 30)
    for table, field in (("bars", "vwap"), ("signals", "ema26"), ("signals", "session"), ("signals", "w60s")):
        found[table][field] *= rounding
    comparison = compare(expected, found)
    assert comparison.is_green
    assert 0 < _field(comparison, "signals", "ema26").worst_relative < 1e-11
    assert _field(comparison, "signals", "ema26").unequal == 30


def test_what_rounding_leaves_of_a_difference_of_prices_is_allowed_and_more_is_not(expected: Frames) -> None:
    for error, green in ((1e-11, True), (1e-9, False)):
        found = copied(expected)
        found["signals"]["macd"] += error
        assert compare(expected, found).is_green is green


def test_a_null_beside_a_value_is_a_difference_and_two_nulls_are_none(expected: Frames) -> None:
    found = copied(expected)
    assert np.isnan(expected["signals"]["rsi14"].iloc[0])
    assert compare(expected, found).is_green
    found["signals"].loc[0, "rsi14"] = 50.0
    found["signals"].loc[25, "imbalance"] = np.nan
    comparison = compare(expected, found)
    assert _field(comparison, "signals", "rsi14").nulls_on_one_side == 1
    assert [str(example) for example in comparison.examples()] == [
        "AAA PT1S 2026-07-21T14:30:01.000Z: rsi14 is 50, expected null",
        "AAA PT1S 2026-07-21T14:30:26.000Z: imbalance is null, expected 0.5",
    ]


def test_records_that_are_missing_extra_or_twice_are_counted(expected: Frames) -> None:
    found = copied(expected)
    bars = found["bars"].drop(index=[3, 4])
    more = bars.tail(1).assign(end_ms=lambda f: f["end_ms"] + 5_000, seq=lambda f: f["seq"] + 5)
    found["bars"] = pd.concat([bars, more, bars.head(1)], ignore_index=True)
    verdict = compare(expected, found).table("bars")
    assert (verdict.missing, verdict.extra, verdict.duplicates) == (2, 1, 1)
    assert verdict.problems() == [
        "bars: 2 of 30 are missing", "bars: 1 of 30 are there and not expected", "bars: 1 of 30 came more than once",
    ]  # fmt: skip


def test_another_revision_is_another_record(tmp_path: Path) -> None:
    expected = day(tmp_path, 30, trade(900, 20.5, 101.0))
    found = copied(expected)
    assert expected["bars"]["revision"].max() == 1
    found["bars"] = found["bars"][found["bars"]["revision"] == 0]
    assert compare(expected, found).table("bars").missing == 1


def test_a_signal_after_a_later_one_of_its_symbol_is_out_of_order(expected: Frames) -> None:
    found = copied(expected)
    order = [*range(10), 11, 10, *range(12, 30)]
    found["signals"] = found["signals"].iloc[order].reset_index(drop=True)
    comparison = compare(expected, found)
    assert comparison.table("signals").out_of_order == 1
    assert not comparison.is_green


def test_a_late_or_rejected_record_that_is_not_expected_turns_it_red(expected: Frames) -> None:
    for table in ("late", "rejects"):
        found = copied(expected)
        found[table] = pd.DataFrame([{"kind": "trades", "offset": 4, "reason": "beyond_horizon"}])
        comparison = compare(expected, found)
        assert comparison.problems() == [f"{table}: 1 of 0 are there and not expected"]


def test_nothing_against_nothing_is_red(expected: Frames) -> None:
    empty = {name: frame.iloc[:0] for name, frame in expected.items()}
    comparison = compare(empty, empty)
    assert not comparison.is_green
    assert comparison.problems() == ["there is nothing to compare: pandas has no records for this day and symbol"]


def _fields(comparison: Comparison) -> list[tuple[str, FieldVerdict]]:
    return [(f"{table.name}.{field.name}", field) for table in comparison.tables for field in table.fields]
