from __future__ import annotations

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.metrics.span import POINTS, Span, seconds_of, span_until


@pytest.mark.parametrize(("since", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("1.5d", 129_600)])
def test_a_time_is_a_number_and_its_unit(since: str, seconds: float) -> None:
    assert seconds_of(since) == seconds


@pytest.mark.parametrize("since", ["", "15", "m", "-5m", "15 minutes", "10s", "32d"])
def test_another_one_is_refused_with_what_is_allowed(since: str) -> None:
    with pytest.raises(SettingsError, match=r"--since .* like 90s, 15m, 2h or 1d, between a minute and 31 days"):
        seconds_of(since)


def test_two_reports_of_the_same_time_have_the_same_points() -> None:
    assert span_until(1_003.2, 900) == span_until(1_001.9, 900) == Span(100.0, 1_000.0, 5.0)


def test_a_long_time_has_no_more_points_than_a_picture_has_place_for() -> None:
    span = span_until(1_700_000_000, 86_400)
    assert (span.end - span.start) / span.step <= POINTS


@pytest.mark.parametrize(("step", "seconds"), [(5.0, 30), (600.0, 30), (2_016.0, 100), (8_928.0, 150)])
def test_of_a_long_time_counts_are_further_apart_but_each_event_is_in_two(step: float, seconds: int) -> None:
    assert Span(0.0, 1_000.0, step).count_seconds == seconds


@pytest.mark.parametrize(("step", "interval"), [(5.0, "60s"), (45.0, "60s"), (288.0, "303s")])
def test_a_rate_looks_back_over_a_whole_step_and_four_scrapes(step: float, interval: str) -> None:
    assert Span(0.0, 1_000.0, step).rate_interval == interval
