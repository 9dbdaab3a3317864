from __future__ import annotations

import pytest

from ta_pipeline.indicators.rsi import Rsi

LARGEST = 1.7976931348623157e308


def test_an_absurd_price_does_not_break_the_rsi_for_ever() -> None:
    absurd, calm = Rsi(), Rsi()
    for bar in range(20):
        absurd.update(10.0 + bar % 2)
    assert absurd.update(LARGEST) == pytest.approx(100.0)
    assert absurd.update(10.0) == pytest.approx(100 * 13 / 27)  # gain and loss are alike, the gain is one bar older
    for bar in range(14 * 800):  # (13 / 14) to the 11,200: what was absurd has faded
        got, expected = absurd.update(10.0 + bar % 2), calm.update(10.0 + bar % 2)
    assert got == pytest.approx(expected)


@pytest.mark.parametrize(
    "closes",
    [
        [1.0] * 15 + [LARGEST, 1.0] * 9,
        [1.0, 2.0, 4.0, 3.0, 5.0] * 3 + [LARGEST, LARGEST / 2, LARGEST],
    ],
)
def test_the_rsi_does_not_depend_on_the_unit_of_the_prices_near_the_largest_double_either(closes: list[float]) -> None:
    rsi, in_another_unit = Rsi(), Rsi()
    for close in closes:
        expected = in_another_unit.update(close / 2**20)
        assert rsi.preview(close) == pytest.approx(expected)
        assert rsi.update(close) == pytest.approx(expected)


def test_changes_whose_sum_is_too_large_for_a_double_still_give_an_rsi() -> None:
    rsi = Rsi()
    values = [rsi.update(close) for close in [1.0, 1.0, *[LARGEST, 1.0] * 6, LARGEST, *[LARGEST] * 60]]
    assert all(value is not None and 0 <= value <= 100 for value in values[14:])
    assert values[:14] == [None] * 14
