"""What goes wrong on a cluster, and what is said and left behind then."""

from __future__ import annotations

import time

import pytest

from ta_pipeline.errors import DeployError, KubernetesError, KubernetesNoAnswerError
from ta_pipeline.kubernetes.runtime import KubernetesRuntime, Waits
from tests.k8s.conftest import Namespace, Runtimes
from tests.k8s.job_controller import wait_until
from tests.k8s.jobmanager import PlayedJobManager
from tests.k8s.operator import TICK_SECONDS, PlayedOperator

FIRST, SECOND = "1" * 32, "2" * 32
SHORT = Waits(deploy=2.0, stop=2.0, savepoint=2.0, poll=0.1, unseen=0.5, seen=2.0)


def wanted(namespace: Namespace) -> str:
    state: str = namespace.deployment()["spec"]["job"]["state"]
    return state


def test_an_image_that_cannot_be_pulled_is_told_by_the_operator_the_pod_and_the_event(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    operator.script.pods = "image"
    operator.script.last_state = False
    with pytest.raises(DeployError) as caught:
        runtime.deploy(job_id=FIRST)
    said = str(caught.value)
    assert caught.value.job_id == FIRST
    assert "ImagePullBackOff: [flink-main-container] Back-off pulling image" in said
    assert "container flink-main-container: ImagePullBackOff" in said
    assert "Failed: Back-off pulling image" in said
    assert wanted(namespace) == "suspended", "it is not tried for ever"
    assert runtime.status() == []


def test_of_a_job_that_nobody_waits_for_the_status_says_what_keeps_it_from_running(
    runtime: KubernetesRuntime, operator: PlayedOperator
) -> None:
    operator.script.pods = "crash"
    runtime.start(None, FIRST)
    operator.await_seen("DEPLOYED", "ERROR")
    (status,) = runtime.status()
    assert (status.job_id, status.state) == (FIRST, "RECONCILING")
    assert "CrashLoopBackOff: [flink-main-container] back-off 40s" in str(status.exception)
    assert "ended as Error with exit code 1: Could not find a file system for s3a" in str(status.exception)


def test_a_job_manager_in_a_crash_loop_is_told_with_its_last_words(
    runtime: KubernetesRuntime, operator: PlayedOperator
) -> None:
    operator.script.pods = "crash"
    with pytest.raises(DeployError, match=r"CrashLoopBackOff.*exit code 1: Could not find a file system for s3a"):
        runtime.deploy(job_id=FIRST)


def test_a_mount_that_fails_until_its_config_map_is_there_is_waited_for(
    runtime: KubernetesRuntime, operator: PlayedOperator
) -> None:
    operator.script.pods = "mount"
    told: list[str] = []
    assert runtime.deploy(job_id=FIRST, report=told.append).job_id == FIRST
    assert ("DEPLOYED", "ERROR") in operator.seen
    assert any('FailedMount: MountVolume.SetUp failed for volume "flink-config-volume"' in text for text in told), told
    assert [one.state for one in runtime.status()] == ["RUNNING"]


def test_pods_that_are_fine_and_stay_broken_for_the_operator_are_given_up_in_time(
    runtime_of: Runtimes, operator: PlayedOperator, job_manager: PlayedJobManager
) -> None:
    operator.script.pods = "mount"
    job_manager.submit = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(DeployError, match="JobManager is ERROR; FailedMount"):
        runtime_of(Waits(deploy=60.0, stop=2.0, poll=0.1, broken=1.0)).deploy(job_id=FIRST)


def test_a_job_that_fails_is_told_by_its_exception_and_without_secrets(
    runtime_of: Runtimes, operator: PlayedOperator, job_manager: PlayedJobManager
) -> None:
    job_manager.first_state = "FAILED"
    job_manager.exception = "java.io.IOException: status 403 with key very-secret"
    with pytest.raises(DeployError, match="FAILED") as caught:
        runtime_of(s3_secret_key="very-secret").deploy(job_id=FIRST)  # noqa: S106 - what must not be told
    assert "very-secret" not in str(caught.value)
    assert operator.seen


def test_after_a_version_that_did_not_come_up_the_old_one_comes_back(
    runtime_of: Runtimes, operator: PlayedOperator, job_manager: PlayedJobManager
) -> None:
    old, new = runtime_of(), runtime_of(image="registry.invalid/ta:2")
    old.deploy(job_id=FIRST)
    path = old.stop()
    operator.script.pods = "image"
    with pytest.raises(DeployError):
        new.deploy(job_id=SECOND, restore_from=path)
    operator.script.pods = "start"
    found = old.deploy(restore_from=path)
    assert job_manager.jobs[found.job_id].restored_from == path
    assert old.release_of(found.job_id) == "registry.invalid/ta:1"


def test_a_stop_whose_savepoint_fails_leaves_the_job_running(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime.deploy(job_id=FIRST)
    operator.script.savepoint = "fails"
    with pytest.raises(
        KubernetesError,
        match=r"Could not stop with savepoint; caused by No space left on device; around it, of the last hour: "
        r"\d\d:\d\d:\d\d FlinkDeployment torghut-ta: Error: Could not stop with savepoint: No space left on device",
    ):
        runtime.stop()
    assert wanted(namespace) == "running"
    assert job_manager.jobs[FIRST].state == "RUNNING"
    assert [one.state for one in runtime.status()] == ["RUNNING"]


def test_a_stop_that_became_one_with_the_last_state_is_not_taken_for_a_savepoint(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST)
    operator.script.savepoint = "last-state"
    namespace.warn("torghut-ta-taskmanager-1-1", "Evicted", "The node was low on resource: memory")
    with pytest.raises(
        KubernetesError, match=r"without a savepoint \(upgradeMode last-state\).*Evicted: The node was low"
    ):
        runtime.stop()
    assert runtime.status() == []


def test_an_operator_that_is_not_there_is_named_and_starts_nothing_when_it_comes(
    runtime_of: Runtimes, idle_operator: PlayedOperator, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime = runtime_of(SHORT)
    with pytest.raises(DeployError, match="the operator has not taken note of torghut-ta: does it run"):
        runtime.deploy(job_id=FIRST)
    assert wanted(namespace) == "suspended"
    with idle_operator.running():
        time.sleep(20 * TICK_SECONDS)
        runtime.cancel()
    assert job_manager.jobs == {}


def test_what_a_job_cannot_be_suspended_for_is_told_with_pods_and_events_and_without_secrets(
    runtime_of: Runtimes, idle_operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime = runtime_of(SHORT, s3_secret_key="very-secret")  # noqa: S106 - what must not be told
    with idle_operator.running():
        runtime.deploy(job_id=FIRST, timeout_seconds=20)
    namespace.warn("torghut-ta-taskmanager-1-1", "Failed", "status 403 with key very-secret")
    for ask in (lambda: runtime.suspend("last-state"), runtime.cancel):
        with pytest.raises(KubernetesError, match=r"does it run.*Failed: status 403 with key") as caught:
            ask()
        assert "very-secret" not in str(caught.value)


def test_an_operator_that_has_gone_is_named_and_the_job_is_not_stopped_later(
    runtime_of: Runtimes, idle_operator: PlayedOperator, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime = runtime_of(SHORT)
    told: list[str] = []
    with idle_operator.running():
        runtime.deploy(job_id=FIRST, timeout_seconds=20)
    with pytest.raises(KubernetesError, match=r"has not carried out generation \d+ .* does it run"):
        runtime.stop(report=told.append)
    assert any("does it run?" in text for text in told), "whoever waits knows what for"
    assert wanted(namespace) == "running"
    with idle_operator.running():
        runtime.await_checkpoint(FIRST)
    assert job_manager.jobs[FIRST].state == "RUNNING"


def test_an_old_error_of_an_operator_that_is_away_does_not_cost_the_state(
    runtime_of: Runtimes, idle_operator: PlayedOperator, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime, message = runtime_of(SHORT), "HA metadata is not available. Manual restore required."
    with idle_operator.running():
        runtime.deploy(job_id=FIRST, timeout_seconds=20)
    idle_operator.leave(message)
    with pytest.raises(KubernetesError, match=r"has not carried out generation \d+ .* does it run.*Manual restore"):
        runtime.cancel()
    job = namespace.deployment()["spec"]["job"]
    assert (job["state"], job["upgradeMode"]) == ("suspended", "last-state")
    with idle_operator.running():
        runtime_of().cancel()
        runtime_of().resume()
    assert job_manager.jobs[FIRST].restored_from == "KUBERNETES_OPERATOR_LAST_STATE"


def test_a_status_of_the_version_before_is_not_taken_for_the_new_one(
    runtime_of: Runtimes, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime_of().deploy(job_id=FIRST)
    operator.script.blind_after = namespace.deployment()["metadata"]["generation"]
    new = runtime_of(SHORT, image="registry.invalid/ta:2")
    new.start("s3a://b/savepoint-1-1", SECOND)
    assert namespace.deployment()["status"]["lifecycleState"] == "STABLE"
    with pytest.raises(KubernetesError, match=r"has not carried out generation \d+ .*its status is of \d+"):
        new.await_checkpoint(SECOND)
    (status,) = new.status()
    assert (status.job_id, status.state) == (SECOND, "RECONCILING")


def test_rights_that_are_taken_away_meanwhile_leave_it_unknown_and_end_no_job(
    runtime_of: Runtimes, idle_operator: PlayedOperator, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime, taken = runtime_of(SHORT), list[str]()
    path = namespace.path("rolebindings", "rbac.authorization.k8s.io/v1")

    def report(text: str) -> None:
        if "has not taken note" in text and not taken:
            taken.append(namespace.admin.call("DELETE", f"{path}/platform")["status"])

    with pytest.raises(KubernetesNoAnswerError, match=r"after 2 s: .*is forbidden"):
        runtime.deploy(job_id=FIRST, report=report)
    assert wanted(namespace) == "running", "nothing is known, so nothing is given up"
    namespace.bind("platform")
    with idle_operator.running():
        runtime.await_checkpoint(FIRST, timeout_seconds=20)
    assert job_manager.jobs[FIRST].state == "RUNNING"


def test_a_spec_that_the_operator_refuses_is_told_at_once(runtime: KubernetesRuntime, operator: PlayedOperator) -> None:
    operator.script.refuses = "Forbidden Flink config key: kubernetes.cluster-id"
    with pytest.raises(DeployError, match="the operator refuses generation 1: Forbidden Flink config key"):
        runtime.deploy(job_id=FIRST)


def test_a_deployment_that_is_deleted_meanwhile_is_not_made_anew_of_the_little_that_is_ours(
    runtime: KubernetesRuntime, namespace: Namespace, operator: PlayedOperator
) -> None:
    runtime.deploy(job_id=FIRST)
    found = namespace.deployment()
    namespace.admin.call("DELETE", f"{namespace.path('flinkdeployments')}/torghut-ta")
    wait_until(lambda: runtime.newest_job_id() is None, 20)
    content = {
        "apiVersion": found["apiVersion"], "kind": found["kind"], "spec": {"job": {"state": "suspended"}},
        "metadata": {"name": "torghut-ta", "namespace": namespace.name, "uid": found["metadata"]["uid"]},
    }  # fmt: skip
    with pytest.raises(KubernetesError):
        runtime._resource.apply(content)
    assert (runtime.find(FIRST), operator.seen[-1][0]) == (None, "STABLE")
