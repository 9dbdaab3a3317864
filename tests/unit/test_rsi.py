from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.indicators.rsi import Rsi
from tests.shared_data import numbers, oracle

prices = st.floats(min_value=1e-2, max_value=1e5, allow_nan=False)


def wilder(closes: list[float], length: int) -> list[float | None]:
    """RSI by the book, as a batch: the whole series at hand."""
    changes = np.diff(np.array(closes))
    gains, losses = np.clip(changes, 0, None), np.clip(-changes, 0, None)
    result: list[float | None] = [None] * min(length, len(closes))
    if len(changes) < length:
        return result
    gain, loss = gains[:length].mean(), losses[:length].mean()
    for at in range(length, len(closes)):
        if at > length:
            gain = (gain * (length - 1) + gains[at - 1]) / length
            loss = (loss * (length - 1) + losses[at - 1]) / length
        if loss == 0:
            result.append(100.0 if gain > 0 else 50.0)
        else:
            result.append(float(100 - 100 / (1 + gain / loss)))
    return result


def test_rsi14_gives_the_published_values_of_wilders_seed() -> None:
    table = oracle("rsi14_wilder_stockcharts.csv")
    rsi = Rsi(14)
    got = [rsi.update(close) for close in numbers(table["Close"])]
    assert got[:14] == [None] * 14
    assert got[14:] == pytest.approx(numbers(table["rsi14_wilder"][14:]), abs=5e-8)


def test_rsi14_is_not_the_one_seeded_with_zero() -> None:
    table = oracle("rsi14_wilder_stockcharts.csv")
    rsi = Rsi(14)
    got = [rsi.update(close) for close in numbers(table["Close"])][14:]
    other = numbers(table["NOT_wilder_zero_seeded_rsi"][14:])
    assert min(abs(ours - theirs) for ours, theirs in zip(numbers(got), other, strict=True)) > 0.5


def test_rsi5_gives_the_values_of_achelis() -> None:
    table = oracle("rsi5_wilder_AtoZ.csv")
    rsi = Rsi(5)
    got = [rsi.update(close) for close in numbers(table["close"])]
    assert got[:5] == [None] * 5
    assert got[5:] == pytest.approx(numbers(table["rsi5_wilder"][5:]), abs=5.1e-5)


@pytest.mark.parametrize(("step", "expected"), [(1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)])
def test_only_gains_give_100_only_losses_0_and_no_change_at_all_50(step: float, expected: float) -> None:
    rsi = Rsi()
    got = [rsi.update(1_000 + step * bar) for bar in range(40)]
    assert got == [None] * 14 + [expected] * 26


@given(st.lists(prices, min_size=1, max_size=120), st.sampled_from([2, 5, 14]))
def test_incremental_equals_wilder_computed_as_a_batch(closes: list[float], length: int) -> None:
    rsi = Rsi(length)
    got = [rsi.update(close) for close in closes]
    expected = wilder(closes, length)
    assert [value is None for value in got] == [value is None for value in expected]
    assert [v for v in got if v is not None] == pytest.approx([v for v in expected if v is not None], abs=1e-7)


@given(st.lists(prices, max_size=40), st.lists(prices, min_size=1, max_size=40))
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers(first: list[float], rest: list[float]) -> None:
    undisturbed, restored = Rsi(), Rsi()
    for close in first:
        undisturbed.update(close)
    restored.load(undisturbed.dump())
    assert [restored.update(close) for close in rest] == [undisturbed.update(close) for close in rest]


@given(st.lists(prices, max_size=40), prices)
def test_a_preview_is_the_next_update_and_changes_nothing(closes: list[float], last: float) -> None:
    rsi = Rsi()
    for close in closes:
        rsi.update(close)
    before = rsi.dump().tobytes()
    previewed = rsi.preview(last)
    assert rsi.dump().tobytes() == before
    assert rsi.update(last) == previewed
