"""The Job that carries a rollout out in a pod of its own: made of the overlay's PodTemplate; pure.

Kubernetes keeps it going: a pod that is lost, with its node or by a hand, is followed by another one, which goes on
from the journal. It belongs to nobody, least of all to the pod that asked for it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.client import Kind
from ta_pipeline.settings import Settings, text_of, variable_of

JOB = Kind("Job", "jobs", "batch/v1")
POD_TEMPLATE = Kind("PodTemplate", "podtemplates", "v1")
ROLLOUT = "ta-pipeline/rollout"
"""Label: the rollout of a Job."""
POD_OF_JOB = "batch.kubernetes.io/job-name"
CONTAINER = "rollout"
KEPT_SECONDS = 86_400
"""A Job that has ended is there so long, with what its pods have logged."""
_PODS_THAT_MAY_FAIL = 6
_PART_OF = "app.kubernetes.io/part-of"
_FINISHED = frozenset({"Complete", "Failed"})
# In a pod the API server is the one around it.
_OF_WHO_ASKS = frozenset({"k8s_kubeconfig", "k8s_context"})


def template_name(settings: Settings) -> str:
    """Of the PodTemplate that rollouts of a deployment are carried out in."""
    return f"{settings.k8s_deployment}-rollout"


def agent_job(template: Mapping[str, Any], name: str, rollout_id: str, settings: Settings) -> dict[str, Any]:
    """The Job.

    Args:
        template: the PodTemplate, with the image, the account and the secrets.
        name: of the Job.
        rollout_id: of the rollout.
        settings: of the deployment: those that are no secrets, as whoever planned the rollout has them.

    Raises:
        ManifestError: the template has no container for it.
    """
    pod = copy.deepcopy(dict(template["template"]))
    container = next((one for one in pod["spec"]["containers"] if one["name"] == CONTAINER), None)
    if container is None:
        raise ManifestError(f"PodTemplate {template['metadata']['name']} has no container {CONTAINER!r}")
    variables = _variables(settings)
    kept = [one for one in container.get("env") or () if one["name"] not in variables]
    container["env"] = [*kept, *({"name": key, "value": value} for key, value in sorted(variables.items()))]
    container["args"] = [rollout_id, "--job", name]
    pod["spec"]["restartPolicy"] = "Never"
    labels = pod["metadata"]["labels"]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"name": name, "labels": {_PART_OF: labels[_PART_OF], ROLLOUT: rollout_id}},
        "spec": {
            "backoffLimit": _PODS_THAT_MAY_FAIL,
            # A node that is drained is no failure of the rollout.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": pod,
        },
    }


def is_finished(job: Mapping[str, Any]) -> bool:
    """Whether no pod of a Job runs any more, nor will."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] in _FINISHED and one["status"] == "True" for one in conditions)


def next_name(jobs: Iterable[Mapping[str, Any]], rollout_id: str) -> str:
    """Of the next Job of a rollout, after those that there are: of two who ask at once, both ask for the same."""
    prefix = f"ta-rollout-{rollout_id}-"
    numbers = [int(one["metadata"]["name"].removeprefix(prefix)) for one in jobs]
    return f"{prefix}{max(numbers, default=0) + 1}"


def _variables(settings: Settings) -> dict[str, str]:
    values = {name: getattr(settings, name) for name in type(settings).model_fields if name not in _OF_WHO_ASKS}
    return {variable_of(name): text_of(value) for name, value in values.items() if not isinstance(value, SecretStr)}
