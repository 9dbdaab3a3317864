"""Savepoints while the job runs: by a FlinkStateSnapshot, and by a nonce where that is not installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ta_pipeline.errors import KubernetesError
from ta_pipeline.kubernetes.client import FLINK_STATE_SNAPSHOT
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from tests.k8s.conftest import Administrator, Namespace
from tests.k8s.operator import PlayedOperator
from tests.kubernetes_schemas import crd_of

FIRST = "1" * 32
DIRECTORY = "s3a://flink-checkpoints/torghut/technical-analysis/savepoints/savepoint-"


@pytest.fixture
def without_snapshots(namespace: Namespace) -> Iterator[None]:
    """The CRDs of an older operator."""
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{FLINK_STATE_SNAPSHOT.plural}.flink.apache.org"
    namespace.admin.call("DELETE", path)
    namespace.admin.await_served(FLINK_STATE_SNAPSHOT.plural, served=False)
    yield
    _install_again(namespace.admin)


def _install_again(admin: Administrator) -> None:
    admin.install(crd_of(FLINK_STATE_SNAPSHOT.name))


def test_where_snapshots_are_installed_one_is_made_and_outlives_nothing(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST)
    generation = namespace.deployment()["metadata"]["generation"]
    assert runtime.savepoint().startswith(DIRECTORY)
    assert namespace.deployment()["metadata"]["generation"] == generation, "the deployment is left alone"
    (made,) = namespace.admin.call("GET", namespace.path(FLINK_STATE_SNAPSHOT.plural))["items"]
    assert made["spec"]["savepoint"]["disposeOnDelete"] is False
    assert operator.seen


@pytest.mark.usefixtures("without_snapshots")
def test_where_they_are_not_a_nonce_asks_for_one(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST)
    first, second = runtime.savepoint(), runtime.savepoint()
    assert first.startswith(DIRECTORY + "111111-")
    assert first != second
    status = namespace.deployment()["status"]["jobStatus"]["savepointInfo"]["lastSavepoint"]
    assert status["location"] == second
    assert namespace.deployment()["spec"]["job"]["savepointTriggerNonce"] == status["triggerNonce"]
    assert [one.state for one in runtime.status()] == ["RUNNING"]
    operator.await_seen("STABLE", "READY")


def test_a_snapshot_that_fails_says_why(runtime: KubernetesRuntime, operator: PlayedOperator) -> None:
    runtime.deploy(job_id=FIRST)
    operator.script.savepoint = "fails"
    with pytest.raises(KubernetesError, match="is FAILED: No space left on device"):
        runtime.savepoint()


@pytest.mark.usefixtures("without_snapshots")
def test_a_nonce_that_comes_to_nothing_is_an_error(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST)
    operator.script.savepoint = "fails"
    namespace.warn("torghut-ta-taskmanager-1-1", "Evicted", "The node was low on resource: memory")
    with pytest.raises(KubernetesError, match=r"(was given up|failed).*around it.*Evicted: The node was") as caught:
        runtime.savepoint()
    assert "FlinkDeployment torghut-ta: SavepointError: Savepoint failed for savepointTriggerNonce" in str(caught.value)


def test_of_an_operator_that_is_away_no_savepoint_is_told(
    runtime: KubernetesRuntime, idle_operator: PlayedOperator
) -> None:
    with idle_operator.running():
        runtime.deploy(job_id=FIRST)
    with pytest.raises(KubernetesError, match="not begun: does the operator run"):
        runtime.savepoint()


def test_what_does_not_run_takes_none(runtime: KubernetesRuntime, operator: PlayedOperator) -> None:
    with pytest.raises(KubernetesError, match="there is no FlinkDeployment"):
        runtime.savepoint()
    runtime.deploy(job_id=FIRST)
    runtime.stop()
    with pytest.raises(KubernetesError, match="does not run"):
        runtime.savepoint()
    assert operator.seen
