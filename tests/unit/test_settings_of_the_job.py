"""Which settings are the job's: those that its code reads, found in the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.revisions import Revision, settings_hash
from ta_pipeline.rollout.journal import Version
from ta_pipeline.rollout.plan import Facts, plan
from ta_pipeline.runtime import JobStatus
from ta_pipeline.settings import AROUND_THE_JOB, PLACE_OF_THE_JOB, Settings, load_settings

FIELDS = set(Settings.model_fields)
JOB = [
    *(path for path in sorted((REPOSITORY / "flink").glob("*.py")) if path.name != "benchmarks.py"),
    REPOSITORY / "ta_pipeline" / "job_options.py",
]
HOLDERS = {"settings", "own"}
"""What the code calls the settings; within the class itself it is `self`."""
CHANGED = {
    "savepoints_kept": 3, "savepoint_interval_hours": 12, "revision_dir": "s3a://b/revisions",
    "replay_dir": "s3a://b/replays", "recordings_dir": "/recordings", "schema_dir": "/schemas",
    "input_field_case": "camel", "s3_endpoint": "http://127.0.0.1:9", "s3_path_style": False, "s3_secure": True,
    "s3_access_key": "other", "s3_secret_key": "other", "probe_url": "http://127.0.0.1:9",
    "alert_webhook_url": "http://127.0.0.1:9", "alert_reminder_minutes": 5,
    "k8s_overlay": "dev", "k8s_upgrade_mode": "last-state", "k8s_kubeconfig": "/kubeconfig", "k8s_context": "other",
}  # fmt: skip


def test_each_setting_is_read_by_the_job_or_is_named_as_one_that_is_not() -> None:
    """A new setting that the job does not read belongs to `AROUND_THE_JOB`, else a change of it restarts the job."""
    assert FIELDS - read_by_the_job() == AROUND_THE_JOB | PLACE_OF_THE_JOB
    assert not AROUND_THE_JOB & PLACE_OF_THE_JOB


@pytest.mark.parametrize("name", sorted(AROUND_THE_JOB))
def test_a_change_around_the_job_is_nothing_to_roll_out(name: str) -> None:
    before, after = load_settings(), load_settings(**{name: CHANGED[name]})
    assert before != after
    assert planned(before, after) is None
    assert settings_hash(before.public()) == settings_hash(after.public())


@pytest.mark.parametrize(("name", "value"), [("session", "regular"), ("flink_rest_url", "http://127.0.0.1:9")])
def test_a_change_of_the_job_or_of_its_place_is_rolled_out(name: str, value: str) -> None:
    assert planned(load_settings(), load_settings(**{name: value})) == "upgrade"


def planned(before: Settings, after: Settings) -> str | None:
    """What a rollout of `after` would be while `before` runs."""
    current = Revision(1, "2026-01-02T15:00:00+00:00", "running", "torghut-ta", "a" * 32, before.public(), "code")
    running = JobStatus("a" * 32, "torghut-ta", "RUNNING", 60.0, 0, 5, 0, 1.0, "s3a://b/chk-5", None)
    return plan(Facts(current, running, Version(after.public(), "code"))).kind


def read_by_the_job() -> set[str]:
    """Fields that the modules of the job, or what they import of `ta_pipeline` by name, read."""
    found: set[str] = set()
    for path in JOB:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= set(read_in(tree, HOLDERS))
        for module, name in imported(tree):
            definition = definition_of(module, name)
            found |= set(read_in(definition, {*HOLDERS, "self"} if name == "Settings" else HOLDERS))
    return found


def read_in(tree: ast.AST, holders: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in holders:
            yield from FIELDS & {node.attr}


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ta_pipeline."):
            yield from ((str(node.module), alias.name) for alias in node.names)


def definition_of(module: str, name: str) -> ast.AST:
    path = Path(REPOSITORY, *module.split(".")).with_suffix(".py")
    if not path.is_file():
        return ast.Module([], [])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = (ast.ClassDef, ast.FunctionDef)
    return next((node for node in tree.body if isinstance(node, defined) and node.name == name), ast.Module([], []))
