"""Dagster's own client ends and explains runs as the account that its daemon has."""

from __future__ import annotations

from typing import Any

import pytest
from dagster_k8s.client import DagsterKubernetesClient
from kubernetes.client import ApiClient, ApiException, BatchV1Api, CoreV1Api

from ta_pipeline.kubernetes.client import POD, configuration_of
from ta_pipeline.settings import load_settings
from tests.k8s.conftest import Namespace

ACCOUNT = "torghut-ta-dagster"
RUN = "dagster-run-0"
SPEC = {"restartPolicy": "Never", "containers": [{"name": "dagster", "image": "registry.invalid/ta:1"}]}
JOB = {
    "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": RUN}, "spec": {"template": {"spec": SPEC}},
}  # fmt: skip


def client_as(namespace: Namespace, account: str) -> DagsterKubernetesClient:
    """Dagster's client with the login of an account."""
    client = ApiClient(configuration_of(load_settings(k8s_kubeconfig=str(namespace.kubeconfig(account)))))
    return DagsterKubernetesClient.production_client(BatchV1Api(client), CoreV1Api(client))


@pytest.fixture
def client(namespace: Namespace) -> DagsterKubernetesClient:
    """As the webserver and the daemon have it, after they have launched a run."""
    namespace.declared_account(ACCOUNT)
    client = client_as(namespace, ACCOUNT)
    client.create_namespaced_job_with_retries(JOB, namespace.name)
    make_pod(namespace)
    return client


def make_pod(namespace: Namespace) -> None:
    """What the Job controller makes, and the node says of it: it has ended."""
    job = namespace.admin.call("GET", f"{namespace.path('jobs', 'batch/v1')}/{RUN}")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": RUN, "uid": job["metadata"]["uid"], "controller": True}
    path = namespace.path(POD.plural, POD.api_version)
    namespace.admin.call("POST", path, {
        "metadata": {"name": f"{RUN}-a", "labels": {"job-name": RUN}, "ownerReferences": [owner]}, "spec": SPEC,
    })  # fmt: skip
    ended = {"name": "dagster", "image": "i", "imageID": "i", "ready": False, "restartCount": 0,
             "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}  # fmt: skip
    namespace.admin.call(
        "PATCH", f"{path}/{RUN}-a/status", {"status": {"phase": "Failed", "containerStatuses": [ended]}},
        kind="merge-patch+json",
    )  # fmt: skip


def there(namespace: Namespace, plural: str, api_version: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = namespace.admin.call("GET", namespace.path(plural, api_version))["items"]
    return found


def test_a_run_that_is_cancelled_leaves_no_pod_behind(client: DagsterKubernetesClient, namespace: Namespace) -> None:
    assert [one["metadata"]["name"] for one in there(namespace, "pods", "v1")] == [f"{RUN}-a"]
    assert client.delete_job(RUN, namespace.name) is True
    assert there(namespace, "pods", "v1") == []
    assert [one["metadata"].get("deletionTimestamp") for one in there(namespace, "jobs", "batch/v1")] != [None]


def test_a_run_that_is_gone_already_is_told_from_one_that_may_not_be_ended(
    client: DagsterKubernetesClient, namespace: Namespace
) -> None:
    assert client.delete_job("dagster-run-1", namespace.name) is False
    namespace.account("nobody", [])
    with pytest.raises(ApiException) as refused:
        client_as(namespace, "nobody").delete_job(RUN, namespace.name)
    assert refused.value.status == 403


def test_the_api_server_itself_would_leave_the_pod_where_the_job_is_deleted_alone(
    client: DagsterKubernetesClient, namespace: Namespace
) -> None:
    """Why `delete` on pods is needed: batch/v1 orphans what a Job has made, unless who deletes it says otherwise."""
    client.batch_api.delete_namespaced_job(RUN, namespace.name)
    (job,) = there(namespace, "jobs", "batch/v1")
    assert job["metadata"]["finalizers"] == ["orphan"]


def test_what_a_failed_run_says_can_be_read(client: DagsterKubernetesClient, namespace: Namespace) -> None:
    path = namespace.path("events", "v1")
    about = {"namespace": namespace.name, "kind": "Pod", "name": f"{RUN}-a"}
    namespace.admin.call("POST", path, {
        "metadata": {"name": "e"}, "involvedObject": about, "type": "Warning", "reason": "Evicted", "message": "full",
    })  # fmt: skip
    namespace.admin.call(
        "PATCH", f"{namespace.path('jobs', 'batch/v1')}/{RUN}/status",
        {"status": {"startTime": "2026-01-02T03:04:05Z"}}, kind="merge-patch+json",
    )  # fmt: skip
    status = client.get_job_status(RUN, namespace.name)
    assert status is not None
    assert status.start_time is not None
    assert "start_time: 2026-01-02T03:04:05" in client.get_job_debug_info(RUN, namespace.name)
    said = client.get_pod_debug_info(f"{RUN}-a", namespace.name)
    assert "OOMKilled" in said
    assert "Evicted: full" in said
    # Of the log, which no node has here, and of the events: what is refused is said so.
    assert "Failure fetching" not in said
