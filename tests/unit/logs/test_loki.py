"""The samples for Alloy and the page name the fields of the table, each in its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.logs.fields import FIELDS, NAMES, Place
from tests.manifests import environment_of, pods_of

SAMPLES = sorted((REPOSITORY / "k8s" / "loki").glob("*.alloy"))
OF_THE_POD = {"pod"}
"""What Kubernetes knows of a line, and nobody has to log."""


def stage(path: Path, name: str) -> dict[str, str]:
    """The map of a stage: what it sets, and from which field."""
    (body,) = re.findall(rf"stage\.{name} {{\s*\w+ = {{(.*?)}}", path.read_text(encoding="utf-8"), re.S)
    return dict(re.findall(r'(\w+)\s*=\s*"(\w+)"', body))


def placed(*places: Place) -> set[str]:
    return {field.name for field in FIELDS if field.in_loki in places}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_parses_and_keeps_the_fields_of_the_table_by_their_names(path: Path) -> None:
    parsed, labels, metadata = (stage(path, name) for name in ("json", "labels", "structured_metadata"))
    for found in (parsed, labels, metadata):
        assert {name: source for name, source in found.items() if name != source} == {}
    assert set(labels) == placed("label")
    assert set(metadata) - OF_THE_POD == placed("metadata")
    assert set(parsed) == placed("label", "metadata") | {"time"}
    assert re.search(r'stage\.timestamp {\s*source = "time"\s*format = "RFC3339Nano"', path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_whole(path: Path) -> None:
    text = re.sub(r'//[^\n]*|"(?:\\.|[^"\\])*"', "", path.read_text(encoding="utf-8"))
    assert [text.count(sign) for sign in "{[("] == [text.count(sign) for sign in "}])"]
    named = set(re.findall(r"forward_to = \[([\w.]+)\.receiver\]", text))
    there = {f"{kind}.{label}" for kind, label in re.findall(r'^([\w.]+) "(\w+)" {', path.read_text(), re.M)}
    assert named <= there
    assert len(there) >= 4


def test_the_sample_reads_every_pod_of_the_deployment() -> None:
    text = (REPOSITORY / "k8s" / "loki" / "alloy.alloy").read_text(encoding="utf-8")
    (key, value) = re.findall(r'label = "([^"=]+)=([^"]+)"', text)[0]
    assert {pods.labels.get(key) for pods in pods_of(render("dagster"))} == {value}
    assert 'names = ["torghut"]' in text


def test_every_process_of_dagster_says_whose_its_lines_are() -> None:
    found = {
        pods.component: environment_of(container).get("TA_LOG_COMPONENT", {}).get("value")
        for pods in pods_of(render("dagster"))
        for container in pods.containers()
        if pods.component.startswith("dagster-")
    }
    assert found == {name: name for name in ("dagster-code", "dagster-daemon", "dagster-webserver")}
    declared = (REPOSITORY / "k8s" / "overlays" / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    (path,) = set(re.findall(r"PYTHONPATH=(\S+)", declared))
    assert "- TA_LOG_COMPONENT=dagster-run\n" in declared
    first = Path(path.partition(":")[0].removeprefix("/opt/flink/usrlib/"))
    assert (REPOSITORY / first / "sitecustomize.py").is_file()
    for pods in pods_of(render("dagster")):
        for container in pods.containers():
            variables = environment_of(container)
            if "TA_LOG_COMPONENT" in variables:
                assert variables["PYTHONPATH"]["value"] == path


def test_the_page_shows_the_table() -> None:
    text = (REPOSITORY / "docs" / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(?: (yes) \|| \|) (.+?) \|(?: (\w+) \|| \|)$", text, re.M)
    assert [row[0] for row in rows] == list(NAMES)
    for field, (_, kind, always, meaning, place) in zip(FIELDS, rows, strict=True):
        assert (kind, always == "yes", meaning) == (field.kind, field.always, field.meaning)
        assert (place or "line") == field.in_loki
