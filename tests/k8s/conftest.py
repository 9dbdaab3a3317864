"""One API server for the session; a namespace, an account and an operator for each test."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import ApiClient, ApiException

from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT, KubernetesApi, configuration_of
from ta_pipeline.kubernetes.declarations import Declaration
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.kubernetes.runtime import KubernetesRuntime, Waits
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.settings import Settings, load_settings
from tests.k8s.binaries import DIRECTORY
from tests.k8s.cluster import Cluster, running_cluster
from tests.k8s.crds import of_a_newer_operator
from tests.k8s.jobmanager import PlayedJobManager
from tests.k8s.operator import PlayedOperator
from tests.kubernetes_schemas import crd_of

if TYPE_CHECKING:
    from tests.k8s.places import Surroundings

PATIENCE = Waits(deploy=20.0, stop=8.0, savepoint=8.0, poll=0.1, unseen=1.0, seen=2.0)
IMAGE = "registry.invalid/ta:1"
(PLATFORM_RULES,) = (
    one["rules"]
    for one in render("dagster")
    if one["kind"] == "Role" and one["metadata"]["name"] == "torghut-ta-platform"
)
"""What whoever drives the runtime needs of the API server, and all of it."""


@dataclass(frozen=True)
class Administrator:
    """Asks the API server as one who may do everything."""

    client: ApiClient

    def call(self, method: str, path: str, content: Mapping[str, Any] | None = None, kind: str = "json") -> Any:
        """The answer's content."""
        headers = {**self.client.default_headers, "Accept": "application/json"}
        headers["Content-Type"] = f"application/{kind}"
        self.client.update_params_for_auth(headers, [], ["BearerToken"])
        answer = self.client.rest_client.request(
            method, self.client.configuration.host + path, headers=headers, body=content, _request_timeout=10
        )
        return json.loads(answer.data)

    def install(self, content: Mapping[str, Any]) -> None:
        """Create a CRD and wait until its kind is served."""
        self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", content)
        self.await_served(content["spec"]["names"]["plural"])

    def await_served(self, plural: str, *, served: bool = True) -> None:
        """Return when the kind is served, or is not any more."""
        for _ in range(600):
            if self._serves(plural) is served:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{plural} is {'not ' if served else ''}served after a minute")

    def _serves(self, plural: str) -> bool:
        try:
            found = self.call("GET", "/apis/flink.apache.org/v1beta1")
        except ApiException as error:
            if error.status != 404:
                raise
            return False
        return any(one["name"] == plural for one in found["resources"])


