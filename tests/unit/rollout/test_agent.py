"""What whoever carries a rollout out decides before it begins."""

from __future__ import annotations

import dataclasses

import pytest

from ta_pipeline.rollout.agent import STALE_SECONDS, given_up
from ta_pipeline.rollout.journal import SILENT_SECONDS, Agent, Rollout, Step, Version

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
