"""The panels ask for metrics that there are, in PromQL that Prometheus reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ta_pipeline.metrics.alerts import alerts
from ta_pipeline.metrics.catalog import METRICS, metric
from ta_pipeline.metrics.panel import Panel, Query, filled, names_in
from ta_pipeline.metrics.panels import ROWS, SESSION_OPEN, STARTED_AGAIN
from ta_pipeline.metrics.scope import FIRING
from ta_pipeline.metrics.selectors import DEFAULTS, Scope
from tests.promtool import run

PANELS = [panel for row in ROWS for panel in row.panels]
QUERIES = [query for panel in PANELS for query in panel.queries]
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS = r"[a-zA-Z_][\w]*"


def expressions() -> list[str]:
    every = [query.expr for query in QUERIES] + [SESSION_OPEN, STARTED_AGAIN]
    return [filled(expr, ".*", "torghut_ta", "60s") for expr in every]


def test_an_alert_of_somebody_else_is_none_of_ours(tmp_path: Path) -> None:
    of = 'alertstate="firing",namespace="torghut"'
    firing = [
        f'ALERTS{{{of},alertname="TaRestarts",deployment="torghut-ta"}}', f'ALERTS{{{of},alertname="TargetDown"}}',
    ]  # fmt: skip
    asked = filled(f"count({FIRING})", "torghut", "torghut_ta", "1m")
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": "1x10"} for name in firing],
        "promql_expr_test": [{"expr": asked, "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": 1}]}],
    }
    file = tmp_path / "firing.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "15s", "tests": [test]}), encoding="utf-8")
    found = run("promtool", "test", "rules", file)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_metric_of_a_panel_is_in_the_catalog() -> None:
    named = {name for panel in PANELS for name in panel.names()}
    assert len(named) > 30
    assert {metric(name).name for name in named - OF_PROMETHEUS} <= {one.name for one in METRICS}


def test_every_label_that_a_panel_selects_by_is_one_of_its_metric() -> None:
    of_scrape = {"namespace", "job", "instance"}
    wrong = []
    for query in QUERIES:
        for name, selector in re.findall(rf"({WORDS}){{([^}}]*)}}", query.expr.replace("${deployment}", "X")):
            known = (
                {*of_scrape, "alertname", "alertstate", "deployment"}
                if name in OF_PROMETHEUS
                else {*of_scrape, *metric(name).labels, "le"}
            )
            wrong += [(name, label) for label in re.findall(rf'({WORDS})(?:=~|!=|=)"', selector) if label not in known]
    assert wrong == []


def test_every_expression_selects_its_namespace_and_those_of_a_job_the_job() -> None:
    for query in QUERIES:
        for name, selector in re.findall(rf"({WORDS}){{([^}}]*)}}", query.expr.replace("${deployment}", "DEPLOYMENT")):
            assert 'namespace=~"$namespace"' in selector, query.expr
            has_job = name not in OF_PROMETHEUS and "job_name" in metric(name).labels
            assert has_job == ("$deployment" in selector or "DEPLOYMENT" in selector), query.expr


def test_each_threshold_is_that_of_an_alert_and_each_limit_one_that_the_probe_tells() -> None:
    known = {one.name: one.severity for one in alerts(Scope())}
    named = [one for panel in PANELS for one in panel.thresholds if one.name != "an alert"]
    assert {one.name: one.severity for one in named}.items() <= known.items()
    limits = {found for query in QUERIES for found in re.findall(r'limit="(\w+)"', query.expr)}
    assert limits
    assert limits <= set(DEFAULTS)


def test_what_a_legend_names_is_a_label_that_the_expression_leaves() -> None:
    for query in QUERIES:
        for label in re.findall(r"{{(\w+)}}", query.legend):
            assert re.search(rf"by \([^)]*\b{label}\b|label_replace\(.*\"{label}\"", query.expr), query


def test_the_metrics_of_an_expression_are_found() -> None:
    assert list(names_in('max(a_b{x="1"}) / sum by (le) (rate(c:d_total{}[5m]))')) == ["a_b", "c:d_total"]


def test_variables_are_filled_in_with_and_without_braces() -> None:
    expr = 'rate(a{namespace=~"$namespace",b="$deployment",c="${deployment}_table"}[$__rate_interval])'
    assert filled(expr, ".*", "job", "1m") == 'rate(a{namespace=~".*",b="job",c="job_table"}[1m])'


def test_nothing_is_left_to_be_filled_in() -> None:
    assert [expr for expr in expressions() if re.search(r"\$(?!1\b)", expr)] == []


def test_a_panel_of_states_says_what_each_value_is_and_others_have_a_unit() -> None:
    assert [panel.title for panel in PANELS if (panel.unit == "state") != bool(panel.states)] == []


def test_a_person_at_the_open_finds_each_question_answered() -> None:
    asked = {name for panel in PANELS for name in panel.names()}
    operator = "flink_taskmanager_job_task_operator_"
    assert asked >= {
        "ta_event_to_signal_seconds_bucket", "ta_watermark_lag_seconds", "ta_symbol_staleness_seconds",
        "flink_jobmanager_job_lastCheckpointCompletedTimestamp", "flink_jobmanager_job_lastCheckpointDuration",
        "flink_jobmanager_job_numberOfFailedCheckpoints", "flink_jobmanager_job_numRestarts",
        "flink_taskmanager_job_task_backPressuredTimeMsPerSecond", "flink_taskmanager_job_task_busyTimeMsPerSecond",
        f"{operator}ta_rejected", f"{operator}ta_late", f"{operator}failedCommittables", f"{operator}breaker_state",
        f"{operator}ta_accepted", "ta_probe_records_total", "ta_probe_duplicates_total", "ta_table_backlog_records",
        "ta_open_transaction_age_seconds", "ta_probe_heartbeat_timestamp_seconds",
        "ta_dagster_heartbeat_timestamp_seconds", "ta_session_open",
    }  # fmt: skip


def test_promtool_reads_every_expression_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    assert refused(expressions(), tmp_path) == ""
    assert "unclosed left parenthesis" in refused(['max(up{job="a"}'], tmp_path)


def refused(expressions: list[str], folder: Path) -> str:
    """What promtool says of expressions, as those of recording rules; empty: nothing."""
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = run("promtool", "check", "rules", file)
    return done.stderr if done.returncode else ""


def test_the_names_of_a_panel_are_those_of_all_its_queries() -> None:
    panel = Panel("t", "count", (Query("a{}", "a"), Query("max(b{})", "b", is_limit=True)), "d")
    assert panel.names() == {"a", "b"}
