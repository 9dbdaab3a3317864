"""docs/alerts.md and the alerts that there are: a section for each, and none for another."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ta_pipeline.kubernetes.manifests import DIRECTORY
from ta_pipeline.kubernetes.yaml import read_mapping
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.monitoring.incidents import HELP, Alert
from ta_pipeline.monitoring.judge import QUESTIONS
from ta_pipeline.probe_metrics import metrics_text
from tests.status import NOW_MS

PARTS = ["Means", "Causes", "Look", "Do", "Over"]
_SECTION = re.compile(r"^## `(\w+)`$", re.M)
_ROW = re.compile(r"^\| `(\w+)` \|", re.M)
_PART = re.compile(r"^\*\*(\w+)\.\*\* ", re.M)
_METRIC = re.compile(r"\bta_\w+")


def page() -> str:
    return (REPOSITORY / HELP).read_text(encoding="utf-8")


def rules() -> dict[str, dict[str, Any]]:
    """Of Prometheus, by name."""
    groups = read_mapping(DIRECTORY / "base" / "rules.yaml")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_every_alert_has_its_section_and_no_section_is_about_another() -> None:
    assert _SECTION.findall(page()) == [*QUESTIONS, *rules()]


def test_the_table_lists_them_in_the_same_order() -> None:
    assert _ROW.findall(page()) == [*QUESTIONS, *rules()]


def test_each_section_says_what_it_means_why_where_to_look_what_to_do_and_when_it_is_over() -> None:
    _, *parts = _SECTION.split(page())
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    assert {name: _PART.findall(text) for name, text in sections.items()} == dict.fromkeys(sections, PARTS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_alert_leads_to_its_section(name: str) -> None:
    posted = Alert("opened", name, "bad", "it is bad", NOW_MS, NOW_MS).to_dict("torghut-ta")
    assert posted["help"] == f"docs/alerts.md#{name}"
    # An anchor is the heading in small letters, without what is no letter, digit or underscore.
    assert posted["help"].partition("#")[2] in [section.lower() for section in _SECTION.findall(page())]


def test_the_rules_of_prometheus_lead_to_their_sections_too() -> None:
    assert rules()
    for name, rule in rules().items():
        assert rule["annotations"]["help"] == f"{HELP}#{name.lower()}"
        assert rule["annotations"]["runbook_url"] == rule["annotations"]["help"]


def test_that_nobody_watches_is_seen_in_what_the_probe_tells_of_itself_whatever_it_reads() -> None:
    told = metrics_text(None, NOW_MS, NOW_MS)
    asked = {metric for name in ("TaProbeGone", "TaDagsterSilent") for metric in _METRIC.findall(rules()[name]["expr"])}
    assert asked
    assert {metric for metric in asked if f"\n{metric} " not in told} == set()
