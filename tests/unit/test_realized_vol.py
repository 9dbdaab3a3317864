from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.indicators.deviation import deviation
from ta_pipeline.indicators.realized_vol import RealizedVol, RealizedVolBars
from tests.shared_data import numbers, oracle

gaps = st.integers(min_value=1, max_value=40)
prices = st.floats(min_value=1.0, max_value=1e3)
series_of_bars = st.lists(st.tuples(gaps, prices), min_size=1, max_size=120)


def test_the_published_volatility_of_simple_returns_shares_our_deviation_but_not_our_returns() -> None:
    table = oracle("volatility3_tulip_SIMPLE_returns.csv")
    x = numbers(table["x"])
    expected = numbers(table["volatility3_simple_returns_pop_x_sqrt252"][3:])
    simple = [after / before - 1 for before, after in itertools.pairwise(x)]
    got = [deviation(simple[at - 3 : at]) * math.sqrt(252) for at in range(3, len(x))]
    assert got == pytest.approx(expected, rel=1e-7)
    logs = RealizedVolBars(4)
    ours = [value * math.sqrt(252) for value in map(logs.update, x) if value is not None][-len(expected) :]
    assert min(abs(a - b) for a, b in zip(ours, expected, strict=True)) > 1e-3


def test_there_is_no_value_below_two_returns() -> None:
    vol = RealizedVol(60_000)
    assert vol.update(1_000, 100.0) is None
    assert vol.update(2_000, 101.0) is None
    assert vol.update(3_000, 100.0) == pytest.approx(math.log(1.01))


def test_a_constant_price_has_no_volatility() -> None:
    vol = RealizedVol(60_000)
    assert [vol.update(second * 1_000, 0.1) for second in range(1, 5)] == [None, None, 0.0, 0.0]


def test_a_return_counts_only_while_both_of_its_bars_are_in_the_window() -> None:
    vol = RealizedVol(10_000)
    for end, close in ((1_000, 50.0), (5_000, 100.0), (6_000, 110.0), (7_000, 100.0)):
        vol.update(end, close)
    # at 11 s the bar of 1 s is out (its end is not after 1 s), and with it the jump from 50 to 100
    expected = np.std([math.log(1.1), -math.log(1.1), 0.0])
    assert vol.preview(11_000, 100.0) == pytest.approx(expected)
    assert vol.update(11_000, 100.0) == pytest.approx(expected)
    # a bar after a long silence stands alone
    assert vol.update(100_000, 100.0) is None


def test_returns_span_gaps_between_consecutive_bars() -> None:
    vol = RealizedVol(60_000)
    vol.update(1_000, 100.0)
    vol.update(30_000, 110.0)
    assert vol.update(59_000, 100.0) == pytest.approx(math.log(1.1))


def test_minute_bars_use_the_last_31_closes_whatever_time_lies_between_them() -> None:
    closes = [100 + 3 * math.sin(bar) for bar in range(50)]
    vol = RealizedVolBars(31)
    got = [vol.update(close) for close in closes]
    assert got[:2] == [None, None]
    assert got[2] == pytest.approx(np.diff(np.log(closes[:3])).std(ddof=0))
    assert got[-1] == pytest.approx(np.diff(np.log(closes[-31:])).std(ddof=0), rel=1e-12)
    assert len(vol.dump()) == 2 + 30


@given(series_of_bars, st.sampled_from([10_000, 60_000]))
def test_incremental_equals_numpy_for_any_gaps(series: list[tuple[int, float]], window_ms: int) -> None:
    frame = pd.DataFrame(series, columns=["gap", "close"])
    frame["end"] = frame["gap"].cumsum() * 1_000
    vol = RealizedVol(window_ms)
    for at, row in enumerate(frame.itertuples()):
        inside = frame.iloc[: at + 1]
        closes = inside[inside["end"] > row.end - window_ms]["close"].to_numpy()
        got = vol.update(row.end, row.close)
        if len(closes) < 3:
            assert got is None
        else:
            assert got == pytest.approx(np.diff(np.log(closes)).std(ddof=0), rel=1e-9, abs=1e-15)


@given(series_of_bars, series_of_bars)
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers(
    first: list[tuple[int, float]], rest: list[tuple[int, float]]
) -> None:
    undisturbed, restored = RealizedVol(60_000), RealizedVol(60_000)
    by_bars, by_bars_restored = RealizedVolBars(), RealizedVolBars()
    end = 0
    for gap, close in first:
        end += gap * 1_000
        undisturbed.update(end, close)
        by_bars.update(close)
    restored.load(undisturbed.dump())
    by_bars_restored.load(by_bars.dump())
    for gap, close in rest:
        end += gap * 1_000
        before = restored.dump().tobytes()
        previewed = restored.preview(end, close)
        assert restored.dump().tobytes() == before
        assert restored.update(end, close) == undisturbed.update(end, close) == previewed
        previewed = by_bars_restored.preview(close)
        assert by_bars_restored.update(close) == by_bars.update(close) == previewed
