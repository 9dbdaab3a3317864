"""Mean and population standard deviation of a short window, without cancellation.

Two passes over the values (first the mean, then the squared distances from it) instead of the textbook
sum(x^2) - n * mean^2, which loses every digit for prices around 1e9 that differ by cents: Chan, Golub & LeVeque,
"Algorithms for Computing the Sample Variance" (The American Statistician 37, 1983). Prices are first shifted by one
of them, so that equal prices give exactly 0; returns need no shift. `math.fsum` is exact up to its last rounding, and
`math.dist`, the root of the summed squares of distances, is within one ulp of it since Python 3.10. A plain `sum` would
do for the mean of returns, but for its last digits: since Python 3.12 it compensates for rounding, before it did not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def deviation(values: Sequence[float]) -> float:
    """Population standard deviation (divisor n) of at least one value whose mean is not large beside it."""
    size = len(values)
    distance = math.dist(values, [math.fsum(values) / size] * size)
    return math.sqrt(distance * distance / size)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation (divisor n) of at least one value; infinite beyond a double's range."""
    size, shift = len(values), values[-1]
    shifted = [value - shift for value in values]
    try:
        mean = math.fsum(shifted) / size
    except OverflowError:
        return math.inf, math.inf
    distance = math.dist(shifted, [mean] * size)
    return shift + mean, math.sqrt(distance * distance / size)
