"""Rollouts that were left anywhere, and a cluster that does not answer: nothing is lost, nothing is doubled.

What starts, stops, returns and rolls back here is finished by somebody else than began it, while a market goes on; in
the end the output is that of an undisturbed run.
"""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from ta_pipeline.errors import FlinkError, RolloutError
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.execute import Execution
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.journal import Journal, Rollout, Step
from ta_pipeline.rollout.service import Rollouts
from tests.proofs import Say
from tests.rollouts import (
    UnattendedRollouts,
    changed,
    die_before,
    finish,
    market,
    require_same_as_undisturbed,
    roll_out,
    silent,
)
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.kills, pytest.mark.timeout(900, func_only=True)]

QUICKLY = Options(shadow_restore=False)
NO_ANSWER_SECONDS = 15.0
"""Longer than one request may take."""


def planned(platform: Platform) -> Rollout:
    """A rollout to what is declared, written down and left."""
    left = UnattendedRollouts(platform).start(QUICKLY, silent)
    assert left is not None
    return left


def runs(platform: Platform) -> str:
    """The only job that runs."""
    (status,) = platform.job.status()
    assert status.state == "RUNNING"
    return status.job_id


def unable(platform: Platform) -> Platform:
    """A version that cannot come up: its checkpoints have nowhere to go."""
    return changed(platform, checkpoint_dir="s3a://there-is-no-such-bucket/checkpoints")


