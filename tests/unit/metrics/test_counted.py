"""What happens seldom is seen: however far apart the points are, and also where it is a counter's first event."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ta_pipeline.metrics.panel import Query
from ta_pipeline.metrics.panels import ROWS, STARTED_AGAIN
from ta_pipeline.metrics.readings import Asked
from ta_pipeline.metrics.span import span_until
from tests.promtool import run

DAY = 86_400
JOB = 'job_name="torghut_ta",job="tm",instance="a"'
OPERATOR = "flink_taskmanager_job_task_operator_"
FAILED = f'{OPERATOR}failedCommittables{{{JOB},operator_name="Sink"}}'
REJECTED = f'{OPERATOR}ta_rejected{{{JOB},reason="late"}}'
LATE = f"{OPERATOR}ta_late{{{JOB}}}"
INSERTS = f'{OPERATOR}breaker_failedInserts{{job_name="torghut_ta_table",operator_name="bars_sink:_Writer"}}'
UNREADABLE = 'ta_probe_undecodable_total{reason="magic",job="tm",instance="a"}'
RESTARTS = f"flink_jobmanager_job_numRestarts{{{JOB}}}"
UP = 'up{job="tm",instance="a"}'
UNTIL = "60m"
"""Steps of 15 s: 240 of them."""


def asked(title: str, legend: str) -> Query:
    return next(
        query
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        if panel.title.startswith(title) and query.legend == legend
    )


def value(expr: str, series: dict[str, str], folder: Path, *, since: float = 900.0, at: str = UNTIL) -> float | None:
    """The value of an expression, to the next whole number; None: there is none.

    Args:
        expr: with Grafana's variables.
        series: their values every 15 s, as promtool writes them.
        folder: for the files.
        since: the span of the report that asks.
        at: when it asks.
    """
    expr = Asked(span_until(0.0, since), ".*", "torghut_ta").filled(expr)
    for number in range(-1, 20):
        expected = [] if number < 0 else [{"labels": "{}", "value": number}]
        asking = {"expr": f"round(sum({expr}))", "eval_time": at, "exp_samples": expected}
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        tests = [{"interval": "15s", "input_series": inputs, "promql_expr_test": [asking]}]
        (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": tests}), encoding="utf-8")
        if run("promtool", "test", "rules", folder / "test.yaml").returncode == 0:
            return None if number < 0 else number
    raise AssertionError(f"neither nothing nor a number below 20: {expr}")


@pytest.mark.parametrize(
    ("title", "legend", "series"),
    [
        ("Commits that failed", "failed", FAILED),
        ("Restarts in", "job", RESTARTS),
        ("Inserts that failed", "{{table}}", INSERTS),
        ("Checkpoints that failed", "job", f"flink_jobmanager_job_numberOfFailedCheckpoints{{{JOB}}}"),
    ],
)
def test_an_event_is_in_one_point_however_far_apart_they_are(
    title: str, legend: str, series: str, tmp_path: Path
) -> None:
    expr = asked(title, legend).expr
    for days, values in ((2, "0x197 2x60"), (10, "0x100 2x160")):
        assert value(expr, {series: values, UP: "1x240"}, tmp_path, since=days * DAY) == 2
        assert value(expr, {series: "2x240", UP: "1x240"}, tmp_path, since=days * DAY) == 0


def test_a_count_of_a_long_time_is_no_more_than_that_of_its_worst_minutes(tmp_path: Path) -> None:
    assert ":150s]" in Asked(span_until(0.0, 31 * DAY), ".*", "job").filled(asked("Restarts in", "job").expr)
    restarts = {RESTARTS: "0x60 1x60 2x60 3x60"}
    assert value(asked("Restarts in", "job").expr, restarts, tmp_path, since=10 * DAY) == 1


def test_a_restart_is_marked_however_far_apart_the_points_are(tmp_path: Path) -> None:
    assert value(STARTED_AGAIN, {RESTARTS: "0x215 3x30"}, tmp_path, since=2 * DAY) == 3


FIRST = [
    ("Commits that failed", "failed", FAILED),
    ("Rejected", "{{reason}}", REJECTED),
    ("Late", "behind the watermark", LATE),
    ("Duplicates and gaps", "cannot be read", UNREADABLE),
]


@pytest.mark.parametrize(("title", "legend", "series"), FIRST)
def test_a_counter_that_begins_with_its_first_events_counts_them(
    title: str, legend: str, series: str, tmp_path: Path
) -> None:
    expr = asked(title, legend).expr
    begins = {series: "_x230 3x20", UP: "1x240"}
    assert value(expr, begins, tmp_path) == 3
    assert value(expr, {series: "_x230 3x4 5x20", UP: "1x240"}, tmp_path) == 5
    assert value(expr, {series: "_x200 3x60", UP: "1x240"}, tmp_path) == 0, "it is old"
    assert value(expr, {series: "_x200 3x4 stale _x60", UP: "1x240"}, tmp_path, since=4 * DAY) == 3, "and was over"


@pytest.mark.parametrize(("title", "legend", "series"), FIRST)
def test_that_of_a_process_which_has_just_been_started_counts_too(
    title: str, legend: str, series: str, tmp_path: Path
) -> None:
    of_it = {series: "_x230 3x20", UP: "_x225 1x20", 'up{job="tm",instance="b"}': "1x240"}
    assert value(asked(title, legend).expr, of_it, tmp_path) == 3


@pytest.mark.parametrize(("title", "legend", "series"), FIRST[1:])
def test_what_may_be_old_does_not_count_as_new(title: str, legend: str, series: str, tmp_path: Path) -> None:
    expr = asked(title, legend).expr
    assert value(expr, {series: "_x230 7x20", UP: "_x230 1x20"}, tmp_path) == 0, "Prometheus is new"
    away = {series: "7x215 stale _x9 7x20", UP: "1x215 0x10 1x20"}
    assert value(expr, away, tmp_path) == 0, "its endpoint was away"
