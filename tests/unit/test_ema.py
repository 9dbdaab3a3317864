from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.errors import StateVersionError
from ta_pipeline.indicators.ema import Ema
from tests.shared_data import numbers, oracle

prices = st.floats(min_value=1e-4, max_value=1e6, allow_nan=False)


def test_ema5_gives_the_published_values_seeded_with_the_first_close() -> None:
    table = oracle("ema5_first_close_tulip.csv")
    ema = Ema(5)
    got = [ema.update(close) for close in numbers(table["close"])]
    assert got == pytest.approx(numbers(table["ema5_first_close"]), abs=5.1e-4)


@pytest.mark.parametrize("length", [12, 26])
def test_ema12_and_ema26_give_the_published_values(length: int) -> None:
    table = oracle("ema12_ema26_macdline_first_close.csv")
    ema = Ema(length)
    got = [ema.update(close) for close in numbers(table["Close"])]
    assert got == pytest.approx(numbers(table[f"ema{length}"]), abs=5e-8)


def test_the_first_value_is_the_first_close() -> None:
    assert Ema(12).update(101.25) == 101.25


def test_a_constant_price_is_its_own_average() -> None:
    ema = Ema(12)
    assert {ema.update(0.1) for _ in range(500)} == {0.1}


@given(st.lists(prices, min_size=1, max_size=200), st.sampled_from([5, 12, 26]))
def test_incremental_equals_pandas_ewm_without_adjustment(closes: list[float], length: int) -> None:
    ema = Ema(length)
    expected = pd.Series(closes).ewm(span=length, adjust=False).mean()
    np.testing.assert_allclose([ema.update(close) for close in closes], expected, rtol=1e-12)


@given(st.lists(prices, min_size=1, max_size=60), prices)
def test_a_preview_is_the_next_update_and_changes_nothing(closes: list[float], last: float) -> None:
    ema = Ema(12)
    for close in closes:
        ema.update(close)
    before = ema.dump()
    previewed = ema.preview(last)
    assert ema.dump() == before
    assert ema.update(last) == previewed


def test_a_state_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(StateVersionError, match="EMA has version 7; this code reads version 1"):
        Ema(12).load([7.0, 1.0])


@pytest.mark.parametrize("state", [[], [1.0], [1.0, 2.0, 3.0]])
def test_a_state_of_impossible_length_is_refused(state: list[float]) -> None:
    with pytest.raises(StateVersionError, match="EMA"):
        Ema(12).load(state)
