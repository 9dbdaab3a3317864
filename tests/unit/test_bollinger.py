from __future__ import annotations

import math
import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.indicators.bollinger import Bands, Bollinger
from ta_pipeline.indicators.deviation import deviation, mean_and_deviation
from tests.shared_data import numbers, oracle

prices = st.floats(min_value=1e-2, max_value=1e5, allow_nan=False)


def test_bollinger20_gives_the_published_values() -> None:
    table = oracle("bollinger20_2_population_stockcharts.csv")
    bollinger = Bollinger()
    got = [bollinger.update(close) for close in numbers(table["Close"])]
    assert got[:19] == [Bands(None, None, None)] * 19
    for line in ("mid", "upper", "lower"):
        ours = [getattr(bands, line) for bands in got[19:]]
        assert ours == pytest.approx(numbers(table[line][19:]), abs=2e-6), line
    widths = [(bands.upper - bands.mid) / 2 for bands in got[19:] if bands.upper and bands.mid]
    assert widths == pytest.approx(numbers(table["stddev_pop20"][19:]), abs=1e-6)


@pytest.mark.parametrize("of", [deviation, lambda window: mean_and_deviation(window)[1]], ids=["plain", "shifted"])
def test_the_standard_deviation_is_the_published_one_of_the_population(of) -> None:  # type: ignore[no-untyped-def]
    table = oracle("stddev3_population_tulip.csv")
    x = numbers(table["x"])
    got = [of(x[at - 2 : at + 1]) for at in range(2, len(x))]
    assert got == pytest.approx(numbers(table["stddev3_population"][2:]), rel=1e-8)


def test_the_deviation_of_returns_is_the_same_number_in_every_python() -> None:
    closes = [64.88, 64.9, 64.92, 64.89]
    returns = [math.log(after / before) for before, after in pairwise(closes)]
    assert deviation(returns) == 0.00036316082088161183  # with `sum`: ...119 in 3.11


def test_prices_around_a_billion_that_differ_by_cents_keep_their_digits() -> None:
    closes = [1e9 + 0.01 * (bar % 7) for bar in range(20)]
    exact = math.sqrt(statistics.pvariance([Fraction(close) for close in closes]))
    bollinger = Bollinger()
    bands = [bollinger.update(close) for close in closes][-1]
    assert bands.upper is not None
    assert bands.mid is not None
    assert mean_and_deviation(closes)[1] == pytest.approx(exact, rel=1e-9)
    assert (bands.upper - bands.mid) / 2 == pytest.approx(exact, rel=1e-4)  # the band itself has an ulp of 1.2e-7


@pytest.mark.parametrize("price", [0.1, 33.33, 1e9 + 0.07])
def test_equal_prices_give_bands_of_no_width(price: float) -> None:
    bollinger = Bollinger()
    assert [bollinger.update(price) for _ in range(30)][-1] == Bands(price, price, price)


@given(st.lists(prices, min_size=20, max_size=80))
def test_incremental_equals_pandas_rolling_with_population_deviation(closes: list[float]) -> None:
    bollinger = Bollinger()
    got = np.array([bollinger.update(close) for close in closes], dtype=float)
    windows = np.lib.stride_tricks.sliding_window_view(np.array(closes), 20)
    mid, deviations = windows.mean(axis=1), windows.std(axis=1, ddof=0)
    scale = max(closes)
    np.testing.assert_allclose(got[19:, 0], mid, rtol=1e-12)
    np.testing.assert_allclose(got[19:, 1], mid + 2 * deviations, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(got[19:, 2], mid - 2 * deviations, rtol=0, atol=1e-10 * scale)
    assert np.isnan(got[:19]).all()
    # pandas keeps running sums, so it is held to a looser bound than numpy's windows
    rolling = pd.Series(closes).rolling(20)
    np.testing.assert_allclose(got[:, 1], rolling.mean() + 2 * rolling.std(ddof=0), rtol=0, atol=1e-5 * scale)


@given(st.lists(prices, max_size=40), st.lists(prices, min_size=1, max_size=30))
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers(first: list[float], rest: list[float]) -> None:
    undisturbed, restored = Bollinger(), Bollinger()
    for close in first:
        undisturbed.update(close)
    restored.load(undisturbed.dump())
    assert [restored.update(close) for close in rest] == [undisturbed.update(close) for close in rest]


def test_the_state_never_grows_beyond_the_window() -> None:
    bollinger = Bollinger()
    for bar in range(1_000):
        bollinger.update(100.0 + bar)
    assert len(bollinger.dump()) == 1 + 20
