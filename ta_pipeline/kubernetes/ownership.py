"""Whose fields of an object are: what is ours of it, and whether a GitOps controller keeps it as its repository says.

Definition: server-side apply and `metadata.managedFields` (Kubernetes' documentation, field ownership). Whoever applies
an object gives up every field that is not in what is applied; so a small change is made by applying all that is ours
anew, with the change in it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ta_pipeline.kubernetes.client import FIELD_MANAGER

_MANAGERS = {
    "argocd": "Argo CD", "argocd-controller": "Argo CD", "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux", "helm-controller": "Flux",
    "fleetagent": "Fleet",
}  # fmt: skip
# By what they put on the objects they keep: the application's name is in the value.
_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "objectset.rio.cattle.io/id": "Fleet",
}
_FIELD, _ITSELF = "f:", "."


def gitops_owner(found: Mapping[str, Any]) -> str | None:
    """The GitOps controller that keeps an object, with its application where the object tells; None: none does. Pure.

    Args:
        found: the object.
    """
    metadata = found["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for mark, controller in _MARKS.items():
        if application := marks.get(mark):
            # Argo CD: <application>:<group>/<kind>:<namespace>/<name>
            return f"{controller} (application {application.partition(':')[0]})"
    managers = [entry.get("manager", "") for entry in metadata.get("managedFields") or ()]
    return next((_MANAGERS[manager] for manager in managers if manager in _MANAGERS), None)


def ours(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object was applied by us, as it would be applied again; its names alone when nothing was. Pure.

    Its uid is in it: an apply to one that was deleted meanwhile would make a new one of the little that is ours.

    Args:
        found: the object, with its managed fields.
    """
    metadata = found["metadata"]
    named: dict[str, Any] = {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
    }
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            applied = _chosen(found, entry.get("fieldsV1") or {})
            applied["metadata"] = {**applied.get("metadata", {}), **named["metadata"]}
            return {**applied, "apiVersion": found["apiVersion"], "kind": found["kind"]}
    return named


def changed(content: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """What is applied, with other fields of `spec.job`; None takes a field away. Pure."""
    fresh = copy.deepcopy(dict(content))
    spec = fresh.setdefault("spec", {})
    spec["job"] = {name: value for name, value in {**spec.get("job", {}), **job}.items() if value is not None}
    return fresh


def _chosen(value: Any, fields: Mapping[str, Any]) -> Any:
    """The part of a value that a set of fields (`fieldsV1`) names; lists of a custom resource are named as a whole."""
    inner = {name.removeprefix(_FIELD): below for name, below in fields.items() if name.startswith(_FIELD)}
    if not isinstance(value, Mapping) or not (inner or _ITSELF in fields):
        return copy.deepcopy(value)
    return {name: _chosen(value[name], below) for name, below in inner.items() if name in value}
