"""What is read out of a FlinkDeployment's status. The statuses are the operator's own: made as its code makes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ta_pipeline.errors import KubernetesError
from ta_pipeline.kubernetes.status import (
    OperatorView,
    age_seconds,
    deployment_progress,
    parse_deployment,
    readable_error,
    suspension_progress,
    unseen,
)
from tests.operator_statuses import JOB_ID, OTHER_ID, SAVEPOINT, deployment

# As FlinkResourceExceptionUtils writes a JobManager whose image cannot be pulled.
IMAGE_PULL = json.dumps(
    {
        "type": "org.apache.flink.kubernetes.operator.exception.DeploymentFailedException",
        "message": '[flink-main-container] Back-off pulling image "registry.invalid/ta:1"',
        "additionalMetadata": {"reason": "ImagePullBackOff"},
        "throwableList": [],
    }
)
# As it writes a savepoint that failed at the stop: the outer exception repeats its cause.
SAVEPOINT_FAILED = json.dumps({
    "type": "org.apache.flink.kubernetes.operator.exception.ReconciliationException",
    "message": "org.apache.flink.util.FlinkException: Could not stop with savepoint job 111.",
    "additionalMetadata": {},
    "throwableList": [
        {"type": "org.apache.flink.util.FlinkException", "message": "Could not stop with savepoint job 111.",
         "additionalMetadata": {}},
        {"type": "java.io.IOException", "message": "No space left on device", "additionalMetadata": {}},
    ],
})  # fmt: skip
INVALID = json.dumps(
    {
        "type": "org.apache.flink.kubernetes.operator.exception.ValidationException",
        "message": "Forbidden Flink config key: kubernetes.cluster-id",
        "additionalMetadata": {},
        "throwableList": [],
    }
)


def never_seen(**spec: Any) -> OperatorView:
    return parse_deployment({"metadata": {"name": "torghut-ta", "generation": 1}, "spec": {"job": {}, **spec}})


def test_a_job_that_runs_is_told_as_it_is() -> None:
    view = deployment()
    assert (view.is_current, view.is_carried_out, view.is_job_known, view.is_reachable) == (True, True, True, True)
    assert (view.state, view.expected_job_id, view.image) == ("RUNNING", JOB_ID, "ta:1")
    assert not view.is_ended
    assert deployment_progress(view, JOB_ID) is None
    assert age_seconds(view, datetime.fromtimestamp(1_760_000_090, UTC)) == 90.0


def test_a_status_of_an_older_generation_is_no_answer() -> None:
    view = deployment(generation=4, job_id=OTHER_ID)
    assert view.state == "RECONCILING"
    text = deployment_progress(view, OTHER_ID)
    assert text is not None
    assert "has not carried out generation 4" in text
    assert "its status is of 3" in text


def test_of_an_operator_before_1_8_the_generation_is_in_its_record() -> None:
    assert deployment(observed=None, recorded=3).is_current
    behind = deployment(observed=None, recorded=3, generation=4)
    assert not behind.is_current
    assert "its status is of 3" in str(deployment_progress(behind, JOB_ID))
    assert not deployment(observed=3, recorded=4, generation=4).is_current, "where the status has one, that is the one"
    assert not deployment(observed=None).is_current


@pytest.mark.parametrize("lifecycle", ["FAILED", "SUSPENDED", "ROLLED_BACK", "UPGRADING"])
def test_what_an_older_generation_came_to_says_nothing_of_the_newest(lifecycle: str) -> None:
    view = deployment(generation=4, job_id=OTHER_ID, lifecycle=lifecycle, job_manager="ERROR", state="FAILED")
    assert not view.is_ended
    assert "has not carried out" in str(deployment_progress(view, OTHER_ID))


def test_an_operator_that_is_not_there_is_named_as_what_is_missing() -> None:
    assert "does it run, and watch this namespace?" in str(deployment_progress(never_seen()))


def test_a_change_that_the_operator_ignores_does_not_make_the_running_job_unknown() -> None:
    view = deployment(generation=4)
    assert not view.is_current
    assert view.state == "RUNNING"


def test_a_job_that_is_resumed_under_its_id_is_not_taken_for_the_one_that_was_stopped() -> None:
    view = deployment(generation=4, carried_out={"state": "suspended"}, lifecycle="SUSPENDED", state="FINISHED")
    assert not view.is_job_known
    assert not view.is_ended
    assert view.state == "RECONCILING"


@pytest.mark.parametrize("reconciliation", ["UPGRADING", "ROLLING_BACK"])
def test_an_operator_in_between_is_waited_for(reconciliation: str) -> None:
    view = deployment(
        reconciliation=reconciliation, carried_out={"state": "suspended"}, lifecycle="UPGRADING", job_manager="MISSING",
        error=SAVEPOINT_FAILED,
    )  # fmt: skip
    assert deployment_progress(view, JOB_ID) == (
        f"the operator is at it: {reconciliation}; Could not stop with savepoint job 111.; caused by No space left on "
        "device"
    )


@pytest.mark.parametrize("job_manager", ["DEPLOYING", "DEPLOYED_NOT_READY", "MISSING"])
def test_a_job_manager_that_starts_is_waited_for(job_manager: str) -> None:
    view = deployment(job_manager=job_manager, lifecycle="DEPLOYED", state="RECONCILING")
    assert deployment_progress(view, JOB_ID) == f"the JobManager is {job_manager}"


def test_a_job_that_runs_and_that_the_operator_has_not_seen_is_not_stopped_with_a_savepoint() -> None:
    assert unseen(deployment()) is None
    assert "has not seen the job RUNNING, but RECONCILING" in str(unseen(deployment(state="RECONCILING")))


def test_an_image_that_cannot_be_pulled_fails_at_once_and_says_so() -> None:
    view = deployment(job_manager="ERROR", lifecycle="DEPLOYED", state="RECONCILING", error=IMAGE_PULL)
    assert not view.is_ended, "the registry may be back: the job has not ended by that"
    with pytest.raises(KubernetesError, match=r"ERROR; ImagePullBackOff: \[flink-main-container\] Back-off pulling"):
        deployment_progress(view, JOB_ID)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "FINISHED"])
def test_a_job_that_has_ended_is_not_waited_for(state: str) -> None:
    view = deployment(state=state)
    assert view.is_ended
    with pytest.raises(KubernetesError, match=f"torghut-ta is {state}"):
        deployment_progress(view, JOB_ID)


def test_a_deployment_that_the_operator_gives_up_has_failed_whatever_its_job_was_last() -> None:
    lost = "JobManager deployment is missing and HA metadata is not available to make stateful upgrades."
    view = deployment(job_manager="MISSING", lifecycle="FAILED", state="RECONCILING", error=lost)
    assert (view.state, view.is_ended) == ("FAILED", True)
    with pytest.raises(KubernetesError, match="HA metadata is not available"):
        deployment_progress(view, JOB_ID)


def test_the_operators_own_rollback_is_no_success() -> None:
    with pytest.raises(KubernetesError, match="rolled FlinkDeployment torghut-ta back to its last stable spec"):
        deployment_progress(deployment(reconciliation="ROLLED_BACK", lifecycle="ROLLED_BACK"), JOB_ID)


def test_another_one_who_changes_the_object_meanwhile_is_told() -> None:
    with pytest.raises(KubernetesError, match=f"asks for job {OTHER_ID} meanwhile, not {JOB_ID}"):
        deployment_progress(deployment(job_id=OTHER_ID), JOB_ID)
    with pytest.raises(KubernetesError, match="was suspended by somebody else meanwhile"):
        deployment_progress(deployment(wanted="suspended"), JOB_ID)
    with pytest.raises(KubernetesError, match="was set running by somebody else meanwhile"):
        suspension_progress(deployment())


def test_an_object_that_is_being_deleted_will_not_run() -> None:
    view = parse_deployment({"metadata": {"name": "x", "generation": 1, "deletionTimestamp": "2026-01-02T00:00:00Z"}})
    with pytest.raises(KubernetesError, match="being deleted"):
        deployment_progress(view)


def test_a_spec_that_is_not_valid_is_told_from_one_that_is_not_seen() -> None:
    view = deployment(generation=4, job_id=OTHER_ID, error=INVALID)
    assert view.is_refused
    assert "Forbidden Flink config key" in str(deployment_progress(view, OTHER_ID))
    assert not deployment(error=IMAGE_PULL).is_refused


def test_a_stop_is_waited_for_until_the_status_is_of_it() -> None:
    assert "has not carried out generation 4" in str(suspension_progress(deployment(wanted="suspended", generation=4)))
    at_it = deployment(wanted="suspended", reconciliation="UPGRADING", lifecycle="UPGRADING", state="CANCELLING")
    assert suspension_progress(at_it) == "the job is CANCELLING, the operator is at it: UPGRADING"
    done = deployment(wanted="suspended", carried_out={"state": "suspended"}, lifecycle="SUSPENDED", state="FINISHED")
    assert suspension_progress(done) is None


def test_what_was_suspended_before_it_was_ever_started_does_not_run() -> None:
    assert never_seen(job={"state": "suspended"}).is_suspended
    assert suspension_progress(never_seen(job={"state": "suspended"})) is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"upgradeSavepointPath": SAVEPOINT}, SAVEPOINT),
        ({"savepointInfo": {"lastSavepoint": {"location": SAVEPOINT, "triggerType": "UPGRADE"}}}, SAVEPOINT),
        ({"upgradeSavepointPath": SAVEPOINT, "savepointInfo": {"lastSavepoint": {"location": "older"}}}, SAVEPOINT),
        ({"upgradeSavepointPath": "KUBERNETES_OPERATOR_LAST_STATE"}, None),
        ({}, None),
    ],
)
def test_the_savepoint_at_a_stop_is_found_in_both_styles(told: dict[str, Any], expected: str | None) -> None:
    view = deployment(wanted="suspended", carried_out={"state": "suspended"}, state="FINISHED", **told)
    assert view.savepoint_at_stop == expected


def test_a_stop_that_fell_back_to_the_last_state_has_left_no_savepoint() -> None:
    view = deployment(
        wanted="suspended",
        carried_out={"state": "suspended", "upgradeMode": "last-state"},
        upgradeSavepointPath=SAVEPOINT,
    )
    assert view.savepoint_at_stop is None


def test_a_savepoint_of_an_earlier_stop_is_not_the_one_of_this() -> None:
    assert deployment(upgradeSavepointPath=SAVEPOINT).savepoint_at_stop is None
    assert deployment(wanted="suspended", generation=4, upgradeSavepointPath=SAVEPOINT).savepoint_at_stop is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ""),
        ("", ""),
        ("plain text of an older operator", "plain text of an older operator"),
        ("[1, 2]", "[1, 2]"),
        (IMAGE_PULL, 'ImagePullBackOff: [flink-main-container] Back-off pulling image "registry.invalid/ta:1"'),
        (SAVEPOINT_FAILED, "Could not stop with savepoint job 111.; caused by No space left on device"),
        ('{"type": "java.util.concurrent.TimeoutException"}', "TimeoutException"),
    ],
)
def test_an_error_is_told_in_one_line(error: str | None, expected: str) -> None:
    assert readable_error(error) == expected


def test_the_record_of_an_older_operator_is_read_too() -> None:
    old = json.dumps({"apiVersion": "v1beta1", "job": {"state": "suspended", "upgradeMode": "savepoint"}})
    view = parse_deployment(
        {
            "metadata": {"name": "x", "generation": 1},
            "status": {"reconciliationStatus": {"state": "DEPLOYED", "lastReconciledSpec": old}},
        }
    )
    assert (view.carried_out, view.upgrade_mode) == ("suspended", "savepoint")


def test_a_record_that_is_no_json_is_an_error_and_not_a_first_deployment() -> None:
    with pytest.raises(KubernetesError, match="is no JSON"):
        parse_deployment(
            {
                "metadata": {"name": "x", "generation": 1},
                "status": {"reconciliationStatus": {"lastReconciledSpec": "{"}},
            }
        )
