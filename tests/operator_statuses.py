"""FlinkDeployments as the operator leaves them, for tests of what is read out of them."""

from __future__ import annotations

import json
from typing import Any

from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT
from ta_pipeline.kubernetes.status import OperatorView, parse_deployment

JOB_ID, OTHER_ID = "1" * 32, "2" * 32
SAVEPOINT = "s3a://b/savepoints/savepoint-111111-0a"


def deployment(**how: Any) -> OperatorView:
    """What is read out of `found`."""
    return parse_deployment(found(**how))


def found(
    *,
    wanted: str = "running",
    job_id: str | None = JOB_ID,
    generation: int = 3,
    observed: int | None = 3,
    carried_out: dict[str, Any] | None = None,
    reconciliation: str = "DEPLOYED",
    lifecycle: str = "STABLE",
    job_manager: str = "READY",
    error: str | None = None,
    recorded: int | None = None,
    **job: Any,
) -> dict[str, Any]:
    """A job that runs, but for what is said."""
    record = {"spec": {"job": {"state": "running", "upgradeMode": "savepoint", **(carried_out or {})}},
              "resource_metadata": {"apiVersion": "flink.apache.org/v1beta1", "firstDeployment": False}}  # fmt: skip
    if recorded is not None:
        record["resource_metadata"]["metadata"] = {"generation": recorded}
    status: dict[str, Any] = {
        "jobStatus": {"jobId": JOB_ID, "state": "RUNNING", "startTime": "1760000000000", **job},
        "lifecycleState": lifecycle,
        "jobManagerDeploymentStatus": job_manager,
        "reconciliationStatus": {"state": reconciliation, "lastReconciledSpec": json.dumps(record)},
    }
    if observed is not None:
        status["observedGeneration"] = observed
    if error is not None:
        status["error"] = error
    return {
        "apiVersion": FLINK_DEPLOYMENT.api_version,
        "kind": FLINK_DEPLOYMENT.name,
        "metadata": {"name": "torghut-ta", "namespace": "torghut", "uid": "u", "generation": generation},
        "spec": {
            "image": "ta:1",
            "flinkConfiguration": {"$internal.pipeline.job-id": job_id} if job_id else {},
            "job": {"state": wanted, "upgradeMode": "savepoint"},
        },
        "status": status,
    }
