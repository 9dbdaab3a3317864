"""Who may do what, checked by doing it: RBAC is on, and each account asks as itself."""

from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.errors import ForbiddenError, KubernetesError
from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT, POD, Kind, KubernetesApi
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.settings import load_settings
from tests.k8s.conftest import PATIENCE, PLATFORM_RULES, Namespace, declared, settings_of
from tests.k8s.jobmanager import PlayedJobManager

CONFIG_MAP = Kind("ConfigMap", "configmaps", "v1")
SECRET = Kind("Secret", "secrets", "v1")
SERVICE = Kind("Service", "services", "v1")
ACCOUNT = Kind("ServiceAccount", "serviceaccounts", "v1")
DEPLOYMENT = Kind("Deployment", "deployments", "apps/v1")
JOB_OF_PODS = Kind("Job", "jobs", "batch/v1")
POD_TEMPLATE = Kind("PodTemplate", "podtemplates", "v1")
LEASE = Kind("Lease", "leases", "coordination.k8s.io/v1")
ROLE = Kind("Role", "roles", "rbac.authorization.k8s.io/v1")
CONTENT: dict[str, dict[str, Any]] = {
    "Pod": {"spec": {"containers": [{"name": "c", "image": "i"}]}},
    "ConfigMap": {"data": {"a": "1"}},
    "Secret": {"stringData": {"a": "1"}},
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "ServiceAccount": {},
    "Role": {"rules": []},
    "Lease": {"spec": {"holderIdentity": "a"}},
    "PodTemplate": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
    "Job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}},
    "Deployment": {"spec": {
        "selector": {"matchLabels": {"a": "1"}},
        "template": {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }},
    "FlinkDeployment": {"spec": {"job": {"state": "running"}}},
    "FlinkStateSnapshot": {"spec": {}},
}  # fmt: skip
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
JOB = {
    POD: {"get", "list", "watch", "create", "delete"},
    CONFIG_MAP: {"get", "list", "watch", "create", "update", "patch", "delete"},
    DEPLOYMENT: {"get"},
    SECRET: set(), SERVICE: set(), ACCOUNT: set(), ROLE: set(), FLINK_DEPLOYMENT: set(), FLINK_STATE_SNAPSHOT: set(),
    JOB_OF_PODS: set(), POD_TEMPLATE: set(), LEASE: set(),
}  # fmt: skip
"""What the job's pods may do: native mode and high availability, and nothing else."""
PLATFORM = {
    FLINK_DEPLOYMENT: {"get", "create", "patch", "delete"},
    FLINK_STATE_SNAPSHOT: {"get", "create"},
    POD: {"list"},
    JOB_OF_PODS: {"list", "create"},
    POD_TEMPLATE: {"get"},
    LEASE: {"get", "create", "update"},
    SECRET: set(), CONFIG_MAP: set(), SERVICE: set(), ACCOUNT: set(), ROLE: set(), DEPLOYMENT: set(),
}  # fmt: skip
"""What whoever drives the runtime may do."""


@pytest.fixture
def job(namespace: Namespace) -> KubernetesApi:
    """The job's ServiceAccount with its Role, as the overlay has both."""
    for one in render("prod"):
        if one["metadata"]["name"] == "torghut-ta" and one["kind"] in {"ServiceAccount", "Role", "RoleBinding"}:
            plural = f"{one['kind'].lower()}s"
            content = {**one, "metadata": {"name": "torghut-ta"}}
            if one["kind"] == "RoleBinding":
                content["subjects"] = [{**subject, "namespace": namespace.name} for subject in one["subjects"]]
            namespace.admin.call("POST", namespace.path(plural, one["apiVersion"]), content)
    return namespace.as_account("torghut-ta")


def ask(api: KubernetesApi, verb: str, kind: Kind) -> int:
    """Ask for one thing, for real; the status of the answer."""
    many = f"{kind.prefix}/namespaces/{api.namespace}/{kind.plural}"
    there = f"{many}/there"
    content = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "there"}, **CONTENT[kind.name]}
    calls: dict[str, tuple[str, str, Any, list[tuple[str, str]]]] = {
        "get": ("GET", there, None, []),
        "list": ("GET", many, None, []),
        "watch": ("GET", many, None, [("watch", "1"), ("timeoutSeconds", "1")]),
        "create": ("POST", many, {**content, "metadata": {"name": "asked"}}, []),
        "update": ("PUT", there, content, []),
        "patch": ("PATCH", there, content, [("fieldManager", "test"), ("force", "true")]),
        "delete": ("DELETE", there, None, []),
        "deletecollection": ("DELETE", many, None, []),
    }
    method, path, body, query = calls[verb]
    return api._send(method, path, body, query, verb).status


