from __future__ import annotations

import pytest

from ta_pipeline.histogram import SECONDS
from ta_pipeline.metrics.catalog import job_label
from ta_pipeline.metrics.limits import DENSE_PER_SECOND, seconds_of
from ta_pipeline.metrics.selectors import DEFAULTS
from ta_pipeline.settings import load_settings


def test_with_the_default_settings_finals_are_due_in_thirteen_and_a_half_seconds() -> None:
    assert seconds_of(load_settings(), DENSE_PER_SECOND)["final_latency"] == 13.5
    assert DEFAULTS["final_latency"] == 13.5


def test_buckets_reach_beyond_the_limits_so_that_a_rule_can_fire() -> None:
    for trades in (DENSE_PER_SECOND, None):
        limits = seconds_of(load_settings(), trades)
        assert limits["live_latency"] in SECONDS
        assert sum(edge > limits["final_latency"] for edge in SECONDS) >= 5


@pytest.mark.parametrize(("trades", "quotes", "final"), [(10.0, 0.0, 13.5), (9.9, 0.0, 16.5), (50.0, 2.0, 16.5)])
def test_in_a_thin_market_bars_are_closed_by_the_clock_and_finals_later(
    trades: float, quotes: float, final: float
) -> None:
    assert seconds_of(load_settings(), trades, quotes)["final_latency"] == final


def test_without_heartbeats_there_is_no_limit_for_them() -> None:
    assert "job_heartbeat" not in seconds_of(load_settings())
    assert seconds_of(load_settings(status_topic="ta.status.v1"))["job_heartbeat"] == 30.0


def test_a_jobs_name_is_a_label_as_flinks_reporter_writes_it() -> None:
    assert job_label("torghut-ta") == "torghut_ta"
    assert job_label("torghut-ta.2") == "torghut_ta_2"
