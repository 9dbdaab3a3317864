"""Somebody else keeps the same object: a GitOps controller, another person, an operator of another version."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ta_pipeline.errors import KubernetesError, OwnedError
from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT
from ta_pipeline.kubernetes.deployment import to_run
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from tests.k8s.conftest import Namespace, Runtimes, declared, settings_of
from tests.k8s.crds import of_a_newer_operator
from tests.k8s.jobmanager import PlayedJobManager
from tests.k8s.operator import PlayedOperator
from tests.kubernetes_schemas import crd_of

FIRST, SECOND = "1" * 32, "2" * 32
TRACKED = {"argocd.argoproj.io/tracking-id": "ta:flink.apache.org/FlinkDeployment:x/torghut-ta"}


@pytest.fixture
def kept(namespace: Namespace, job_manager: PlayedJobManager) -> dict[str, Any]:
    """The object as Argo CD applies it from a repository, which leaves `state` to others (ignoreDifferences)."""
    content = to_run(declared(), settings_of(namespace, job_manager), FIRST)
    content["metadata"]["annotations"] = TRACKED
    del content["spec"]["job"]["state"]
    path = f"{namespace.path(FLINK_DEPLOYMENT.plural)}/torghut-ta?fieldManager=argocd-controller"
    found: dict[str, Any] = namespace.admin.call("PATCH", path, content, kind="apply-patch+yaml")
    return found


def test_another_image_is_left_to_the_repository_and_the_plan_says_so(
    runtime_of: Runtimes, kept: dict[str, Any], namespace: Namespace
) -> None:
    runtime = runtime_of(image="registry.invalid/ta:2")
    (remark,) = runtime.remarks()
    assert "Argo CD (application ta) keeps FlinkDeployment" in remark
    (obstacle,) = runtime.obstacles()
    assert 'spec.image: conflict with "argocd-controller"' in obstacle
    assert "Argo CD (application ta) keeps it: change it in its repository" in obstacle
    assert namespace.deployment()["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]


def test_nothing_is_forced(
    runtime_of: Runtimes, kept: dict[str, Any], operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime = runtime_of(image="registry.invalid/ta:2")
    runtime.await_checkpoint(FIRST)
    with pytest.raises(OwnedError, match="argocd-controller"):
        runtime.rollback("s3a://b/savepoint-1-1")
    assert namespace.deployment()["spec"]["image"] == kept["spec"]["image"]
    operator.await_seen("STABLE", "READY")


def test_what_the_repository_leaves_to_others_is_ours_to_change(
    runtime: KubernetesRuntime, kept: dict[str, Any], operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.await_checkpoint(FIRST)
    assert runtime.stop().startswith("s3a://")
    found = namespace.deployment()
    assert found["spec"]["job"]["state"] == "suspended"
    assert found["spec"]["image"] == kept["spec"]["image"]
    assert found["spec"]["podTemplate"] == kept["spec"]["podTemplate"]
    runtime.resume()
    operator.await_seen("STABLE", "READY")


def test_what_a_person_has_changed_by_hand_is_not_changed_back_silently(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    runtime.deploy(job_id=FIRST)
    path = f"{namespace.path(FLINK_DEPLOYMENT.plural)}/torghut-ta?fieldManager=kubectl-edit"
    content = {"spec": {"job": {"parallelism": 4}}}
    namespace.admin.call("PATCH", path, content, kind="merge-patch+json")
    (obstacle,) = runtime.obstacles()
    assert 'spec.job.parallelism: conflict with "kubectl-edit"' in obstacle
    assert runtime.remarks() == []
    assert operator.seen


def test_of_an_object_that_is_ours_alone_nothing_is_to_be_said(
    runtime: KubernetesRuntime, operator: PlayedOperator, namespace: Namespace
) -> None:
    assert (runtime.obstacles(), runtime.remarks()) == ([], [])
    runtime.deploy(job_id=FIRST)
    before = namespace.deployment()["metadata"]["resourceVersion"]
    assert (runtime.obstacles(), runtime.remarks()) == ([], [])
    assert namespace.deployment()["metadata"]["resourceVersion"] == before, "a plan changes nothing"
    assert operator.seen


def test_an_operator_that_does_not_know_flink_2_2_is_told_before_anything_is_done(
    runtime: KubernetesRuntime, namespace: Namespace
) -> None:
    """The CRD as the newest jar on Maven Central has it: the one known difference."""
    with other_crd(namespace, crd_of(FLINK_DEPLOYMENT.name)["spec"]["versions"]):
        obstacle = eventually(runtime)
        assert 'spec.flinkVersion: Unsupported value: "v2_2"' in obstacle
        with pytest.raises(KubernetesError, match="v2_2"):
            runtime.prepare()
    until_taken(runtime)


@pytest.mark.usefixtures("operator")
def test_an_operator_whose_crd_does_not_know_a_field_is_told_before_anything_is_done(
    runtime_of: Runtimes, namespace: Namespace
) -> None:
    """Operator 1.7 has no savepointRedeployNonce: the API server answers an apply with 500, and means it."""
    runtime, savepoint = runtime_of(), "s3a://flink-checkpoints/savepoint-111111-aaaaaaaaaaaa"
    runtime.deploy()
    before = namespace.deployment()["metadata"]["generation"]
    older = copy.deepcopy(of_a_newer_operator()["spec"]["versions"])
    spec = older[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del spec["job"]["properties"]["savepointRedeployNonce"]
    with other_crd(namespace, older):
        obstacle = eventually(runtime)
        assert "the CRD on the cluster does not take it" in obstacle
        assert ".spec.job.savepointRedeployNonce: field not declared in schema" in obstacle
        with pytest.raises(KubernetesError, match="savepointRedeployNonce"):
            runtime.rollback(savepoint)
        assert namespace.deployment()["metadata"]["generation"] == before
    assert [one.state for one in runtime.status()] == ["RUNNING"]


@contextlib.contextmanager
def other_crd(namespace: Namespace, versions: list[dict[str, Any]]) -> Iterator[None]:
    """The CRD of FlinkDeployments with other versions, for as long as this lasts."""
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{FLINK_DEPLOYMENT.plural}.flink.apache.org"
    ours = namespace.admin.call("GET", path)
    namespace.admin.call("PUT", path, {**ours, "spec": {**ours["spec"], "versions": versions}})
    try:
        yield
    finally:
        current = namespace.admin.call("GET", path)
        namespace.admin.call("PUT", path, {**current, "spec": ours["spec"]})


def eventually(runtime: KubernetesRuntime) -> str:
    """What stands in the way, once the API server works with the other CRD."""
    for _ in range(100):
        if found := runtime.obstacles():
            return found[0]
        time.sleep(0.1)
    return ""


def until_taken(runtime: KubernetesRuntime) -> None:
    for _ in range(100):
        if not runtime.obstacles():
            return
        time.sleep(0.1)
    raise RuntimeError("the CRD was not put back")
