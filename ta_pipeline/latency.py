"""Latency percentiles in bounded memory: a histogram with fixed buckets, fine where latency should be.

    up to 10 s       1 ms buckets
    up to 100 s     10 ms
    up to 1 h        1 s
    above           one bucket, read as the exact maximum

A percentile is the nearest rank (the smallest value that at least p % of the values do not exceed; numpy's
`inverted_cdf`), read as the upper edge of its bucket and never above the exact maximum. So it is exact for whole
milliseconds up to 10 s, and otherwise too high by less than one bucket; it never flatters. Values below 0 (the clock
of the reader is behind that of the events) lie in buckets of 1 ms down to -10 s, and below that in one bucket, read
as -10 s.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

FINE_MS, MIDDLE_MS, COARSE_MS = 10_000, 100_000, 3_600_000
_MIDDLE_STEP, _COARSE_STEP = 10, 1_000


@dataclass(frozen=True)
class LatencySummary:
    """Percentiles in milliseconds; None while nothing was recorded."""

    count: int
    min_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Name to value, as for JSON."""
        return asdict(self)


class LatencyRecorder:
    """Counts latencies in buckets; at most 32,502 of them exist, and only those that were hit take memory."""

    __slots__ = ("_buckets", "count", "max_ms", "min_ms")

    def __init__(self) -> None:
        self._buckets: dict[float, int] = {}
        self.count = 0
        self.min_ms = math.inf
        self.max_ms = -math.inf

    def add(self, ms: float) -> None:
        """Record one latency in milliseconds.

        Raises:
            ValueError: it is not a finite number.
        """
        edge = bucket_edge(ms)
        self._buckets[edge] = self._buckets.get(edge, 0) + 1
        self.count += 1
        self.min_ms = min(self.min_ms, ms)
        self.max_ms = max(self.max_ms, ms)

    def merge(self, other: LatencyRecorder) -> None:
        """Take in all that `other` has recorded."""
        for edge, number in other._buckets.items():
            self._buckets[edge] = self._buckets.get(edge, 0) + number
        self.count += other.count
        self.min_ms = min(self.min_ms, other.min_ms)
        self.max_ms = max(self.max_ms, other.max_ms)

    def percentile(self, percent: float) -> float:
        """The nearest-rank percentile in milliseconds; less than one bucket above the exact one.

        Raises:
            ValueError: nothing was recorded, or `percent` is outside 0 to 100.
        """
        return self._percentiles((percent,))[0]

    def summary(self) -> LatencySummary:
        """Count, extremes and the usual percentiles."""
        if not self.count:
            return LatencySummary(0, None, None, None, None, None)
        p50, p95, p99 = self._percentiles((50, 95, 99))
        return LatencySummary(self.count, self.min_ms, p50, p95, p99, self.max_ms)

    def _percentiles(self, ascending: tuple[float, ...]) -> list[float]:
        if not self.count:
            raise ValueError("no percentile: nothing was recorded")
        if not all(0 <= percent <= 100 for percent in ascending):
            raise ValueError(f"percentiles are {ascending}; allowed is 0 to 100")
        found: list[float] = []
        passed = 0
        edges = iter(sorted(self._buckets))
        edge = -math.inf
        for percent in ascending:
            rank = max(1, math.ceil(percent * self.count / 100))
            while passed < rank:
                edge = next(edges)
                passed += self._buckets[edge]
            found.append(min(edge, self.max_ms))
        return found


class RecentLatency:
    """Percentiles of about the last minute: the window moves in steps of `window_ms / parts`."""

    def __init__(self, window_ms: int = 60_000, parts: int = 6) -> None:
        self._step_ms = window_ms // parts
        self._parts = parts
        self._recorders: dict[int, LatencyRecorder] = {}

    def add(self, ms: float, now_ms: int) -> None:
        """Record one latency at the time `now_ms` of any clock that does not go back."""
        step = now_ms // self._step_ms
        recorder = self._recorders.get(step)
        if recorder is None:
            self._forget(step)
            recorder = self._recorders[step] = LatencyRecorder()
        recorder.add(ms)

    def summary(self, now_ms: int, within_ms: int | None = None) -> LatencySummary:
        """What was recorded in the window that ends now; `within_ms` looks at its newest part only."""
        step = now_ms // self._step_ms
        self._forget(step)
        parts = self._parts if within_ms is None else within_ms // self._step_ms
        merged = LatencyRecorder()
        for recorded_in, recorder in self._recorders.items():
            if recorded_in > step - parts:
                merged.merge(recorder)
        return merged.summary()

    def _forget(self, step: int) -> None:
        for old in [other for other in self._recorders if other <= step - self._parts]:
            del self._recorders[old]


def bucket_edge(ms: float) -> float:
    """The upper edge of the bucket that holds `ms`; infinity above an hour.

    Raises:
        ValueError: it is not a finite number.
    """
    if not math.isfinite(ms):
        raise ValueError(f"a latency is a finite number of milliseconds, got {ms}")
    if ms <= FINE_MS:
        return max(-FINE_MS, math.ceil(ms))
    if ms <= MIDDLE_MS:
        return math.ceil(ms / _MIDDLE_STEP) * _MIDDLE_STEP
    if ms <= COARSE_MS:
        return math.ceil(ms / _COARSE_STEP) * _COARSE_STEP
    return math.inf
