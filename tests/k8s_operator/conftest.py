"""One cluster with one node and one real operator for the session; a FlinkDeployment for each test."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from ta_pipeline.kubernetes.deployment import service_url
from ta_pipeline.kubernetes.manifests import flink_deployment, render
from ta_pipeline.kubernetes.runtime import KubernetesRuntime, Waits
from ta_pipeline.local.components import write_private
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.s3 import BUCKET
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.s3 import ensure_bucket, s3_client
from ta_pipeline.settings import Settings, load_settings
from tests.k8s.binaries import DIRECTORY, NODE_PROGRAMS, ensure_binaries
from tests.k8s.cluster import Cluster, running_cluster
from tests.k8s.conftest import PLATFORM_RULES, Administrator, Namespace
from tests.k8s_operator import image, node
from tests.k8s_operator.counting import PER_SECOND, Job, wait_for
from tests.k8s_operator.flink_operator import OperatorJars
from tests.k8s_operator.names import Names

OVERLAY = "dev"
NAMESPACE = "torghut-dev"
NAME = "torghut-ta"
IMAGES = ("ta.local/counter:1", "ta.local/counter:2")
"""One and the same: that the image is another is a change to be rolled out."""
KEYS_TO_S3 = "torghut-ta-s3"
CHECKPOINT_SECONDS = 5
# With one processor's share for all that starts anew.
WAITS = Waits(deploy=400.0)
_BY_THE_OVERLAY = {"ServiceAccount", "Role", "RoleBinding"}
_BASE_SYSTEM = "base-system"
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} %m%n
"""


@dataclass(frozen=True)
class Lab:
    """What the tests work on.

    Attributes:
        cluster: with one node.
        namespace: of the overlay; its `api` asks with the rights of the platform.
        operator: at work.
        s3_port: of S3 on the node's address.
    """

    cluster: Cluster
    namespace: Namespace
    operator: OperatorJars
    s3_port: int

    def settings(self, **own: Any) -> Settings:
        """Of a version of the job."""
        return load_settings(**{
            "runtime": "kubernetes",
            "image": IMAGES[0],
            "k8s_kubeconfig": str(self.namespace.kubeconfig("platform")),
            "k8s_namespace": NAMESPACE,
            "k8s_deployment": NAME,
            "flink_rest_url": service_url(NAME, NAMESPACE),
            "s3_endpoint": f"http://{node.ADDRESS}:{self.s3_port}",
            "checkpoint_dir": f"s3a://{BUCKET}/counter/checkpoints",
            "savepoint_dir": f"s3a://{BUCKET}/counter/savepoints",
            "checkpoint_interval_ms": CHECKPOINT_SECONDS * 1_000,
            **own,
        })  # fmt: skip

    def job(self, version: int = 1, **own: Any) -> Job:
        """The runtime of a version of the job, and what the job tells."""
        settings = self.settings(**own)
        runtime = KubernetesRuntime(
            settings, lambda: self.declared(settings), variables={"COUNTER_VERSION": str(version)}, waits=WAITS
        )
        return Job(runtime, settings)

    def declared(self, settings: Settings) -> Mapping[str, Any]:
        """The FlinkDeployment of the overlay, with another job, another Flink, and this machine's addresses."""
        found = flink_deployment(render(OVERLAY))
        spec = found["spec"]
        spec["flinkVersion"] = self.operator.flink_version
        spec["job"]["jarURI"] = f"local:///opt/flink/opt/flink-python-{image.FLINK_VERSION}.jar"
        python = "/opt/venv/bin/python"
        spec["job"]["args"] = ["-pyclientexec", python, "-pyexec", python, "-py", "/opt/flink/usrlib/counter.py"]
        spec["job"]["args"].append(str(PER_SECOND))
        options = spec["flinkConfiguration"]
        options["fs.s3a.endpoint"] = settings.s3_endpoint
        if not self.operator.knows("status", "observedGeneration"):
            # An operator of those days asks for them by the names of those days.
            options["state.checkpoints.dir"] = settings.checkpoint_dir
            options["state.savepoints.dir"] = settings.savepoint_dir
        # The overlay's JSON needs a jar that only its own image has.
        spec["logConfiguration"] = {"log4j-console.properties": _LOGGING}
        pod = spec["podTemplate"]["spec"]
        # Nobody answers names in a pod: at the node's address that is known at once, elsewhere after seconds.
        pod |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": [node.ADDRESS]}}
        (main,) = pod["containers"]
        del main["envFrom"]
        for number, path in enumerate(image.base_system()):
            pod["volumes"].append({"name": f"{_BASE_SYSTEM}-{number}", "hostPath": {"path": str(path)}})
            main["volumeMounts"].append({"name": f"{_BASE_SYSTEM}-{number}", "mountPath": str(path), "readOnly": True})
        return found

    def pods(self) -> list[dict[str, Any]]:
        """Of the job."""
        found = self.namespace.admin.call("GET", f"{self.namespace.path('pods', 'v1')}?labelSelector=app%3D{NAME}")
        return list(found["items"])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    if reason := node.why_not() or image.why_not() or _missing():
        pytest.exit(f"no cluster of one node can be made here: {reason}", 1)
    node.ensure_packages()
    jars = load_local_settings().jars_dir
    ensure_jars(jars)
    operator = OperatorJars.resolve(jars)
    images = DIRECTORY / "images"
    images.mkdir(parents=True, exist_ok=True)
    program = Path(__file__).with_name("counter.py")
    archives = [image.pause_archive(images), image.job_archive(images, operator.s3_plugin, program, IMAGES)]
    more = {**ensure_binaries(NODE_PROGRAMS), "containerd": Path(str(shutil.which("containerd")))}
    with (
        node.bridge(DIRECTORY / "operator"),
        running_cluster(DIRECTORY / "operator", address=node.ADDRESS, more=more) as cluster,
        _s3(cluster, jars) as port,
    ):
        admin = Administrator(cluster.administrator())
        names = Names(admin.call, cluster.directory / "hosts")
        with node.Node(cluster, admin.call, image.PAUSE).started(archives), names.answering():
            for crd in operator.crds():
                admin.install(crd)
            namespace = _namespace(cluster, admin)
            operator.start(cluster, NAMESPACE, names.file)
            yield Lab(cluster, namespace, operator, port)
    assert node.left_behind() == []


