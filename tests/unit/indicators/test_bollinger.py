from __future__ import annotations

import math
import statistics
from fractions import Fraction

import pytest

from ta_pipeline.indicators.bollinger import Bands, Bollinger
from ta_pipeline.indicators.deviation import mean_and_deviation

LARGEST = 1.7976931348623157e308
NONE = Bands(None, None, None)


@pytest.mark.parametrize(
    "closes",
    [
        [LARGEST] * 10 + [1e-300] * 10,  # their sum is too large
        [1e-300] * 19 + [1e300],  # the squared distances are
        [1e308, 1e-8] * 10,
        [LARGEST, LARGEST / 2] * 10,
    ],
)
def test_bands_too_large_for_a_double_are_none_until_the_prices_have_left(closes: list[float]) -> None:
    bollinger = Bollinger()
    assert [bollinger.update(close) for close in closes][-1] == NONE
    assert bollinger.preview(10.0) == NONE
    assert [bollinger.update(10.0) for _ in range(20)][-1] == Bands(10.0, 10.0, 10.0)


@pytest.mark.parametrize("closes", [[1e308, 1e-8] * 10, [1e200, 1e-8] * 10, [LARGEST] * 19 + [1.0]])
def test_mean_and_deviation_beyond_a_double_are_infinite_rather_than_an_exception(closes: list[float]) -> None:
    assert math.isinf(mean_and_deviation(closes)[1])


def test_equal_prices_near_the_largest_double_have_bands() -> None:
    bollinger = Bollinger()
    assert [bollinger.update(LARGEST) for _ in range(20)][-1] == Bands(LARGEST, LARGEST, LARGEST)


@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e9, 1e140])
def test_the_deviation_of_close_and_of_distant_values_is_exact_to_the_last_digits(unit: float) -> None:
    for values in ([1.0, 2.0, 4.0] * 7, [1.0 + 1e-12 * number for number in range(20)], [1.0] * 19 + [1e3]):
        scaled = [unit * value for value in values]
        exact = Fraction(statistics.pvariance([Fraction(value) / Fraction(unit) for value in scaled]))
        assert mean_and_deviation(scaled)[1] == pytest.approx(math.sqrt(exact) * unit, rel=1e-12)
