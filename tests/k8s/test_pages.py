"""What the pages about Kubernetes have typed into kubectl, typed into the real kubectl and a real API server.

Left out is what an API server alone cannot answer: logs, exec, port-forward and the end of a rollout need nodes, helm
and docker what they are for. The kinds of Strimzi and of Prometheus' operator are there without their schemas, which
tests/unit/kubernetes asks for.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.settings import REPOSITORY
from tests.documented import Command, Way, all_commands
from tests.k8s.cluster import Cluster
from tests.k8s.conftest import Administrator
from tests.manifests import of_kind
from tests.pages import Done, run_commands
from tests.proofs import Say

pytestmark = pytest.mark.k8s

NAMESPACES = ("kafka", "monitoring")
"""Somebody else's; `torghut` the page makes."""
FOREIGN = {
    "KafkaUser": ("kafkausers", "kafka.strimzi.io", "v1"),
    "PodMonitor": ("podmonitors", "monitoring.coreos.com", "v1"),
    "PrometheusRule": ("prometheusrules", "monitoring.coreos.com", "v1"),
}
STRIMZIS_SECRETS = ("torghut-ta", "kafka-cluster-ca-cert")
NEEDS_MORE = re.compile(
    r"helm |docker |tar |kafka-consumer|run |.* (logs|exec|port-forward|rollout status|replace) ", re.DOTALL
)
"""Nodes, controllers, or another program."""
TAKEN_DOWN = "kubectl -n torghut delete flinkdeployment torghut-ta torghut-ta-table"
STATUSES = {"kubectl diff": (0, 1)}
"""1 says that there are differences; everything else ends with 0."""


def commands_of(page: str) -> list[str]:
    """Those that an API server can answer, with what a person would type when asked."""
    found = [one for one in all_commands() if one.page == page and one.way is Way.CLUSTER]
    return [_typed(one) for one in found if not NEEDS_MORE.match(one.text)]


def _typed(command: Command) -> str:
    if re.match(r"new_secret \S", command.text):
        return f"{command.text} <<< $'one\\ntwo'"
    return command.text


def foreign_kind(kind: str) -> dict[str, Any]:
    """A CRD that takes anything."""
    plural, group, version = FOREIGN[kind]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }  # fmt: skip


def deploy(admin: Administrator) -> None:
    """Both FlinkDeployments, as a rollout leaves them."""
    for one in of_kind(render("prod"), "FlinkDeployment").values():
        admin.call("POST", "/apis/flink.apache.org/v1beta1/namespaces/torghut/flinkdeployments", one)


def run(commands: list[str], folder: Path, cluster: Cluster, say: Say) -> None:
    """Run them, and fail with what any of them says that ends otherwise than it should."""
    done = run_commands(commands, folder, {"KUBECONFIG": str(cluster.kubeconfig())}, timeout_seconds=240)
    assert len(done) == len(commands), done[-1:]
    wrong = [one for one in done if one.status not in _allowed(one)]
    say(f"{len(done)} commands of kubectl's were answered by the API server")
    assert not wrong, "\n\n".join(f"{one.command} ended with {one.status}:\n{one.output[-1_000:]}" for one in wrong)


def _allowed(done: Done) -> tuple[int, ...]:
    return next((statuses for begin, statuses in STATUSES.items() if done.command.startswith(begin)), (0,))


@pytest.mark.timeout(400)
def test_what_the_pages_type_into_kubectl_is_understood(cluster: Cluster, tmp_path: Path, say: Say) -> None:
    if missing := [name for name in ("kubectl", "jq", "diff") if shutil.which(name) is None]:
        pytest.skip(f"not on PATH: {', '.join(missing)}")
    (tmp_path / "k8s").symlink_to(REPOSITORY / "k8s")
    admin = Administrator(cluster.administrator())
    for name in NAMESPACES:
        admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for kind in FOREIGN:
        admin.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", foreign_kind(kind))
    for name in STRIMZIS_SECRETS:
        admin.call("POST", "/api/v1/namespaces/kafka/secrets", {"metadata": {"name": name}, "stringData": {"a": "b"}})
    page = commands_of("docs/kubernetes.md")
    removal = page.index(TAKEN_DOWN)
    run(page[:removal], tmp_path, cluster, say)
    deploy(admin)
    # The patch first: others end the deployment that it is about.
    nightly = sorted(commands_of("docs/runbooks.md"), key=lambda text: " patch " not in text)
    run([*nightly, *commands_of("docs/kubernetes-rollouts.md")], tmp_path, cluster, say)
    deploy(admin)
    run(page[removal:], tmp_path, cluster, say)
    left = admin.call("GET", "/apis/apps/v1/namespaces/torghut/deployments")["items"]
    assert [one["metadata"]["name"] for one in left] == []
