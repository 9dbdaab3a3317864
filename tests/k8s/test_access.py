"""Who may do what, checked by doing it: RBAC is on, and each account asks as itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from ta_pipeline.errors import ForbiddenError, KubernetesError
from ta_pipeline.kubernetes.client import EVENT, FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT, POD, Kind, KubernetesApi
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.settings import load_settings
from tests.access import ACCESS
from tests.k8s.conftest import PATIENCE, PLATFORM_RULES, Namespace, declared, settings_of
from tests.k8s.jobmanager import PlayedJobManager

CONFIG_MAP = Kind("ConfigMap", "configmaps", "v1")
DEPLOYMENT = Kind("Deployment", "deployments", "apps/v1")
RBAC = "rbac.authorization.k8s.io/v1"
KINDS = (
    POD, EVENT, CONFIG_MAP, DEPLOYMENT, FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT,
    Kind("Secret", "secrets", "v1"), Kind("Service", "services", "v1"), Kind("ServiceAccount", "serviceaccounts", "v1"),
    Kind("PodTemplate", "podtemplates", "v1"), Kind("Job", "jobs", "batch/v1"),
    Kind("Lease", "leases", "coordination.k8s.io/v1"), Kind("Role", "roles", RBAC),
    Kind("RoleBinding", "rolebindings", RBAC), Kind("NetworkPolicy", "networkpolicies", "networking.k8s.io/v1"),
)  # fmt: skip
PARTS = {
    "pods": ("log", "exec", "eviction"), "jobs": ("status",), "deployments": ("finalizers", "scale"),
    "serviceaccounts": ("token",), "flinkdeployments": ("status",),
}  # fmt: skip
"""Of an object by its plural, those that have an address, and rights, of their own."""
_CONTAINERS = {"containers": [{"name": "c", "image": "i"}]}
CONTENT: dict[str, dict[str, Any]] = {
    "Pod": {"spec": _CONTAINERS},
    "Event": {"reason": "a"},
    "ConfigMap": {"data": {"a": "1"}},
    "Secret": {"stringData": {"a": "1"}},
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "ServiceAccount": {},
    "Role": {"rules": []},
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "Lease": {"spec": {"holderIdentity": "a"}},
    "PodTemplate": {"template": {"spec": _CONTAINERS}},
    "Job": {"spec": {"template": {"spec": {"restartPolicy": "Never", **_CONTAINERS}}}},
    "Deployment": {"spec": {
        "selector": {"matchLabels": {"a": "1"}},
        "template": {"metadata": {"labels": {"a": "1"}}, "spec": _CONTAINERS},
    }},
    "FlinkDeployment": {"spec": {"job": {"state": "running"}}},
    "FlinkStateSnapshot": {"spec": {}},
}  # fmt: skip
METHODS = {"get": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
ANSWERS = {200, 201, 202, 403, 404, 409, 422}
"""A Pod cannot be replaced by one without a node's fields, and a namespace elsewhere has nothing."""


def content_of(namespace: str, kind: Kind, name: str) -> dict[str, Any]:
    """An object; of an event, the API server wants to know what it is about."""
    about = {"involvedObject": {"kind": "Pod", "name": "there", "namespace": namespace}} if kind == EVENT else {}
    return {
        "apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name}, **CONTENT[kind.name], **about,
    }  # fmt: skip


def asked(api: KubernetesApi, kind: Kind) -> dict[str, int]:
    """Ask for everything that there is to ask of a kind, for real; the status of each answer by verb."""
    many = f"{kind.prefix}/namespaces/{api.namespace}/{kind.plural}"
    there, content = f"{many}/there", content_of(api.namespace, kind, "there")
    calls: dict[str, tuple[str, str, Any, list[tuple[str, str]]]] = {
        "get": ("GET", there, None, []),
        "list": ("GET", many, None, []),
        "watch": ("GET", many, None, [("watch", "1"), ("timeoutSeconds", "1")]),
        "create": ("POST", many, content_of(api.namespace, kind, "asked"), []),
        "update": ("PUT", there, content, []),
        "patch": ("PATCH", there, content, [("fieldManager", "test"), ("force", "true")]),
        "delete": ("DELETE", there, None, []),
        "deletecollection": ("DELETE", many, None, []),
    }
    return {
        verb: api._send(method, path, body, query, verb).status for verb, (method, path, body, query) in calls.items()
    }


