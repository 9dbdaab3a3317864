"""What whoever carries a rollout out decides before it begins, and how it tells of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.agent import STALE_SECONDS, Told, given_up
from ta_pipeline.rollout.journal import SILENT_SECONDS, Agent, Rollout, Step, Version
from ta_pipeline.rollout.tools import Tools
from ta_pipeline.settings import Settings

PLANNED = Rollout("one", "upgrade", 1_000.0, Version({}, "code"), saved_at=1_100.0)


def test_a_plan_that_nobody_could_begin_for_long_is_given_up_and_says_that_nothing_was_changed() -> None:
    assert given_up(PLANNED, PLANNED.saved_at + STALE_SECONDS - 1) is None
    late = given_up(PLANNED, PLANNED.saved_at + STALE_SECONDS)
    assert late is not None
    assert (late.step, late.is_ended) == ("failed", True)
    assert str(late.error).startswith("nothing was changed: for 900 s nobody could begin it")


@pytest.mark.parametrize("step", ["stopping", "stopped", "deploying", "deployed", "verified", "returning", "restoring"])
def test_one_that_was_begun_is_finished_however_late(step: Step) -> None:
    assert given_up(dataclasses.replace(PLANNED, step=step), PLANNED.saved_at + 100 * STALE_SECONDS) is None


def test_a_pod_of_a_job_is_known_by_its_job_and_to_those_who_cannot_ask_by_its_silence() -> None:
    agent = Agent.here("ta-rollout-1")
    assert agent.is_job
    assert agent.host == "job/ta-rollout-1"
    assert not Agent.here().is_job
    # Though a process of that number runs here.
    assert agent.is_alive(SILENT_SECONDS - 1)
    assert not agent.is_alive(SILENT_SECONDS + 1)


@pytest.mark.parametrize(
    ("step", "level"), [("done", logging.INFO), ("failed", logging.ERROR), ("rolled back", logging.ERROR)]
)
def test_an_end_is_as_grave_as_it_is(caplog: pytest.LogCaptureFixture, step: Step, level: int) -> None:
    caplog.set_level(logging.INFO, "ta.rollout")
    told = Told(Settings(), "one", None)
    told.end(dataclasses.replace(PLANNED, step=step, error=None if step == "done" else "why\nand more"))
    assert {record.levelno for record in caplog.records} == {level}
    assert caplog.messages[0].startswith(f"upgrade one: {step}")


def test_what_is_given_up_on_the_way_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ta.rollout")
    settings, told = Settings(), Told(Settings(), "one", None)
    platform = Platform.of(settings, LocalSettings(dir=tmp_path))
    tools = Tools(platform, RevisionStore(settings), told.report, told.warning)
    note = tools.with_table_job(PLANNED, dataclasses.replace(PLANNED.target, settings={}, release="not here"))
    assert note.startswith("The table job does not run: ")
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_settings_that_cannot_be_used_are_a_line_of_the_rollouts_log() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ta_pipeline.rollout.agent", "one", "--job", "a-pod"], cwd=REPOSITORY,
        capture_output=True, text=True, env={**os.environ, "TA_PARALLELISM": "many"}, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    line = json.loads(done.stdout)
    assert (line["level"], line["component"], line["rollout"]) == ("ERROR", "rollout", "one")
    assert line["message"].startswith("TA_PARALLELISM='many' is not allowed")
