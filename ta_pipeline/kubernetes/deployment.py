"""The FlinkDeployment that is applied: what the overlay declares, made to run one version of the job; pure.

Settings go into the pod's environment, and so into the spec: a change of them is a change that the operator sees, and
a pod that starts anew cannot read settings of the next version. Secrets stay where the overlay has them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ta_pipeline.job_options import of_the_cluster
from ta_pipeline.kubernetes.status import JOB_ID_KEY, RUNNING
from ta_pipeline.settings import Settings, text_of, variable_of

MAIN_CONTAINER = "flink-main-container"
COMPONENT = "app.kubernetes.io/component"
DRILL = "drill"
"""The component of a job that runs beside the one that is declared: k8s/base/network.yaml."""
_NONCE_DIGITS = 12
"""Of a job's id, hexadecimal: 48 bits, which JSON's numbers hold exactly."""
_RESTARTS = "restart-strategy."
"""One strategy has nothing to say about the options of another."""
_STORE = ("s3_endpoint", "s3_path_style", "s3_secure")
_TAG = re.compile(r"[^/]:(?P<tag>[^:/@]+)$")


def renamed(declared: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The same job under another name, to run beside it; pure.

    Its pods are of the component `drill`: what counts, guards or asks the job's own pods takes them for none of those.
    """
    fresh = copy.deepcopy(dict(declared))
    if name == declared["metadata"]["name"]:
        return fresh
    fresh["metadata"] = {**fresh["metadata"], "name": name}
    pod = fresh["spec"].setdefault("podTemplate", {}).setdefault("metadata", {})
    pod["labels"] = {**pod.get("labels", {}), COMPONENT: DRILL}
    return fresh


def to_run(
    declared: Mapping[str, Any],
    settings: Settings,
    job_id: str,
    *,
    variables: Mapping[str, str] | None = None,
    restore_from: str | None = None,
    replaces: bool = False,
    arguments: Sequence[str] = (),
    allow_non_restored: bool = False,
) -> dict[str, Any]:
    """The FlinkDeployment that runs one version of the job, from a state or without.

    Args:
        declared: of the overlay.
        settings: of the version: its image and its settings; of them comes what Flink's configuration has to follow.
        job_id: 32 hexadecimal digits. The operator starts a job of an id once, however often this is applied.
        variables: `TA_*` for the job, without secrets; default: those of the settings.
        restore_from: a savepoint or checkpoint; None: no state.
        replaces: an object of this name is there: the operator looks at `initialSavepointPath` again only with
            another `savepointRedeployNonce`, and goes on from what it knows unless it is told `stateless`.
        arguments: of the job's program.
        allow_non_restored: state that the job has no operator for is left behind.
    """
    fresh = copy.deepcopy(dict(declared))
    fresh["metadata"] = {
        key: value for key, value in fresh["metadata"].items() if key in {"name", "labels", "annotations"}
    } | {"namespace": settings.k8s_namespace}
    spec = fresh["spec"]
    spec["image"] = settings.image
    options = spec.get("flinkConfiguration", {})
    own = options_of_version(options, settings)
    kept = {name: value for name, value in options.items() if name not in own}
    # The operator reads them here: a savepoint that it takes goes where ours do, and one of a drill where its do.
    set_here = {name: value for name, value in own.items() if value is not None}
    spec["flinkConfiguration"] = {**kept, **set_here, JOB_ID_KEY: job_id}
    _set_environment(spec, {**_store(settings), **(settings.public() if variables is None else variables)})
    job = {
        **spec.get("job", {}),
        "state": RUNNING,
        "parallelism": settings.parallelism,
        "upgradeMode": settings.k8s_upgrade_mode if restore_from or not replaces else "stateless",
    }
    job["args"] = [*job.get("args", []), *arguments]
    if restore_from:
        job["initialSavepointPath"] = restore_from
        if replaces:
            job["savepointRedeployNonce"] = nonce_of(job_id)
    if allow_non_restored:
        job["allowNonRestoredState"] = True
    spec["job"] = job
    return fresh


def options_of_version(declared: Mapping[str, str], settings: Settings) -> dict[str, str | None]:
    """Flink's options that follow a version's settings, whatever an overlay declares; pure.

    Args:
        declared: the overlay's options.
        settings: of the version.

    Returns:
        The values by name; None: the option is left out.
    """
    store = {
        "fs.s3a.endpoint": settings.s3_endpoint,
        "fs.s3a.path.style.access": text_of(settings.s3_path_style),
        "fs.s3a.connection.ssl.enabled": text_of(settings.s3_secure),
    }
    others = dict.fromkeys(name for name in declared if name.startswith(_RESTARTS))
    return {**others, **of_the_cluster(settings), **store}


def nonce_of(job_id: str) -> int:
    """The nonce under which a job is asked for: the same for the same job, so that asking again changes nothing."""
    return int(job_id[:_NONCE_DIGITS], 16) + 1


def service_url(name: str, namespace: str) -> str:
    """Where the JobManager of a FlinkDeployment answers: Flink names the service for its cluster."""
    return f"http://{name}-rest.{namespace}.svc:8081"


def rest_url(settings: Settings, name: str) -> str:
    """Where the jobs of a name are asked: on Kubernetes each FlinkDeployment has a cluster of its own."""
    if settings.runtime == "local" or name == settings.k8s_deployment:
        return settings.flink_rest_url
    return service_url(name, settings.k8s_namespace)


def image_problem(image: str) -> str | None:
    """Why an image cannot be rolled out and back: it has to name one build for ever; None: nothing. Pure."""
    if not image:
        return "TA_IMAGE is empty: on Kubernetes the image is the release of the job's code; name one with its tag"
    tag = _TAG.search(image)
    if "@sha256:" not in image and (tag is None or tag["tag"] == "latest"):
        return f"TA_IMAGE={image!r} does not name one build: give it a tag of its own, or a digest; latest is none"
    return None


def _store(settings: Settings) -> dict[str, str]:
    """Where S3 is, which is no setting of the job; one that was rebuilt reads what it withholds from there."""
    return {variable_of(name): text_of(getattr(settings, name)) for name in _STORE}


def _set_environment(spec: dict[str, Any], variables: Mapping[str, str]) -> None:
    """In the main container of JobManager and TaskManager; what the overlay sets otherwise gives way."""
    pod = spec.setdefault("podTemplate", {}).setdefault("spec", {})
    containers = pod.setdefault("containers", [])
    main = next((one for one in containers if one.get("name") == MAIN_CONTAINER), None)
    if main is None:
        main = {"name": MAIN_CONTAINER}
        containers.append(main)
    kept = [one for one in main.get("env") or () if one["name"] not in variables]
    main["env"] = [*kept, *({"name": name, "value": value} for name, value in sorted(variables.items()))]
