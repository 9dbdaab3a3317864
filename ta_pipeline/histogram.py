"""A histogram with few fixed buckets, as Prometheus keeps them; the fine one for percentiles is in `latency`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

SECONDS = (
    0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 11.0, 12.0, 13.0, 14.0,
    15.0, 17.5, 20.0, 25.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0,
)  # fmt: skip
"""Upper edges. 0.3 s is the live promise and 0.5 s where a person is called; finals are due in 13.5 s by default."""


class Histogram:
    """Counts values in seconds; both ends are open."""

    __slots__ = ("_counts", "_sum", "edges")

    def __init__(self, edges: tuple[float, ...] = SECONDS) -> None:
        self.edges = edges
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one value; one below 0, of a clock that is behind, adds nothing to the sum, which must not fall."""
        self._counts[bisect_left(self.edges, seconds)] += 1
        self._sum += max(0.0, seconds)

    @property
    def count(self) -> int:
        """Of all values."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """Of all values."""
        return self._sum

    def cumulative(self) -> Iterator[tuple[str, int]]:
        """`le` and the number of values up to it, the last one `+Inf`."""
        passed = 0
        for edge, number in zip((*self.edges, None), self._counts, strict=True):
            passed += number
            yield "+Inf" if edge is None else f"{edge:g}", passed

    def copy(self) -> Histogram:
        """As it is now."""
        found = Histogram(self.edges)
        found._counts, found._sum = list(self._counts), self._sum
        return found