@pytest.fixture
def job(lab: Lab) -> Iterator[Job]:
    """The job, which does not run yet; gone with all that was made for it when the test ends."""
    found = lab.job()
    try:
        yield found
    finally:
        found.runtime.remove()
        wait_for("its pods are gone", 60, lambda: not lab.pods())


def _missing() -> str:
    return "" if shutil.which("go") else "Go is needed to build Kubernetes: put `go` on PATH"


def _namespace(cluster: Cluster, admin: Administrator) -> Namespace:
    """With the accounts that the overlay gives the job, the one of the platform, and the keys to S3."""
    admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    bare = Namespace(NAMESPACE, cluster, admin, api=None)  # type: ignore[arg-type]
    plurals = {"ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings"}
    for one in render(OVERLAY):
        if one["kind"] in _BY_THE_OVERLAY:
            admin.call("POST", bare.path(plurals[one["kind"]], one["apiVersion"]), one)
    settings = load_settings()
    keys = {"accesskey": settings.s3_access_key, "secretkey": settings.s3_secret_key}
    admin.call("POST", bare.path("secrets", "v1"), {
        "metadata": {"name": KEYS_TO_S3}, "stringData": {key: value.get_secret_value() for key, value in keys.items()},
    })  # fmt: skip
    return Namespace(NAMESPACE, cluster, admin, bare.account("platform", PLATFORM_RULES))


@contextlib.contextmanager
def _s3(cluster: Cluster, jars: Path) -> Iterator[int]:
    """s3proxy over a folder, as the local stack has it, on the node's address; its port."""
    settings, port, data = load_settings(), free_port(), node.FILES / "s3"
    data.mkdir()
    properties = node.FILES / "s3proxy.conf"
    write_private(properties, "\n".join([
        f"s3proxy.endpoint=http://{node.ADDRESS}:{port}", "s3proxy.authorization=aws-v2-or-v4",
        f"s3proxy.identity={settings.s3_access_key.get_secret_value()}",
        f"s3proxy.credential={settings.s3_secret_key.get_secret_value()}",
        "jclouds.provider=filesystem-nio2", f"jclouds.filesystem.basedir={data}", "",
    ]))  # fmt: skip
    cluster.binaries["s3"] = java_home() / "bin" / "java"
    cluster.spawn(
        "s3", "-Xmx256m", "-XX:+UseSerialGC", "-DLOG_LEVEL=warn", "-cp", f"{jars / 's3proxy'}/*",
        "org.gaul.s3proxy.Main", "--properties", str(properties),
    )  # fmt: skip
    endpoint = f"http://{node.ADDRESS}:{port}"
    wait_for("S3 answers", 60, lambda: _answers(endpoint))
    ensure_bucket(s3_client(settings.model_copy(update={"s3_endpoint": endpoint})), BUCKET)
    yield port


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.RequestException:
        return False
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in (one for one in items if one.path.is_relative_to(Path(__file__).parent)):
        item.add_marker(pytest.mark.operator)
        item.add_marker(pytest.mark.timeout(1_200, func_only=True))