@dataclass(frozen=True)
class Namespace:
    """A namespace of its own, with an account that has the rules of the platform there.

    Attributes:
        name: of it.
        cluster: it is on.
        admin: asks as one who may do everything.
        api: asks as the account.
    """

    name: str
    cluster: Cluster
    admin: Administrator
    api: KubernetesApi

    def deployment(self, name: str = "torghut-ta") -> dict[str, Any]:
        """A FlinkDeployment as it lies there."""
        return self.admin.call("GET", f"{self.path(FLINK_DEPLOYMENT.plural)}/{name}")  # type: ignore[no-any-return]

    def warn(self, name: str, reason: str, message: str) -> None:
        """A warning about an object, which may be gone: what a node or a controller would have made."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.admin.call("POST", self.path("events", "v1"), {
            "metadata": {"name": secrets.token_hex(8)}, "type": "Warning", "reason": reason, "message": message,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "involvedObject": {"kind": "Pod", "name": name, "namespace": self.name},
        })  # fmt: skip

    def path(self, plural: str, api_version: str = FLINK_DEPLOYMENT.api_version) -> str:
        """Of the objects of a kind."""
        prefix = "/apis/" if "/" in api_version else "/api/"
        return f"{prefix}{api_version}/namespaces/{self.name}/{plural}"

    def account(self, name: str, rules: list[dict[str, Any]]) -> KubernetesApi:
        """Who asks as a ServiceAccount with these rules."""
        rbac = "rbac.authorization.k8s.io/v1"
        self.admin.call("POST", self.path("serviceaccounts", "v1"), {"metadata": {"name": name}})
        self.admin.call("POST", self.path("roles", rbac), {"metadata": {"name": name}, "rules": rules})
        self.bind(name)
        return self.as_account(name)

    def declared_account(self, name: str) -> KubernetesApi:
        """Who asks as a ServiceAccount of the overlays, with its Role, as they are rendered."""
        for one in render("dagster"):
            if one["metadata"]["name"] == name and one["kind"] in {"ServiceAccount", "Role", "RoleBinding"}:
                content = {**one, "metadata": {"name": name}}
                if one["kind"] == "RoleBinding":
                    content["subjects"] = [{**subject, "namespace": self.name} for subject in one["subjects"]]
                self.admin.call("POST", self.path(f"{one['kind'].lower()}s", one["apiVersion"]), content)
        return self.as_account(name)

    def bind(self, name: str) -> None:
        """Give an account the role of its name."""
        self.admin.call("POST", self.path("rolebindings", "rbac.authorization.k8s.io/v1"), {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        })  # fmt: skip

    def as_account(self, name: str) -> KubernetesApi:
        """Who asks as a ServiceAccount that is there."""
        configuration = configuration_of(load_settings(k8s_kubeconfig=str(self.kubeconfig(name))))
        return KubernetesApi(ApiClient(configuration), self.name, refused_seconds=0.5)

    def kubeconfig(self, name: str) -> Path:
        """A kubeconfig with a token of a ServiceAccount that is there."""
        path = f"{self.path('serviceaccounts', 'v1')}/{name}/token"
        told = self.admin.call("POST", path, {"spec": {"expirationSeconds": 3_600}})
        return self.cluster.kubeconfig(told["status"]["token"], self.name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster(DIRECTORY / "cluster") as running:
        admin = Administrator(running.administrator())
        admin.install(of_a_newer_operator())
        admin.install(crd_of(FLINK_STATE_SNAPSHOT.name))
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Namespace:
    return new_namespace(cluster)


def new_namespace(cluster: Cluster) -> Namespace:
    """Its account `platform` has the rules of the platform."""
    admin, name = Administrator(cluster.administrator()), f"ta-{secrets.token_hex(3)}"
    admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    bare = Namespace(name, cluster, admin, KubernetesApi(admin.client, name))
    return Namespace(name, cluster, admin, bare.account("platform", PLATFORM_RULES))


@pytest.fixture(scope="module")
def store() -> Iterator[Settings]:
    """S3 alone, and the settings that point at it."""
    directory = Path(tempfile.mkdtemp(prefix="ta-"))
    stack = Stack(load_local_settings(dir=directory, components=("s3",), s3_port=free_port()), load_settings())
    try:
        stack.up()
        yield load_settings(s3_endpoint=stack.environment()["TA_S3_ENDPOINT"])
    finally:
        stack.down()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def surroundings() -> Iterator[Surroundings]:
    """What is around a job, but for Flink."""
    from tests.k8s.places import running_surroundings  # noqa: PLC0415 - it knows of this file

    with running_surroundings() as running:
        yield running


@pytest.fixture
def job_manager() -> Iterator[PlayedJobManager]:
    played = PlayedJobManager()
    with played.answering():
        yield played


@pytest.fixture
def idle_operator(namespace: Namespace, job_manager: PlayedJobManager) -> PlayedOperator:
    """An operator that does not work yet."""
    return PlayedOperator(namespace.cluster.administrator(), namespace.name, job_manager)


@pytest.fixture
def operator(idle_operator: PlayedOperator) -> Iterator[PlayedOperator]:
    """An operator at work."""
    with idle_operator.running():
        yield idle_operator


Runtimes = Callable[..., KubernetesRuntime]


@pytest.fixture
def runtime_of(namespace: Namespace, job_manager: PlayedJobManager) -> Runtimes:
    """Makes the runtime of a version; keyword arguments are settings."""

    def make(waits: Waits = PATIENCE, **settings: Any) -> KubernetesRuntime:
        return KubernetesRuntime(
            settings_of(namespace, job_manager, **settings), declared, waits=waits, api=namespace.api
        )

    return make


@pytest.fixture
def runtime(runtime_of: Runtimes) -> KubernetesRuntime:
    return runtime_of()


def settings_of(namespace: Namespace, job_manager: PlayedJobManager, **settings: Any) -> Settings:
    """Of a deployment in this namespace."""
    own = {"image": IMAGE, "runtime": "kubernetes", "k8s_namespace": namespace.name, "flink_rest_url": job_manager.url}
    return load_settings(**{**own, **settings})


def declared() -> Mapping[str, Any]:
    """The FlinkDeployment of production."""
    return Declaration.of(load_settings()).deployment("torghut-ta")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; building the API server takes minutes that are not theirs."""
    for item in (one for one in items if one.path.is_relative_to(Path(__file__).parent)):
        item.add_marker(pytest.mark.k8s)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(120, func_only=True))
