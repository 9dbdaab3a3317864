from __future__ import annotations

import itertools
import math
import random
from collections import deque

import pytest

from ta_pipeline.indicators.realized_vol import RealizedVol, RealizedVolBars

LARGEST = 1.7976931348623157e308
SMALLEST = 5e-324


@pytest.mark.parametrize(("low", "high"), [(SMALLEST, LARGEST), (1e-300, 1e300), (1e-8, 1e301)])
def test_prices_further_apart_than_a_double_reaches_have_log_returns_all_the_same(low: float, high: float) -> None:
    by_time, by_bars = RealizedVol(60_000), RealizedVolBars()
    for second, close in enumerate((low, high, low)):
        assert by_bars.preview(close) == by_time.preview(second * 1_000, close)
        of_time, of_bars = by_time.update(second * 1_000, close), by_bars.update(close)
    # there and back again: the returns are +r and -r, their deviation is r
    assert of_time == of_bars == pytest.approx(math.log(high) - math.log(low), rel=1e-12)


def test_a_hundred_thousand_bars_do_not_drift_from_exact_sums_of_the_window() -> None:
    vol, chance = RealizedVol(60_000), random.Random(1)
    closes, close = deque[float](maxlen=60), 100.0
    for second in range(100_000):
        close *= math.exp(chance.gauss(1e-5, 1e-4 if second % 1_000 else 1.0))
        closes.append(close)
        got = vol.update(second * 1_000, close)
        if second % 50 == 49 and len(closes) == 60:
            returns = [math.log(after / before) for before, after in itertools.pairwise(closes)]
            mean = math.fsum(returns) / len(returns)
            exact = math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / len(returns))
            assert got == pytest.approx(exact, rel=1e-12)