def asked_of_part(api: KubernetesApi, kind: Kind, part: str) -> dict[str, int]:
    """The same of a part of one object. What is allowed may be an address that is not served, or nothing to be read."""
    path = f"{kind.prefix}/namespaces/{api.namespace}/{kind.plural}/there/{part}"
    found = {verb: api._send(method, path, {}, [], verb).status for verb, method in METHODS.items()}
    return {verb: 404 if status in {204, 400, 405, 415} else status for verb, status in found.items()}


def group_of(kind: Kind) -> str:
    return kind.api_version.rpartition("/")[0]


def allowed(api: KubernetesApi, kinds: Iterable[Kind] = KINDS) -> dict[tuple[str, str], set[str]]:
    """The verbs that are not refused; whatever else goes wrong is a failure of the test."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for kind in kinds:
        # Parts first: with its last verbs the object is gone.
        for part in PARTS.get(kind.plural, ()):
            found[group_of(kind), f"{kind.plural}/{part}"] = asked_of_part(api, kind, part)
        found[group_of(kind), kind.plural] = asked(api, kind)
    unexpected = {key: statuses for key, statuses in found.items() if not set(statuses.values()) <= ANSWERS}
    assert unexpected == {}
    verbs = {key: {verb for verb, status in statuses.items() if status != 403} for key, statuses in found.items()}
    return {key: of_it for key, of_it in verbs.items() if of_it}


@pytest.mark.parametrize("account", ACCESS)
def test_an_account_may_do_what_the_table_says_and_nothing_else(namespace: Namespace, account: str) -> None:
    api = namespace.declared_account(account)
    for kind in KINDS:
        # Something that is there, to be changed and deleted.
        path = namespace.path(kind.plural, kind.api_version)
        namespace.admin.call("POST", path, content_of(namespace.name, kind, "there"))
    assert allowed(api) == ACCESS[account]


@pytest.mark.parametrize("account", ACCESS)
def test_it_may_do_nothing_in_another_namespace(namespace: Namespace, account: str) -> None:
    elsewhere = KubernetesApi(namespace.declared_account(account)._client, "default")
    assert allowed(elsewhere, (POD, CONFIG_MAP, FLINK_DEPLOYMENT)) == {}


OWNED = pytest.mark.parametrize("kind", [POD, CONFIG_MAP], ids=lambda kind: kind.plural)
"""What Flink's native mode makes the JobManager's Deployment the owner of, which is not to be gone before it."""


def owned(namespace: Namespace, kind: Kind) -> dict[str, Any]:
    """An object with an owner that is there, as Flink makes it."""
    made = namespace.admin.call(
        "POST",
        namespace.path(DEPLOYMENT.plural, DEPLOYMENT.api_version),
        content_of(namespace.name, DEPLOYMENT, "owner"),
    )
    found = content_of(namespace.name, kind, "owned")
    found["metadata"]["ownerReferences"] = [{
        "apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.name, "name": "owner", "uid": made["metadata"]["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }]  # fmt: skip
    return found


@OWNED
def test_the_jobs_account_may_name_the_deployment_as_an_owner_that_waits_for_it(
    namespace: Namespace, kind: Kind
) -> None:
    job, content = namespace.declared_account("torghut-ta"), owned(namespace, kind)
    answer = job._send("POST", namespace.path(kind.plural, kind.api_version), content, [], "create")
    assert answer.status == 201, answer.body
    (reference,) = json.loads(answer.body)["metadata"]["ownerReferences"]
    assert reference["blockOwnerDeletion"] is True


@OWNED
def test_without_the_right_to_its_finalizers_it_may_not(namespace: Namespace, kind: Kind) -> None:
    (role,) = [
        one for one in render("prod") if one["kind"] == "Role" and one["metadata"]["name"] == "torghut-ta"
    ]  # fmt: skip
    rules = [rule for rule in role["rules"] if rule["resources"] != ["deployments/finalizers"]]
    assert len(rules) == len(role["rules"]) - 1
    job, content = namespace.account("less", rules), owned(namespace, kind)
    answer = job._send("POST", namespace.path(kind.plural, kind.api_version), content, [], "create")
    assert answer.status == 403
    assert b"cannot set blockOwnerDeletion" in answer.body


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
