"""Mean and population standard deviation of a short window, without cancellation.

Two passes over the values (first the mean, then the squared distances from it) instead of the textbook
sum(x^2) - n * mean^2, which loses every digit for prices around 1e9 that differ by cents: Chan, Golub & LeVeque,
"Algorithms for Computing the Sample Variance" (The American Statistician 37, 1983). Prices are first shifted by one
of them, so that equal prices give exactly 0; returns need no shift. `fsum` makes the sums independent of order and of
Python's version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul


def deviation(values: Sequence[float]) -> float:
    """Population standard deviation (divisor n) of at least one value whose mean is not large beside it."""
    size = len(values)
    mean = math.fsum(values) / size
    distances = [value - mean for value in values]
    return math.sqrt(math.fsum(map(mul, distances, distances)) / size)


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation (divisor n) of at least one value; infinite beyond a double's range."""
    size = len(values)
    shift = values[-1]
    shifted = [value - shift for value in values]
    try:
        mean = math.fsum(shifted) / size
        distances = [value - mean for value in shifted]
        return shift + mean, math.sqrt(math.fsum(map(mul, distances, distances)) / size)
    except OverflowError:
        return math.inf, math.inf
