"""Up, down, back and on: what a rollout asks of the runtime, against a real API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from ta_pipeline.errors import DeployError, KubernetesError, KubernetesNoAnswerError
from ta_pipeline.kubernetes.deployment import nonce_of
from ta_pipeline.kubernetes.runtime import KubernetesRuntime, Waits
from tests.k8s.conftest import Namespace, Runtimes
from tests.k8s.jobmanager import PlayedJobManager
from tests.k8s.operator import PlayedOperator

FIRST, SECOND = "1" * 32, "2" * 32
SAVEPOINT = "s3a://flink-checkpoints/torghut/technical-analysis/savepoints/savepoint-000000-aaaaaaaaaaaa"
pytestmark = pytest.mark.usefixtures("operator")


def test_a_first_deployment_runs_with_a_checkpoint(
    runtime: KubernetesRuntime, namespace: Namespace, operator: PlayedOperator
) -> None:
    told: list[str] = []
    found = runtime.deploy(job_id=FIRST, report=told.append)
    assert (found.job_id, found.name, found.restored_from) == (FIRST, "torghut-ta", None)
    assert [state for state, _ in operator.seen][:1] == ["UPGRADING"]
    operator.await_seen("STABLE", "READY")
    assert any("the JobManager is" in text for text in told), told
    (status,) = runtime.status()
    assert (status.job_id, status.state, status.checkpoints_completed) == (FIRST, "RUNNING", 1)
    assert runtime.release_of(FIRST) == "registry.invalid/ta:1"
    assert runtime.newest_job_id() == FIRST
    assert runtime.settings_of(FIRST) == {"TA_SESSION": "extended"}
    managers = {entry["manager"]: entry["operation"] for entry in namespace.deployment()["metadata"]["managedFields"]}
    assert managers["ta-pipeline"] == "Apply"


def test_asked_for_again_it_is_the_same_job_and_nothing_is_started_twice(
    runtime: KubernetesRuntime, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime.deploy(job_id=FIRST, restore_from=SAVEPOINT)
    before = namespace.deployment()["metadata"]["generation"]
    runtime.deploy(job_id=FIRST, restore_from=SAVEPOINT)
    assert namespace.deployment()["metadata"]["generation"] == before
    assert list(job_manager.jobs) == [FIRST]


def test_a_second_job_beside_the_first_is_refused(runtime: KubernetesRuntime, job_manager: PlayedJobManager) -> None:
    runtime.deploy(job_id=FIRST)
    with pytest.raises(KubernetesError, match=f"is RUNNING already \\(job {FIRST}"):
        runtime.deploy(job_id=SECOND)
    assert list(job_manager.jobs) == [FIRST]


@pytest.mark.parametrize("style", ["upgradeSavepointPath", "savepointInfo"])
def test_an_upgrade_stops_with_a_savepoint_and_the_new_version_goes_on_from_it(
    runtime_of: Runtimes, operator: PlayedOperator, job_manager: PlayedJobManager, namespace: Namespace, style: str
) -> None:
    operator.script.path_style = style
    old, new = runtime_of(), runtime_of(image="registry.invalid/ta:2", session="regular")
    old.deploy(job_id=FIRST)
    path = old.stop()
    assert path.startswith("s3a://flink-checkpoints/torghut/technical-analysis/savepoints/savepoint-111111-")
    assert (old.status(), job_manager.jobs[FIRST].state) == ([], "FINISHED")
    ended = old.find(FIRST)
    assert ended is not None
    assert ended.is_ended
    assert old.stop() == path, "asked for again it is the same stop"
    found = new.deploy(job_id=SECOND, restore_from=path)
    assert found.restored_from == job_manager.jobs[SECOND].restored_from == path
    spec = namespace.deployment()["spec"]
    assert (spec["image"], spec["job"]["savepointRedeployNonce"]) == ("registry.invalid/ta:2", nonce_of(SECOND))
    environment = {one["name"]: one.get("value") for one in spec["podTemplate"]["spec"]["containers"][0]["env"]}
    assert environment["TA_SESSION"] == "regular"
    assert new.find(FIRST) is None, "another one was asked for since"


def test_a_start_without_state_replaces_what_was_there_and_the_next_change_keeps_its_state(
    runtime: KubernetesRuntime, job_manager: PlayedJobManager, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST, restore_from=SAVEPOINT)
    runtime.stop()
    runtime.deploy(job_id=SECOND)
    assert job_manager.jobs[SECOND].restored_from is None
    job = namespace.deployment()["spec"]["job"]
    assert job["upgradeMode"] == "savepoint"
    assert "initialSavepointPath" not in job


def test_a_rollback_replaces_what_runs_from_a_savepoint(
    runtime_of: Runtimes, job_manager: PlayedJobManager, namespace: Namespace
) -> None:
    runtime_of(image="registry.invalid/ta:2").deploy(job_id=FIRST)
    found = runtime_of().rollback(SAVEPOINT)
    assert job_manager.jobs[FIRST].state == "CANCELED"
    assert job_manager.jobs[found.job_id].restored_from == SAVEPOINT
    assert namespace.deployment()["spec"]["image"] == "registry.invalid/ta:1"


@pytest.mark.parametrize("before", ["suspended", "running"])
def test_stable_is_no_answer_while_the_job_manager_of_a_redeployment_is_still_coming_up(
    runtime_of: Runtimes, operator: PlayedOperator, job_manager: PlayedJobManager, namespace: Namespace, before: str
) -> None:
    """The operator marks what it redeploys from a savepoint as stable at once."""
    runtime_of().deploy(job_id=FIRST)
    path = runtime_of().stop() if before == "suspended" else SAVEPOINT
    job_manager.comes_up = False
    new = runtime_of(Waits(deploy=2.0, poll=0.1), image="registry.invalid/ta:2")
    new.start(path, SECOND)
    operator.await_seen("STABLE", "DEPLOYING")
    with pytest.raises(KubernetesError, match="after 2 s: the JobManager is DEPLOYING"):
        new.await_checkpoint(SECOND)
    assert namespace.deployment()["status"]["lifecycleState"] == "STABLE"
    assert [one.state for one in new.status()] == ["RECONCILING"]
    job_manager.comes_up = True
    new.await_checkpoint(SECOND, timeout_seconds=20)
    assert [(one.job_id, one.state) for one in new.status()] == [(SECOND, "RUNNING")]
    assert job_manager.jobs[SECOND].restored_from == path


def test_suspended_with_its_last_state_a_job_goes_on_as_the_same_one(
    runtime: KubernetesRuntime, job_manager: PlayedJobManager
) -> None:
    runtime.deploy(job_id=FIRST)
    view = runtime.suspend("last-state")
    assert (view.lifecycle, view.upgrade_mode, view.savepoint_at_stop) == ("SUSPENDED", "last-state", None)
    assert runtime.status() == []
    found = runtime.resume()
    assert (found.job_id, found.restored_from) == (FIRST, None)
    assert job_manager.jobs[FIRST].restored_from == "KUBERNETES_OPERATOR_LAST_STATE"


def test_suspended_with_a_savepoint_a_job_is_resumed_from_it(
    runtime: KubernetesRuntime, job_manager: PlayedJobManager
) -> None:
    runtime.deploy(job_id=FIRST)
    path = runtime.stop()
    found = runtime.resume()
    assert found.restored_from == job_manager.jobs[FIRST].restored_from == path
    assert [one.state for one in runtime.status()] == ["RUNNING"]


def test_a_cancelled_job_is_gone_and_cancelling_again_is_fine(runtime: KubernetesRuntime) -> None:
    runtime.cancel()
    runtime.deploy(job_id=FIRST)
    runtime.cancel()
    runtime.cancel()
    assert runtime.status() == []
    with pytest.raises(KubernetesError, match="suspended without a savepoint"):
        runtime.stop()


def test_a_job_that_never_came_up_is_ended_though_the_operator_has_no_state_of_it(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    operator.script.last_state = False
    runtime.deploy(job_id=FIRST)
    runtime.cancel()
    assert namespace.deployment()["status"]["lifecycleState"] == "SUSPENDED"
    assert namespace.deployment()["spec"]["job"]["upgradeMode"] == "stateless"


def test_a_removed_deployment_is_gone(runtime: KubernetesRuntime) -> None:
    runtime.deploy(job_id=FIRST)
    runtime.remove()
    assert (runtime.status(), runtime.find(FIRST), runtime.newest_job_id()) == ([], None, None)
    runtime.remove()


def test_an_api_server_that_restarts_in_the_middle_of_a_rollout_is_waited_for(
    runtime_of: Runtimes, namespace: Namespace, operator: PlayedOperator
) -> None:
    told: list[str] = []
    runtime = runtime_of(Waits(deploy=60.0, stop=60.0, savepoint=60.0, poll=0.1))
    operator.script.blind_after = 0
    with restarted(namespace, after=lambda: any("has not taken note" in text for text in told)):
        release_when(lambda: any("does not answer" in text for text in told), operator)
        found = runtime.deploy(job_id=FIRST, report=told.append)
    assert found.job_id == FIRST
    assert any("does not answer" in text for text in told), told
    assert [one.state for one in runtime.status()] == ["RUNNING"]


def test_an_api_server_that_stays_away_leaves_it_unknown_and_not_failed(
    runtime_of: Runtimes, namespace: Namespace
) -> None:
    runtime = runtime_of(Waits(deploy=1.0, stop=1.0, savepoint=1.0, poll=0.1, seen=1.0))
    runtime.deploy(job_id=FIRST)
    namespace.cluster.stop_api_server()
    try:
        for ask in (runtime.status, runtime.stop, runtime.savepoint, runtime.cancel, runtime.newest_job_id):
            with pytest.raises(KubernetesNoAnswerError, match="does not answer"):
                ask()
        with pytest.raises(KubernetesNoAnswerError) as caught:
            runtime.await_checkpoint(FIRST)
        assert not isinstance(caught.value, DeployError)
    finally:
        namespace.cluster.start_api_server()
    assert [one.state for one in runtime.status()] == ["RUNNING"]


def test_what_somebody_else_changes_meanwhile_is_told(runtime: KubernetesRuntime, namespace: Namespace) -> None:
    runtime.deploy(job_id=FIRST)
    path = f"{namespace.path('flinkdeployments')}/torghut-ta"
    namespace.admin.call("PATCH", path, {"spec": {"job": {"state": "suspended"}}}, kind="merge-patch+json")
    with pytest.raises(KubernetesError, match="was suspended by somebody else meanwhile"):
        runtime.await_checkpoint(FIRST)


class restarted:  # noqa: N801 - used as a function
    """Ends the API server once something has happened, and starts it again after three seconds."""

    def __init__(self, namespace: Namespace, after: Callable[[], bool]) -> None:
        self._cluster, self._after = namespace.cluster, after
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._thread.join()

    def _run(self) -> None:
        while not self._after():
            time.sleep(0.05)
        self._cluster.stop_api_server()
        time.sleep(3)
        self._cluster.start_api_server()


def release_when(happened: Callable[[], bool], operator: PlayedOperator) -> None:
    """Let the operator take note of everything once something has happened."""

    def run() -> None:
        deadline = time.monotonic() + 60
        while not happened() and time.monotonic() < deadline:
            time.sleep(0.05)
        operator.script.blind_after = None

    threading.Thread(target=run, daemon=True).start()
