"""A rollout that dies at any of its steps: the next run finishes it, and the stream has lost and doubled nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.journal import Journal, Step
from ta_pipeline.rollout.service import Rollouts
from tests.proofs import Say
from tests.rollouts import (
    UnattendedRollouts,
    changed,
    die_before,
    market,
    require_same_as_undisturbed,
    roll_out,
    silent,
)
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.kills, pytest.mark.timeout(900, func_only=True)]

STEPS: tuple[Step, ...] = ("stopping", "stopped", "deploying", "deployed", "verified", "done")


def test_a_rollout_that_died_at_any_step_is_finished_by_the_next_run(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    store = RevisionStore(platform.settings)
    with market(platform.settings, seed=32, seconds=900) as going:
        roll_out(platform)
        for number, step in enumerate(STEPS, 2):
            target = changed(platform, live_slice_ms=100 + 10 * number)
            left = UnattendedRollouts(target).start(Options(shadow_restore=False), silent)
            assert left is not None
            die_before(target, left, step)
            begun = time.monotonic()
            rollouts = Rollouts(target)
            second = rollouts.start(Options(shadow_restore=False), silent)
            assert second is not None
            assert (second.id == left.id) == (step != "stopping"), "what was only planned is planned anew"
            ended = rollouts.follow(second, silent)
            assert (ended.step, ended.revision) == ("done", number), ended.error
            (status,) = platform.job.status()
            assert platform.job.settings_of(status.job_id)["TA_LIVE_SLICE_MS"] == str(100 + 10 * number)
            say(f"died before {step!r} was written down: finished in {time.monotonic() - begun:.1f} s")
        assert [revision.outcome for revision in store.all()] == ["running"] * (len(STEPS) + 1)
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def test_a_killed_dagster_run_does_not_stop_the_stream_and_a_killed_agent_is_succeeded(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    journal = Journal(platform.settings)
    with market(platform.settings, seed=33, seconds=600) as going:
        roll_out(platform)

        with start_dagster(changed(platform, live_slice_ms=200), tmp_path / "dagster") as run:
            wait_for("the old job is being stopped", lambda: step_of(journal) not in {None, "planned", "done"}, 90)
            run.kill()
        wait_for("the rollout ends without the run that started it", lambda: step_of(journal) == "done", 90)
        (status,) = platform.job.status()
        assert platform.job.settings_of(status.job_id)["TA_LIVE_SLICE_MS"] == "200"

        target = changed(platform, live_slice_ms=300)
        run = start_dagster(target, tmp_path / "dagster")
        wait_for("the new job is being started", lambda: step_of(journal) in {"stopped", "deploying"}, 90)
        found = journal.load()
        assert found is not None
        assert found.agent is not None
        os.kill(found.agent.pid, signal.SIGKILL)
        output, _ = run.communicate(timeout=90)
        assert run.returncode == 1
        assert "run it again to finish it" in output
        begun = time.monotonic()
        assert roll_out(target)["outcome"] == "done"
        say(f"agent killed: finished by the next run in {time.monotonic() - begun:.1f} s")
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def step_of(journal: Journal) -> str | None:
    """How far the newest rollout of another setting is; None before it began."""
    found = journal.load()
    return None if found is None or found.kind == "start" else found.step


def start_dagster(platform: Platform, home: Path) -> subprocess.Popen[str]:
    """The job `upgrade` in a process of its own, as a run worker is."""
    home.mkdir(exist_ok=True)
    environment = {**os.environ, **platform.environment, **platform.local.variables(), "DAGSTER_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "orchestration.run", "upgrade"],
        cwd=REPOSITORY, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
