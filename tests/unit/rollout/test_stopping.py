from __future__ import annotations

import pytest

from ta_pipeline.errors import FlinkError, KubernetesError
from ta_pipeline.rollout.stopping import was_interrupted
from ta_pipeline.runtime import with_circumstances

INTERRUPTED = "Checkpoint Coordinator is suspending."


@pytest.mark.parametrize("error", [FlinkError(INTERRUPTED), KubernetesError(f"could not be suspended: {INTERRUPTED}")])
def test_a_stop_that_a_restart_of_the_job_interrupted_is_known_by_its_error(error: FlinkError) -> None:
    assert was_interrupted(error)


def test_an_event_of_an_earlier_stop_does_not_make_this_one_interrupted() -> None:
    message = with_circumstances("No space left on device", [f"10:00:00 FlinkDeployment torghut-ta: {INTERRUPTED}"])
    assert INTERRUPTED in message
    assert not was_interrupted(KubernetesError(message))


def test_a_failure_around_which_nothing_was_seen_is_told_alone() -> None:
    assert with_circumstances("No space left on device", []) == "No space left on device"
