"""The operator's CRDs, out of its API jar from Maven."""

from __future__ import annotations

import subprocess
import zipfile
from typing import Any

import yaml

from tests.k8s.binaries import DIRECTORY

ARTIFACT = "flink-kubernetes-operator-api"
VERSION = "1.10.0"
FLINK_VERSION = "v2_2"
_FILE = "META-INF/fabric8/{plural}.flink.apache.org-v1.yml"


def crd(plural: str) -> dict[str, Any]:
    """A CRD as the operator's jar has it."""
    jar = DIRECTORY / "operator" / f"{ARTIFACT}-{VERSION}.jar"
    if not jar.exists():
        subprocess.run(
            ["mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "dependency:copy",
             f"-Dartifact=org.apache.flink:{ARTIFACT}:{VERSION}", f"-DoutputDirectory={jar.parent}"],
            check=True, timeout=600, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    with zipfile.ZipFile(jar) as archive:
        found: dict[str, Any] = yaml.safe_load(archive.read(_FILE.format(plural=plural)))
    return found


def of_a_newer_operator(deployments: dict[str, Any]) -> dict[str, Any]:
    """The CRD of FlinkDeployments as operator 1.13 has it in the one thing that matters here: it knows Flink 2.2."""
    (version,) = deployments["spec"]["versions"]
    versions = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["flinkVersion"]["enum"]
    assert FLINK_VERSION not in versions, "the jar knows it by now: take the CRD as it is"
    versions.append(FLINK_VERSION)
    return deployments