def test_what_was_left_before_anything_ran_and_what_was_being_stopped_is_finished(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    store = RevisionStore(platform.settings)
    with market(platform.settings, seed=41, seconds=900) as going:
        die_before(platform, planned(platform), "deployed")
        begun = runs(platform)
        assert finish(platform).step == "done"
        assert runs(platform) == begun, "the job that had been submitted is the one that was verified"

        target = changed(platform, live_slice_ms=200)
        left = planned(target)
        platform.job.cancel()
        ended = finish(target)
        assert (ended.step, ended.kind) == ("done", "upgrade"), ended.error
        assert ended.start_from is not None, "it goes on from what the job left that died after it was planned"
        assert left.old_job_id in ended.start_from

        UnattendedRollouts(target).start_stop(silent)
        left_stop = Journal(platform.settings).load()
        assert left_stop is not None
        die_before(target, left_stop, "stopped")
        assert not platform.job.status()
        assert finish(target).step == "done"
        stopped = store.newest()
        assert stopped is not None
        assert (stopped.outcome, store.current()) == ("stopped", None)

        again = roll_out(target)
        assert (again["outcome"], again["restored_from"]) == ("done", stopped.savepoint)
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def test_a_return_that_is_interrupted_anywhere_brings_the_old_version_back_once(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    store, journal = RevisionStore(platform.settings), Journal(platform.settings)
    steps: tuple[Step, ...] = ("returning", "restoring", "rolled back")
    with market(platform.settings, seed=42, seconds=900) as going:
        roll_out(platform)
        for step in steps:
            bad = unable(platform)
            die_before(bad, planned(bad), step)
            back = {one.job_id for one in platform.job.status()}
            ended = finish(bad)
            assert (ended.step, ended.repeated) == ("rolled back", 0), ended.error
            job_id = runs(platform)
            assert not back or back == {job_id}, "a version that had come back was brought back again"
            current = store.current()
            assert current is not None
            assert (current.number, current.job_id) == (1, job_id)
            say(f"died before {step!r} was written down: the old version runs, from {ended.back_from}")

        # It came back, worked, and died: the newest state is its own, not that of before the rollout.
        platform.job.cancel()
        restarted = roll_out(platform)
        assert restarted["outcome"] == "done"
        assert job_id in restarted["restored_from"]

        # The new version had committed records when it was given up: the same code goes on from its last checkpoint.
        target = changed(platform, live_slice_ms=200)
        left = planned(target)
        die_before(target, left, "verified")
        time.sleep(3)
        given_up = journal.load()
        assert given_up is not None
        journal.save(dataclasses.replace(given_up, step="returning", error="given up on purpose"))
        ended = finish(target)
        assert (ended.step, ended.repeated) == ("rolled back", 0), ended.error
        assert given_up.job_id is not None
        assert ended.back_from is not None
        assert given_up.job_id in ended.back_from
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def test_a_rollback_is_finished_whether_the_job_runs_or_not(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    target = changed(platform, live_slice_ms=200)
    with market(platform.settings, seed=43, seconds=900) as going:
        roll_out(platform)
        roll_out(target)
        UnattendedRollouts(target).start_rollback(None, QUICKLY, silent)
        platform.job.cancel()
        ended = finish(target)
        assert (ended.step, ended.kind) == ("done", "rollback"), ended.error
        assert platform.job.settings_of(runs(platform))["TA_LIVE_SLICE_MS"] == "100"

        platform.job.cancel()
        rollouts = Rollouts(target)
        ended = rollouts.follow(rollouts.start_rollback(2, QUICKLY, silent), silent)
        assert ended.step == "done", ended.error
        assert platform.job.settings_of(runs(platform))["TA_LIVE_SLICE_MS"] == "200"
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def test_a_cluster_or_a_broker_that_does_not_answer_for_a_while_ends_no_rollout(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    journal = Journal(platform.settings)
    with market(platform.settings, seed=44, seconds=900) as going:
        roll_out(platform)
        for number, (component, step) in enumerate((("jobmanager", "stopping"), ("kafka", "stopped")), 2):
            target = changed(platform, live_slice_ms=100 * number)
            left = planned(target)
            frozen = PausingJournal(target, step, stack.process(component))
            ended = Execution(target, frozen, RevisionStore(target.settings), silent).run(left)
            assert ended.step == "done", ended.error
            assert platform.job.settings_of(runs(platform))["TA_LIVE_SLICE_MS"] == str(100 * number)
            say(f"{component} did not answer for {NO_ANSWER_SECONDS:g} s from {step!r} on: done")
        found = journal.load()
        assert found is not None
        assert found.step == "done"
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def test_a_client_whose_agent_died_submits_nothing_and_a_job_elsewhere_is_not_doubled(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    target = changed(platform, live_slice_ms=200)
    with market(platform.settings, seed=45, seconds=900) as going:
        roll_out(platform)
        rollouts = Rollouts(target)
        begun = rollouts.start(Options(), silent)
        assert begun is not None
        wait_for("a client plans", lambda: clients_of(begun), 180)
        found = rollouts.journal.load()
        assert found is not None
        assert found.agent is not None
        psutil.Process(found.agent.pid).kill()
        wait_for("the client has ended", lambda: not clients_of(begun), 60)
        ended = finish(target)
        assert ended.step == "done", ended.error
        job_id = runs(platform)

        renamed = changed(target, k8s_deployment=f"{target.settings.k8s_deployment}-b")
        with pytest.raises(RolloutError, match=f"runs as job {job_id} with TA_K8S_DEPLOYMENT"):
            Rollouts(renamed).start(Options(), silent)
        unknown = changed(target, flink_rest_url="http://127.0.0.1:9")
        with pytest.raises(FlinkError, match="Flink cannot be reached"):
            Rollouts(unknown).start(Options(), silent)
        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


class PausingJournal(Journal):
    """A component stops answering when a step has been written down: once, however often that is."""

    def __init__(self, platform: Platform, step: str, process: psutil.Process) -> None:
        super().__init__(platform.settings)
        self._step = step
        self._process = process
        self._is_over = False

    def save(self, rollout: Rollout) -> Rollout:
        saved = super().save(rollout)
        if rollout.step == self._step and not self._is_over:
            self._is_over = True
            self._process.send_signal(signal.SIGSTOP)
            timer = threading.Timer(NO_ANSWER_SECONDS, self._process.send_signal, [signal.SIGCONT])
            timer.start()
        return saved


def clients_of(rollout: Rollout) -> list[psutil.Process]:
    """Python processes that plan the target's job."""
    release = rollout.target.release

    def is_one(process: psutil.Process) -> bool:
        try:
            command = process.cmdline()
        except psutil.Error:
            return False
        return any(f"{release}/flink/job.py" in word for word in command) and "--await" in command

    return [process for process in psutil.process_iter() if is_one(process)]
