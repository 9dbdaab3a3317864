"""Savepoints that the operator takes: by a FlinkStateSnapshot where its CRD is installed, else by a nonce.

Definition: the snapshots page of the operator's documentation. Flink's own REST API could take one too; asked through
the operator, it is known to the operator, and nobody but the operator has to reach the JobManager.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.errors import KubernetesError, NoAnswerError
from ta_pipeline.kubernetes.client import FIELD_MANAGER, FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT
from ta_pipeline.kubernetes.resource import FlinkResource, Progress
from ta_pipeline.kubernetes.status import OperatorView, behind, readable_error
from ta_pipeline.runtime import with_circumstances

_GIVEN_UP = frozenset({"FAILED", "ABANDONED"})
_FAILED_EVENT = "SavepointError"


def take_savepoint(resource: FlinkResource, directory: str, seconds: float) -> str:
    """Take a savepoint of a running job; returns its path.

    Args:
        resource: the FlinkDeployment.
        directory: where the savepoint goes; with a nonce, the operator takes the one of Flink's configuration.
        seconds: longest wait.

    Raises:
        KubernetesError: it failed, or was not done in time; events of the last hour are in the message.
        NoAnswerError: whether it was taken is not known.
    """
    if resource.api.serves(FLINK_STATE_SNAPSHOT):
        return _by_snapshot(resource, directory, seconds)
    return _by_nonce(resource, seconds)


def snapshot(name: str, deployment: str, namespace: str, directory: str) -> dict[str, Any]:
    """A FlinkStateSnapshot that asks for one savepoint; pure.

    Args:
        name: of the object.
        deployment: the FlinkDeployment whose job is asked.
        namespace: of both.
        directory: where the savepoint goes.
    """
    return {
        "apiVersion": FLINK_STATE_SNAPSHOT.api_version,
        "kind": FLINK_STATE_SNAPSHOT.name,
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER}},
        "spec": {
            "jobReference": {"kind": FLINK_DEPLOYMENT.name, "name": deployment},
            # By default the operator deletes the savepoint with the object: ours are kept and deleted by the catalog.
            "savepoint": {
                "path": directory, "formatType": "CANONICAL", "disposeOnDelete": False, "alreadyExists": False,
            },
            # By default it tries for ever: whoever asked has long gone, and it would be of another moment.
            "backoffLimit": 0,
        },
    }  # fmt: skip


def snapshot_path(found: Mapping[str, Any]) -> str | None:
    """The savepoint's path; None while it is being taken. Pure.

    Raises:
        KubernetesError: it will not come, and the message says why.
    """
    name, status = found["metadata"]["name"], found.get("status") or {}
    state, error = status.get("state", "TRIGGER_PENDING"), readable_error(status.get("error"))
    if state in _GIVEN_UP:
        raise KubernetesError(f"the savepoint {name} is {state}: {error or 'the operator gives no reason'}")
    if state != "COMPLETED":
        return None
    path = status.get("path")
    if not path:
        raise KubernetesError(f"the savepoint {name} is COMPLETED, and the operator does not say where it lies")
    return str(path)


def nonce_path(view: OperatorView, nonce: int) -> str | None:
    """The path of the savepoint that a nonce asked for; None while it is being taken. Pure.

    Raises:
        KubernetesError: it will not come, and the message says why.
    """
    if view.last_savepoint_nonce == nonce:
        if not view.last_savepoint:
            raise KubernetesError(f"the savepoint of {view.name} is done, and the operator does not say where it lies")
        return view.last_savepoint
    said = view.error or "the operator gives no reason"
    if view.nonce_done_with == nonce and not view.is_taking_savepoint:
        raise KubernetesError(f"the savepoint {nonce} of {view.name} was given up: {said}")
    if view.is_ended:
        raise KubernetesError(f"{view.name} is {view.state}, and takes no savepoint any more: {said}")
    return None


def _by_snapshot(resource: FlinkResource, directory: str, seconds: float) -> str:
    api = resource.api
    name = f"{resource.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
    api.create(FLINK_STATE_SNAPSHOT, snapshot(name, resource.name, api.namespace, directory))
    path: list[str] = []

    def progress() -> str | None:
        found = api.get(FLINK_STATE_SNAPSHOT, name)
        if found is None:
            raise KubernetesError(f"FlinkStateSnapshot {api.namespace}/{name} is gone: somebody has deleted it")
        if (taken := snapshot_path(found)) is None:
            state = (found.get("status") or {}).get("state", "not begun: does the operator run?")
            return f"the savepoint {name} is {state}"
        path.append(taken)
        return None

    _wait(resource, progress, seconds, name)
    return path[0]


def _by_nonce(resource: FlinkResource, seconds: float) -> str:
    nonce, since, before = int(time.time() * 1_000), datetime.now(UTC), resource.existing()
    resource.change({"savepointTriggerNonce": nonce})
    path: list[str] = []

    def progress() -> str | None:
        view = resource.existing()
        if view.uid != before.uid:
            raise KubernetesError(f"{resource} was deleted and made again meanwhile")
        if (taken := nonce_path(view, nonce)) is None:
            for line in resource.events(resource.name, since):
                if _FAILED_EVENT in line:
                    raise KubernetesError(f"the savepoint of {resource.name} failed: {line}")
            return "the savepoint is being taken" if view.is_current else behind(view)
        path.append(taken)
        return None

    _wait(resource, progress, seconds, resource.name)
    return path[0]


def _wait(resource: FlinkResource, progress: Progress, seconds: float, about: str) -> None:
    """Wait for a savepoint; a failure is told with the events about the object that asked for it."""
    try:
        resource.wait(progress, seconds)
    except NoAnswerError:
        raise
    except KubernetesError as error:
        raise KubernetesError(with_circumstances(str(error), resource.events(about))) from None
