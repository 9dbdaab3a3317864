"""The file for Grafana is what the code gives, and what Grafana and its sidecar expect."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from ta_pipeline.kubernetes.kustomize import build
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics.catalog import METRICS, metric
from ta_pipeline.metrics.dashboard import FILE, text
from ta_pipeline.metrics.panels import ROWS

DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def test_the_file_is_what_the_code_gives() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "write it anew: python -m ta_pipeline.metrics.dashboard"


def test_every_metric_that_is_named_anywhere_in_it_is_in_the_catalog() -> None:
    named = set(re.findall(r"\b(?:ta|flink)_\w+", FILE.read_text(encoding="utf-8")))
    assert len(named) > 30
    assert {metric(name).name for name in named - {"torghut_ta"}} <= {one.name for one in METRICS}


def test_the_library_of_grafana_reads_it_back() -> None:
    read = Dashboard.from_json(DASHBOARD)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == DASHBOARD


def test_every_panel_is_there_in_its_row_with_what_it_asks() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert titles == [title for row in ROWS for title in (row.title, *(panel.title for panel in row.panels))]
    asked = [[target["expr"] for target in panel["targets"]] for panel in PANELS]
    assert asked == [[query.expr for query in panel.queries] for row in ROWS for panel in row.panels]


def test_panels_have_a_number_each_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [(a, b) for a, b in combinations(places, 2) if overlap(a, b)]


def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    sides = ((a["x"], a["w"], b["x"], b["w"]), (a["y"], a["h"], b["y"], b["h"]))
    return all(a_from < b_from + b_size and b_from < a_from + a_size for a_from, a_size, b_from, b_size in sides)


def test_every_panel_asks_the_data_source_that_is_chosen_and_says_what_it_means() -> None:
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    assert [panel["title"] for panel in PANELS if not panel["description"]] == []


def test_data_source_namespace_and_deployment_are_chosen_above() -> None:
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "deployment"]
    assert variables["namespace"]["allValue"] == ".*"
    assert "$namespace" in variables["deployment"]["query"]["query"]


def test_a_limit_is_a_dashed_red_line_and_colours_the_figure_that_is_above_it() -> None:
    lines, figure = (
        next(panel for panel in PANELS if (panel["title"], panel["type"]) == wanted)
        for wanted in (("Watermark lag", "timeseries"), ("Watermark lag", "stat"))
    )
    (override,) = lines["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byName", "options": "limit"}
    assert {one["id"] for one in override["properties"]} == {"color", "custom.lineStyle"}
    (transformation,) = figure["transformations"]
    assert transformation["id"] == "configFromData"
    assert transformation["options"]["configRefId"] == figure["targets"][1]["refId"]


def test_the_sidecar_of_grafana_finds_it_by_its_label() -> None:
    (one,) = build(REPOSITORY / "k8s" / "grafana")
    assert one["kind"] == "ConfigMap"
    assert one["metadata"]["name"] == "torghut-ta-dashboard"
    assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert one["data"] == {"torghut-ta.json": FILE.read_text(encoding="utf-8")}
