from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.indicators.macd import Macd, MacdValues
from tests.shared_data import numbers, oracle

prices = st.floats(min_value=1e-2, max_value=1e5, allow_nan=False)


def test_the_macd_line_gives_the_published_values_from_the_first_bar_on() -> None:
    table = oracle("ema12_ema26_macdline_first_close.csv")
    macd = Macd()
    got = [macd.update(close) for close in numbers(table["Close"])]
    assert got[0].macd == 0
    assert [values.macd for values in got[1:]] == pytest.approx(numbers(table["macd"][1:]), abs=5e-8)
    assert [values.fast for values in got] == pytest.approx(numbers(table["ema12"]), abs=5e-8)
    assert [values.slow for values in got] == pytest.approx(numbers(table["ema26"]), abs=5e-8)


def test_signal_and_histogram_are_zero_at_the_first_bar() -> None:
    assert Macd().update(50.0) == MacdValues(50.0, 50.0, 0.0, 0.0, 0.0)


@given(st.lists(prices, min_size=1, max_size=200))
def test_incremental_equals_pandas(closes: list[float]) -> None:
    series = pd.Series(closes)
    line = series.ewm(span=12, adjust=False).mean() - series.ewm(span=26, adjust=False).mean()
    signal = line.ewm(span=9, adjust=False).mean()
    macd = Macd()
    got = np.array([macd.update(close) for close in closes])
    tolerance = 1e-12 * max(closes)
    np.testing.assert_allclose(got[:, 2], line, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got[:, 3], signal, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got[:, 4], line - signal, rtol=0, atol=tolerance)


@given(st.lists(prices, min_size=1, max_size=60), st.lists(prices, min_size=1, max_size=20))
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers(first: list[float], rest: list[float]) -> None:
    undisturbed, restored = Macd(), Macd()
    for close in first:
        undisturbed.update(close)
    restored.load(undisturbed.dump())
    assert [restored.update(close) for close in rest] == [undisturbed.update(close) for close in rest]
