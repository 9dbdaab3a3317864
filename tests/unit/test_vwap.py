from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.bars import Bar
from ta_pipeline.indicators.vwap import RollingVwap, SessionVwap
from ta_pipeline.sessions import Sessions
from tests.shared_data import numbers, oracle

DAY_MS = 86_400_000
NOON = 1_721_563_200_000  # 2024-07-21 12:00 UTC

gaps = st.integers(min_value=1, max_value=90)
prices = st.floats(min_value=1e-2, max_value=1e5)
sizes = st.floats(min_value=1e-6, max_value=1e6)
windows = st.lists(st.tuples(gaps, prices, sizes), min_size=1, max_size=150)


def ms(moment: str) -> int:
    return int(pd.Timestamp(moment).value // 1_000_000)


def test_session_vwap_gives_the_published_values_while_the_session_lasts() -> None:
    table = oracle("vwap_cumulative_skender.csv")
    vwap = SessionVwap(Sessions("utc_day"))
    got = [
        vwap.update(second * 1_000, price * volume, volume)
        for second, (price, volume) in enumerate(
            zip(numbers(table["price_hlc3"]), numbers(table["volume"]), strict=True)
        )
    ]
    assert got == pytest.approx(numbers(table["vwap_cumulative"]), rel=1e-13)


def test_rolling_vwap_over_a_window_longer_than_the_series_gives_the_published_values() -> None:
    table = oracle("vwap_cumulative_skender.csv")
    vwap = RollingVwap(DAY_MS)
    got = [
        vwap.update(second * 1_000, price * volume, volume)
        for second, (price, volume) in enumerate(
            zip(numbers(table["price_hlc3"]), numbers(table["volume"]), strict=True)
        )
    ]
    assert got == pytest.approx(numbers(table["vwap_cumulative"]), rel=1e-13)


def test_session_vwap_starts_anew_with_the_session() -> None:
    vwap = SessionVwap(Sessions("extended"))
    assert vwap.update(ms("2024-07-22 07:59:59Z"), 1_000.0, 10.0) == 100.0
    assert vwap.update(ms("2024-07-22 08:00:00Z"), 400.0, 2.0) == 200.0


def test_outside_regular_hours_there_is_no_session_vwap_and_its_volume_does_not_count() -> None:
    vwap = SessionVwap(Sessions("regular"))
    assert vwap.update(ms("2024-07-22 13:29:59Z"), 5_000.0, 10.0) is None
    assert vwap.update(ms("2024-07-22 13:30:00Z"), 1_000.0, 10.0) == 100.0
    assert vwap.preview(ms("2024-07-22 20:00:00Z"), 5_000.0, 10.0) is None
    assert vwap.update(ms("2024-07-22 20:00:00Z"), 5_000.0, 10.0) is None
    assert vwap.update(ms("2024-07-23 13:30:00Z"), 400.0, 2.0) == 200.0


def test_vwap_is_null_while_there_is_no_volume() -> None:
    assert SessionVwap(Sessions("utc_day")).update(NOON, 0.0, 0.0) is None
    assert RollingVwap(300_000).update(NOON, 0.0, 0.0) is None


def test_a_cancel_of_all_volume_makes_the_vwap_null_again() -> None:
    session, rolling = SessionVwap(Sessions("utc_day")), RollingVwap(300_000)
    session.update(NOON, 1_000.0, 10.0)
    rolling.update(NOON + 1_000, 1_000.0, 10.0)
    session.add_late(NOON, -1_000.0, -10.0)
    rolling.add_late(NOON + 1_000, -1_000.0, -10.0)
    assert session.update(NOON + 1_000, 0.0, 0.0) is None
    assert rolling.update(NOON + 2_000, 0.0, 0.0) is None


def test_late_volume_of_the_current_session_counts_from_the_next_bar_on() -> None:
    vwap = SessionVwap(Sessions("utc_day"))
    assert vwap.update(NOON, 1_000.0, 10.0) == 100.0
    vwap.add_late(NOON - 5_000, 600.0, 2.0)
    assert vwap.update(NOON + 1_000, 0.0, 0.0) == pytest.approx(1_600 / 12)


def test_late_volume_of_a_session_that_is_over_does_not_count() -> None:
    vwap = SessionVwap(Sessions("utc_day"))
    vwap.update(NOON, 1_000.0, 10.0)
    vwap.add_late(NOON - DAY_MS, 600.0, 2.0)
    assert vwap.update(NOON + 1_000, 0.0, 0.0) == 100.0


def test_late_volume_that_opens_a_session_is_in_it() -> None:
    vwap = SessionVwap(Sessions("utc_day"))
    vwap.update(NOON - DAY_MS, 1_000.0, 10.0)
    vwap.add_late(NOON, 600.0, 2.0)
    assert vwap.update(NOON + 1_000, 400.0, 2.0) == 250.0


def test_late_volume_joins_the_rolling_entry_of_its_window_or_makes_one() -> None:
    vwap = RollingVwap(10_000)
    for second in (1, 3, 9):
        vwap.update(second * 1_000, 100.0, 1.0)
    vwap.add_late(3_000, 400.0, 2.0)
    vwap.add_late(5_000, 900.0, 3.0)
    assert vwap.update(10_000, 100.0, 1.0) == pytest.approx((100 * 4 + 400 + 900) / (4 + 2 + 3))
    # entries leave by the end of their own window: 1 first, then 3 with what joined it, then 5
    assert vwap.update(13_000, 0.0, 0.0) == pytest.approx((100 * 2 + 900) / (2 + 3))
    assert vwap.update(15_000, 0.0, 0.0) == pytest.approx(100.0)


def test_late_volume_older_than_the_window_never_counts() -> None:
    vwap = RollingVwap(10_000)
    vwap.update(20_000, 100.0, 1.0)
    vwap.add_late(10_000, 900.0, 1.0)
    assert vwap.preview(21_000, 0.0, 0.0) == 100.0
    assert vwap.update(21_000, 0.0, 0.0) == 100.0
    assert len(vwap.dump()) == 1 + 3


def test_a_window_exactly_as_old_as_the_rolling_vwap_is_long_has_left_it() -> None:
    vwap = RollingVwap(300_000)
    vwap.update(1_000, 100.0, 1.0)
    assert vwap.preview(300_999, 300.0, 1.0) == 200.0
    assert vwap.update(301_000, 300.0, 1.0) == 300.0


def test_rolling_sums_do_not_drift() -> None:
    vwap = RollingVwap(5_000)
    for second in range(1, 2_000):
        vwap.update(second * 1_000, 1e15 if second % 7 == 0 else 0.1, 1e9 if second % 7 == 0 else 1e-3)
    for second in range(2_000, 2_010):
        got = vwap.update(second * 1_000, 0.1, 1e-3)
    assert got == pytest.approx(100.0, rel=1e-15)


@given(windows, st.sampled_from([10_000, 60_000, 300_000]))
def test_incremental_equals_pandas_for_any_gaps(series: list[tuple[int, float, float]], window_ms: int) -> None:
    frame = pd.DataFrame(series, columns=["gap", "p", "s"])
    frame["end"] = NOON + frame["gap"].cumsum() * 1_000
    frame["pv"] = frame["p"] * frame["s"]
    rolling, session = RollingVwap(window_ms), SessionVwap(Sessions("utc_day"))
    for at, row in enumerate(frame.itertuples()):
        inside = frame.iloc[: at + 1]
        near = inside[inside["end"] > row.end - window_ms]
        start = row.end - 1_000
        today = inside[(inside["end"] - 1_000) // DAY_MS == start // DAY_MS]
        assert rolling.update(row.end, row.pv, row.s) == pytest.approx(near["pv"].sum() / near["s"].sum(), rel=1e-12)
        assert session.update(start, row.pv, row.s) == pytest.approx(today["pv"].sum() / today["s"].sum(), rel=1e-9)


@given(windows, windows)
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers(
    first: list[tuple[int, float, float]], rest: list[tuple[int, float, float]]
) -> None:
    undisturbed, restored = RollingVwap(60_000), RollingVwap(60_000)
    end = NOON
    for gap, price, size in first:
        end += gap * 1_000
        undisturbed.update(end, price * size, size)
    restored.load(undisturbed.dump())
    for gap, price, size in rest:
        end += gap * 1_000
        previewed = restored.preview(end, price * size, size)
        assert restored.update(end, price * size, size) == undisturbed.update(end, price * size, size) == previewed


def test_a_minute_bar_gives_its_vwap_back() -> None:
    bar = Bar.of_minute(NOON, close=170.5, vwap=170.25, volume=100)
    assert (bar.end_ms - bar.start_ms, bar.vwap) == (60_000, 170.25)
    assert Bar(NOON, NOON - 1_000, 170.5, 0.0, 0.0).vwap is None


def test_a_longer_window_after_a_restart_fills_up_and_a_shorter_one_forgets() -> None:
    saved = RollingVwap(10_000)
    for second in range(1, 31):
        saved.update(second * 1_000, 100.0 * second, 1.0)
    shorter, longer = RollingVwap(5_000), RollingVwap(60_000)
    shorter.load(saved.dump())
    longer.load(saved.dump())
    assert shorter.update(31_000, 3_100.0, 1.0) == pytest.approx(100 * (27 + 28 + 29 + 30 + 31) / 5)
    assert longer.update(31_000, 3_100.0, 1.0) == pytest.approx(100 * math.fsum(range(21, 32)) / 11)
