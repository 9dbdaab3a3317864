"""What is made from the code is what lies in the repository, and Prometheus' tools take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.kubernetes.manifests import DIRECTORY, render
from ta_pipeline.kubernetes.yaml import read_mapping
from ta_pipeline.metrics.alertmanager import EXPLAINS
from ta_pipeline.metrics.alerts import alerts, files, main
from ta_pipeline.metrics.catalog import METRICS, metric
from ta_pipeline.metrics.page import PAGE, with_tables
from ta_pipeline.metrics.scrape import relabelings
from ta_pipeline.metrics.selectors import Scope
from tests.manifests import of_kind
from tests.promtool import run

PLAIN = DIRECTORY / "prometheus" / "rules.yaml"


@pytest.mark.parametrize("file", files(), ids=lambda file: "/".join(file.parts[-2:]))
def test_a_file_is_what_the_code_gives(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == files()[file], "python -m ta_pipeline.metrics.alerts writes it"


def test_the_page_lists_the_metrics_and_alerts_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_tables(text), "python -m ta_pipeline.metrics.page writes it"
    assert all(f"`{alert.name}`" in text for alert in alerts(Scope()))


def test_promtool_and_amtool_take_them() -> None:
    checked = run("promtool", "check", "rules", PLAIN)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts(Scope()))} rules found" in checked.stdout
    routed = run("amtool", "check-config", DIRECTORY / "prometheus" / "alertmanager.yaml")
    assert routed.returncode == 0, routed.stdout + routed.stderr


def test_rules_of_another_deployment_are_about_it_and_link_to_where_its_people_read(tmp_path: Path) -> None:
    main(["--into", str(tmp_path), "--job", "tape-ta", "--site", "https://docs.example/ta/"])
    checked = run("promtool", "check", "rules", tmp_path / "rules.yaml")
    assert f"{len(alerts(Scope()))} rules found" in checked.stdout, checked.stdout + checked.stderr
    rule = _rules(read_mapping(tmp_path / "rules.yaml"))["TaRestarts"]
    assert 'job_name="tape_ta"' in rule["expr"]
    assert rule["labels"]["deployment"] == "tape-ta"
    assert rule["annotations"]["runbook_url"] == "https://docs.example/ta/alerts.html#tarestarts"
    assert rule["annotations"]["help"] == "docs/alerts.md#tarestarts"


def test_with_a_namespace_they_are_a_custom_resource_of_that_namespace(tmp_path: Path) -> None:
    main(["--into", str(tmp_path), "--job", "tape-ta", "--namespace", "tape"])
    found = read_mapping(tmp_path / "rules.yaml")
    assert (found["kind"], found["metadata"]["name"]) == ("PrometheusRule", "tape-ta")
    assert {rule["labels"]["namespace"] for rule in _rules(found["spec"]).values()} == {"tape"}


def test_the_files_of_the_repository_are_not_written_for_another_deployment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--job", "tape-ta"])
    assert "--into" in capsys.readouterr().err


def test_on_kubernetes_each_rule_looks_at_its_own_namespace_only() -> None:
    plain = _rules(read_mapping(PLAIN))
    scoped = _rules(read_mapping(DIRECTORY / "base" / "rules.yaml")["spec"])
    assert plain.keys() == scoped.keys()
    for name, rule in scoped.items():
        assert rule["labels"]["namespace"] == "torghut"
        without = rule["expr"].replace('{namespace="torghut"}', "").replace('namespace="torghut",', "")
        assert without == plain[name]["expr"]
        assert without != rule["expr"]


def test_production_has_the_rules_and_development_calls_nobody() -> None:
    assert of_kind(render("prod"), "PrometheusRule").keys() == {"torghut-ta"}
    assert of_kind(render("dagster"), "PrometheusRule").keys() == {"torghut-ta"}
    assert of_kind(render("dev"), "PrometheusRule") == {}


def test_on_kubernetes_names_become_labels_as_beside_the_local_stack() -> None:
    spec = of_kind(render("prod"), "PodMonitor")["torghut-ta"]["spec"]
    assert spec["podTargetLabels"] == ["app.kubernetes.io/component"]
    (endpoint,) = spec["podMetricsEndpoints"]
    camel = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    wanted = [{camel.get(key, key): value for key, value in one.items()} for one in relabelings()]
    assert endpoint["metricRelabelings"] == wanted


def test_what_explains_and_what_is_explained_are_alerts() -> None:
    names = {alert.name for alert in alerts(Scope())}
    assert {one for source, targets in EXPLAINS.items() for one in (source, *targets)} <= names
    assert not any(source in targets for source, targets in EXPLAINS.items())


def test_a_probe_that_does_not_read_explains_nothing_about_the_job_itself() -> None:
    assert "TaProbeNotReading" in EXPLAINS["TaKafkaUnreachable"]
    own = {"TaJobNotRunning", "TaRestarts", "TaCheckpointOld", "TaOpenTransaction", "TaBackpressure", "TaNoTrades"}
    assert not own & set(EXPLAINS["TaProbeNotReading"])
    assert {"TaLiveLatency", "TaFinalSilent", "TaGaps"} <= set(EXPLAINS["TaProbeNotReading"])


def test_a_name_is_in_the_catalog_once_and_a_histogram_has_its_three() -> None:
    assert len({one.name for one in METRICS}) == len(METRICS)
    for suffix in ("_bucket", "_sum", "_count"):
        assert metric("ta_event_to_signal_seconds" + suffix).kind == "histogram"
    with pytest.raises(SettingsError, match="there is no metric 'ta_nothing'"):
        Scope().of("ta_nothing")


def test_metrics_of_ours_are_named_as_prometheus_asks_for() -> None:
    for one in METRICS:
        if one.source == "probe":
            assert one.name.startswith("ta_")
            assert one.name.endswith("_total") == (one.kind == "counter")
            assert (one.unit == "s") == one.name.endswith("_seconds")


def _rules(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in content["groups"] for rule in group["rules"]}
