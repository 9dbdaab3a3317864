"""The operator's CRDs as a cluster has them, from its API jar (tests/kubernetes_schemas.py)."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_schemas import crd_of

FLINK_VERSION = "v2_2"


def of_a_newer_operator() -> dict[str, Any]:
    """The CRD of FlinkDeployments as operator 1.13 has it in the one thing that matters here: it knows Flink 2.2."""
    found = crd_of("FlinkDeployment")
    (version,) = found["spec"]["versions"]
    versions = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["flinkVersion"]["enum"]
    assert FLINK_VERSION not in versions, "the jar knows it by now: take the CRD as it is"
    versions.append(FLINK_VERSION)
    return found
