"""What is made of Prometheus' answers: gaps stay gaps, and an empty panel says why it is empty."""

from __future__ import annotations

import math

import pytest

from ta_pipeline.metrics.catalog import metric
from ta_pipeline.metrics.panel import Panel, Query, Threshold
from ta_pipeline.metrics.prometheus import Series, Target
from ta_pipeline.metrics.readings import MOST_BARS, Asked, Line, Reading, largest, line_of, why_empty
from ta_pipeline.metrics.span import Span

SPAN = Span(0.0, 50.0, 10.0)
ASKED = Asked(SPAN, ".*", "torghut_ta")
LAG = Panel("Lag", "seconds", (Query("max(ta_watermark_lag_seconds{})", "lag"),), "d")
SESSION = Panel("Session", "count", (Query("ta_session_open{}", "session"),), "d")
REJECTED = Panel("R", "per second", (Query("rate(flink_taskmanager_job_task_operator_ta_rejected{}[1m])", "r"),), "d")


def points(*times: float) -> Series:
    return Series({"symbol": "NVDA"}, [(at, 1.0) for at in times])


def gaps(line: Line) -> list[float]:
    return [at for at, value in line.points if math.isnan(value)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0.0, 10.0, 20.0, 30.0, 40.0, 50.0), []),
        ((0.0, 10.0, 40.0, 50.0), [20.0]),
        ((0.0, 10.0), [20.0]),
        ((30.0, 40.0, 50.0), []),
    ],
)
def test_no_line_crosses_what_is_missing(times: tuple[float, ...], expected: list[float]) -> None:
    assert gaps(line_of(points(*times), Query("a{}", "a"), SPAN)) == expected


def test_a_line_that_ended_has_no_newest_value() -> None:
    assert math.isnan(line_of(points(0.0, 10.0), Query("a{}", "a"), SPAN).last)
    assert line_of(points(40.0, 50.0), Query("a{}", "a"), SPAN).last == 1.0


def test_what_is_no_number_is_a_gap() -> None:
    line = line_of(Series({}, [(0.0, math.inf), (10.0, 2.0), (20.0, math.nan), (30.0, 1.0)]), Query("a{}", "a"), SPAN)
    assert gaps(line) == [0.0, 20.0, 40.0]
    assert line.most == 2.0


def test_of_the_stalest_those_count_that_are_it_now() -> None:
    was, small, large = (
        Line(name, values) for name, values in
        (("was", ((0.0, 9.0), (10.0, math.nan))), ("small", ((50.0, 1.0),)), ("large", ((50.0, 2.0),)))
    )  # fmt: skip
    assert largest([was, small, large]) == [large, small]
    assert len(largest([small] * 30)) == MOST_BARS


def test_a_legend_names_the_labels() -> None:
    assert line_of(points(0.0), Query("a{}", "stalest: {{symbol}}"), SPAN).name == "stalest: NVDA"


def test_the_lowest_limit_counts_and_limits_are_no_values() -> None:
    panel = Panel("p", "seconds", (), "d", thresholds=(Threshold(5.0, "warning", "w"),))
    limit, value = Line("limit", ((0.0, 3.0),), is_limit=True), Line("a", ((0.0, 1.0),))
    assert Reading(panel, (value, limit)).limit == 3.0
    assert Reading(panel, (value, limit)).values == (value,)
    assert math.isnan(Reading(LAG, (value,)).limit)


def test_a_target_that_is_down_explains_what_is_missing() -> None:
    targets = [
        Target("probe", "http://127.0.0.1:19251/metrics", "connection refused"),
        Target("jobmanager", "http://127.0.0.1:19249/metrics", ""),
    ]
    assert why_empty(LAG, {"up"}, targets, ASKED) == (
        "Prometheus has no ta_watermark_lag_seconds; probe (http://127.0.0.1:19251/metrics) is not scraped: connection "
        "refused"
    )


def test_a_metric_that_comes_with_its_first_event_says_which() -> None:
    assert metric("flink_taskmanager_job_task_operator_ta_rejected").needs == "the first one of its reason"
    assert why_empty(REJECTED, {"up"}, [], ASKED).endswith(
        "ta_rejected: there is none before the first one of its reason"
    )


def test_what_may_be_empty_is_no_fault_unless_what_tells_it_is_down() -> None:
    panel = Panel("Calls", "count", (Query("ta_verdict_bad{}", "a"),), "d", when_none="nobody calls")
    down = Target("probe", "http://probe/metrics", "connection refused")
    for names, targets, is_missing in (({"up"}, [], False), ({"up"}, [down], True), (set(), [], True)):
        reading = Reading(panel, (), why_empty(panel, names, targets, ASKED))
        assert reading.is_missing == is_missing, reading.why_empty


def test_that_no_alert_fired_is_no_fault() -> None:
    panel = Panel("Calls", "count", (Query('ALERTS{alertstate="firing"}', "a"),), "d")
    assert why_empty(panel, {"up"}, [], ASKED) == "Prometheus has no ALERTS: there is none before an alert"


def test_a_metric_that_should_always_be_there_is_asked_after() -> None:
    assert why_empty(SESSION, {"up"}, [], ASKED) == (
        "Prometheus has no ta_session_open: is what exports it scraped, and does it run?"
    )


def test_metrics_of_another_job_are_told_from_missing_ones() -> None:
    why = why_empty(LAG, {"ta_watermark_lag_seconds"}, [], ASKED)
    assert "gave no value for namespace '.*' and job 'torghut_ta'" in why
