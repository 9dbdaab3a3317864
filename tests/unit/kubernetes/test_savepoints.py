from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.errors import KubernetesError
from ta_pipeline.kubernetes.savepoints import nonce_path, snapshot, snapshot_path
from tests.operator_statuses import deployment

PATH = "s3a://b/savepoints/savepoint-111111-0a"


def told(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "status": status}


def test_a_snapshot_outlives_its_object_and_is_tried_once() -> None:
    spec = snapshot("s", "torghut-ta", "torghut", "s3a://b/savepoints")["spec"]
    assert spec["savepoint"]["disposeOnDelete"] is False
    assert spec["backoffLimit"] == 0
    assert spec["jobReference"] == {"kind": "FlinkDeployment", "name": "torghut-ta"}


@pytest.mark.parametrize("state", ["TRIGGER_PENDING", "IN_PROGRESS"])
def test_a_snapshot_is_waited_for(state: str) -> None:
    assert snapshot_path(told(state=state)) is None
    assert snapshot_path({"metadata": {"name": "s"}}) is None


def test_a_snapshot_that_is_done_tells_its_path() -> None:
    assert snapshot_path(told(state="COMPLETED", path=PATH)) == PATH


@pytest.mark.parametrize("state", ["FAILED", "ABANDONED"])
def test_a_snapshot_that_is_given_up_says_why(state: str) -> None:
    with pytest.raises(KubernetesError, match=f"is {state}: No space left"):
        snapshot_path(told(state=state, error='{"message": "No space left"}'))


def test_a_snapshot_that_is_done_without_a_path_is_no_savepoint() -> None:
    with pytest.raises(KubernetesError, match="does not say where it lies"):
        snapshot_path(told(state="COMPLETED"))


def test_by_a_nonce_only_the_savepoint_of_that_nonce_counts() -> None:
    done = {"lastSavepoint": {"location": PATH, "triggerNonce": 7}}
    assert nonce_path(deployment(savepointInfo=done), 7) == PATH
    assert nonce_path(deployment(savepointInfo=done), 8) is None
    assert nonce_path(deployment(savepointInfo={**done, "triggerId": "x"}), 8) is None


def test_a_nonce_that_the_operator_is_done_with_without_a_savepoint_has_failed() -> None:
    given_up = {"savepointTriggerNonce": 8}
    assert nonce_path(deployment(carried_out=given_up, savepointInfo={"triggerId": "x"}), 8) is None
    with pytest.raises(KubernetesError, match="was given up: no quorum"):
        nonce_path(deployment(carried_out=given_up, error="no quorum"), 8)


def test_a_job_that_has_ended_takes_no_savepoint() -> None:
    with pytest.raises(KubernetesError, match="is FAILED, and takes no savepoint any more: out of memory"):
        nonce_path(deployment(state="FAILED", error="out of memory"), 8)