def allowed(api: KubernetesApi, kind: Kind) -> set[str]:
    """The verbs that are not refused; whatever else goes wrong is a failure of the test."""
    found = {verb: ask(api, verb, kind) for verb in VERBS}
    # A Pod cannot be replaced by one without a node's fields, and a namespace elsewhere has nothing.
    unexpected = {verb: status for verb, status in found.items() if status not in {200, 201, 202, 403, 404, 409, 422}}
    assert unexpected == {}
    return {verb for verb, status in found.items() if status != 403}


@pytest.mark.parametrize("kind", JOB, ids=lambda kind: kind.plural)
def test_the_jobs_account_may_do_what_flink_does_and_nothing_else(
    job: KubernetesApi, namespace: Namespace, kind: Kind
) -> None:
    make(namespace, kind)
    assert allowed(job, kind) == JOB[kind]


@pytest.mark.parametrize("kind", PLATFORM, ids=lambda kind: kind.plural)
def test_the_platforms_account_may_do_what_the_runtime_does_and_nothing_else(namespace: Namespace, kind: Kind) -> None:
    make(namespace, kind)
    assert allowed(namespace.api, kind) == PLATFORM[kind]


def make(namespace: Namespace, kind: Kind) -> None:
    """Something that is there, to be changed and deleted."""
    content = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": "there"}, **CONTENT[kind.name]}
    namespace.admin.call("POST", namespace.path(kind.plural, kind.api_version), content)


def test_neither_may_do_anything_in_another_namespace(job: KubernetesApi, namespace: Namespace) -> None:
    for api in (job, namespace.api):
        elsewhere = KubernetesApi(api._client, "default")
        for kind in (POD, CONFIG_MAP, FLINK_DEPLOYMENT):
            assert allowed(elsewhere, kind) == set()


def test_an_account_without_rules_is_told_that_nothing_is_known(
    namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    nobody = namespace.account("nobody", [])
    runtime = KubernetesRuntime(settings_of(namespace, job_manager), declared, waits=PATIENCE, api=nobody)
    for call in (runtime.status, runtime.newest_job_id, runtime.savepoint, runtime.stop, runtime.cancel):
        with pytest.raises(ForbiddenError, match="is not known"):
            call()
    with pytest.raises(ForbiddenError):
        runtime.obstacles()


def test_an_account_that_may_read_only_is_told_so_by_the_plan(
    namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    reader = namespace.account("reader", [{**PLATFORM_RULES[0], "verbs": ["get"]}])
    runtime = KubernetesRuntime(settings_of(namespace, job_manager), declared, waits=PATIENCE, api=reader)
    assert runtime.status() == []
    (obstacle,) = runtime.obstacles()
    assert "cannot patch resource" in obstacle


def test_a_token_that_is_not_valid_says_where_to_look(namespace: Namespace) -> None:
    file = namespace.cluster.kubeconfig("not-a-token", namespace.name)
    api = KubernetesApi.of(load_settings(k8s_kubeconfig=str(file), k8s_namespace=namespace.name))
    with pytest.raises(KubernetesError, match="TA_K8S_KUBECONFIG"):
        api.find(POD)


@pytest.mark.parametrize("overlay", ["dev", "prod", "dagster"])
def test_everything_of_an_overlay_is_taken_by_the_api_server(namespace: Namespace, overlay: str) -> None:
    """Strictly: a field that it does not know is an error. Kinds of operators that are not installed are left out."""
    taken: list[str] = []
    for one in render(overlay):
        if one["apiVersion"].startswith("monitoring.coreos.com"):
            continue
        plural = {"NetworkPolicy": "networkpolicies"}.get(one["kind"], f"{one['kind'].lower()}s")
        content = {**one, "metadata": {**one["metadata"], "namespace": namespace.name}}
        path = namespace.path(plural, one["apiVersion"])
        namespace.admin.call("POST", f"{path}?fieldValidation=Strict&fieldManager=test", content)
        taken.append(one["kind"])
    assert {"NetworkPolicy", "Role", "ConfigMap"} <= set(taken)
