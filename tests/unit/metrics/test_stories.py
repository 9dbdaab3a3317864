"""Each alert fires when it should, stays silent when it should, and is over when it should: promtool plays stories."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ta_pipeline.metrics.alert import Alert
from ta_pipeline.metrics.alerts import alerts
from ta_pipeline.metrics.selectors import Scope
from tests.promtool import run
from tests.unit.metrics.stories import components, freshness, jobs
from tests.unit.metrics.stories.world import OVER_AT, SILENT_AT, STEP_SECONDS, Story, series_of

STORIES: tuple[Story, ...] = (*components.STORIES, *jobs.STORIES, *freshness.STORIES)
SCOPE = Scope()
ALERTS = {alert.name: alert for alert in alerts(SCOPE)}
CASES = ("fires", "stays silent", "is over")


def series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": value} for name, value in values.items()]


def asked(alert: str, at: str, expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {"eval_time": at, "alertname": alert, "exp_alerts": expected}


def cases(story: Story) -> list[dict[str, Any]]:
    """The three of one story, as promtool has them."""
    alert = ALERTS[story.alert]
    fired = {
        "exp_labels": {"severity": alert.severity, **SCOPE.labels, **story.labels},
        "exp_annotations": {
            **alert.to_rule({})["annotations"],
            "description": story.description or alert.description,
        },
    }
    trouble, near = series_of(story.trouble, story.long), series_of(story.near, story.short)
    tests = {
        "fires": (trouble, [asked(story.alert, story.fires_at, [fired])]),
        "stays silent": (near, [asked(story.alert, at, []) for at in SILENT_AT]),
        "is over": (trouble, [asked(story.alert, story.fires_at, [fired]), asked(story.alert, OVER_AT, [])]),
    }
    return [
        {
            "name": f"{story.alert} {case}",
            "interval": f"{STEP_SECONDS}s",
            "input_series": series(values),
            "alert_rule_test": questions,
        }
        for case, (values, questions) in tests.items()
    ]


def written(folder: Path, name: str, rules: Iterable[Alert], tests: list[dict[str, Any]]) -> Path:
    """A file of tests with its own file of rules: fewer of them are faster."""
    group = {"name": "g", "rules": [rule.to_rule(SCOPE.labels) for rule in rules]}
    (folder / f"{name}.rules.yaml").write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    content = {
        "rule_files": [f"{name}.rules.yaml"],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "tests": tests,
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def test_every_alert_has_its_three_cases() -> None:
    told = Counter(test["name"] for story in STORIES for test in cases(story))
    assert {f"{alert} {case}" for alert in ALERTS for case in CASES} == told.keys()
    assert all(story.trouble and story.near for story in STORIES)


def test_each_alert_fires_stays_silent_and_is_over_as_its_stories_say(tmp_path: Path) -> None:
    files = [
        written(tmp_path, f"{number}-{story.alert}", [ALERTS[story.alert]], cases(story))
        for number, story in enumerate(STORIES)
    ]
    found = run("promtool", "test", "rules", *files)
    assert found.returncode == 0, found.stdout + found.stderr


def test_without_its_rule_the_case_of_each_alert_fails(tmp_path: Path) -> None:
    firing = [test for story in STORIES for test in cases(story) if test["name"].endswith(" fires")]
    found = run("promtool", "test", "rules", written(tmp_path, "none", [], firing))
    assert found.returncode != 0
    assert set(re.findall(r"alertname: (\w+)", found.stdout + found.stderr)) == ALERTS.keys()


def test_of_a_platform_that_is_well_no_rule_says_a_word(tmp_path: Path) -> None:
    quiet = {
        "name": "all is well",
        "interval": f"{STEP_SECONDS}s",
        "input_series": series(series_of({})),
        "alert_rule_test": [asked(alert, at, []) for alert in ALERTS for at in ("5m", "20m", "34m")],
    }
    found = run("promtool", "test", "rules", written(tmp_path, "well", ALERTS.values(), [quiet]))
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_wrong_description_is_seen(tmp_path: Path) -> None:
    story = next(story for story in STORIES if story.description)
    tests = cases(story)
    tests[0]["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"]["description"] = "another"
    found = run("promtool", "test", "rules", written(tmp_path, "wrong", [ALERTS[story.alert]], tests))
    assert found.returncode != 0


def test_a_tool_that_is_missing_is_a_failure_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("TA_PROMTOOL_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="promtool is not on PATH"):
        run("promtool", "--version")
    monkeypatch.setenv("TA_PROMTOOL_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="asks for it"):
        run("promtool", "--version")
