from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.latency import COARSE_MS, FINE_MS, MIDDLE_MS, LatencyRecorder, RecentLatency, bucket_edge

PERCENTS = st.integers(0, 100)
WHOLE_MS = st.lists(st.integers(-FINE_MS, FINE_MS), min_size=1, max_size=200)
ANY_MS = st.lists(st.floats(-FINE_MS, COARSE_MS), min_size=1, max_size=200)


def recorded(values: list[float]) -> LatencyRecorder:
    recorder = LatencyRecorder()
    for value in values:
        recorder.add(value)
    return recorder


def width(ms: float) -> float:
    return 1 if ms <= FINE_MS else 10 if ms <= MIDDLE_MS else 1_000


@given(WHOLE_MS, PERCENTS)
def test_a_percentile_of_whole_milliseconds_is_that_of_numpy(values: list[float], percent: int) -> None:
    assert recorded(values).percentile(percent) == np.percentile(values, percent, method="inverted_cdf")


@given(ANY_MS, PERCENTS)
def test_a_percentile_is_at_most_a_bucket_above_that_of_numpy_and_never_below(
    values: list[float], percent: int
) -> None:
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert exact <= recorded(values).percentile(percent) <= exact + width(exact)


@given(ANY_MS)
def test_count_minimum_and_maximum_are_exact(values: list[float]) -> None:
    summary = recorded(values).summary()
    assert (summary.count, summary.min_ms, summary.max_ms) == (len(values), min(values), max(values))


@given(ANY_MS, ANY_MS)
def test_merged_recorders_say_what_one_would_have_said(first: list[float], second: list[float]) -> None:
    merged = recorded(first)
    merged.merge(recorded(second))
    assert merged.summary() == recorded(first + second).summary()


def test_what_took_longer_than_an_hour_is_read_as_the_exact_maximum() -> None:
    recorder = recorded([COARSE_MS + 1.5, COARSE_MS + 7_000_000.25])
    assert recorder.percentile(50) == recorder.percentile(99) == COARSE_MS + 7_000_000.25


def test_a_million_latencies_of_any_size_take_no_more_buckets_than_the_documentation_says() -> None:
    edges = {bucket_edge(ms) for ms in np.linspace(-2 * FINE_MS, 2 * COARSE_MS, 1_000_000)}
    edges |= {bucket_edge(ms) for ms in range(-2 * FINE_MS, MIDDLE_MS)}
    assert len(edges) == 32_502


def test_nothing_recorded_has_no_percentiles() -> None:
    assert LatencyRecorder().summary().to_dict() == {
        "count": 0, "min_ms": None, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None,
    }  # fmt: skip
    with pytest.raises(ValueError, match="nothing was recorded"):
        LatencyRecorder().percentile(50)


@pytest.mark.parametrize("ms", [math.nan, math.inf, -math.inf])
def test_a_latency_that_is_no_number_is_refused(ms: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        LatencyRecorder().add(ms)


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_percentile_outside_0_to_100_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="0 to 100"):
        recorded([1.0]).percentile(percent)


def test_recent_latency_forgets_what_is_older_than_its_window() -> None:
    recent = RecentLatency(window_ms=60_000, parts=6)
    recent.add(900, now_ms=1_000)
    recent.add(40, now_ms=55_000)
    assert recent.summary(now_ms=59_999).max_ms == 900
    assert recent.summary(now_ms=60_000).max_ms == 40
    assert recent.summary(now_ms=120_000).count == 0


def test_a_part_of_the_window_can_be_asked_for() -> None:
    recent = RecentLatency(window_ms=300_000, parts=30)
    recent.add(900, now_ms=1_000)
    recent.add(40, now_ms=100_000)
    assert recent.summary(100_000).max_ms == 900
    assert recent.summary(100_000, within_ms=60_000).max_ms == 40
    assert recent.summary(170_000, within_ms=60_000).count == 0
