"""Patches of Kubernetes objects, as kustomize applies them.

A strategic merge changes maps key by key and puts lists in the place of lists. Kinds that Kubernetes itself has merge
their lists by a key of each kind's own; that is not done here: such a patch is refused, and JSON 6902 does it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonpatch
import jsonpointer

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.yaml import read_documents

Object = dict[str, Any]

_DIRECTIVE = "$patch"
_OPERATIONS = {"add", "remove", "replace", "test"}
# Groups of custom kinds, whose lists kustomize replaces, for it has no schema of them.
_CUSTOM = {"flink.apache.org", "monitoring.coreos.com", "kafka.strimzi.io", "argoproj.io"}


def patched(objects: Sequence[Object], file: Path, target: Mapping[str, str] | None) -> list[Object]:
    """The objects with the patch of one file.

    Args:
        objects: to be patched; they are left as they are.
        file: the patch: a list of operations (JSON 6902), or an object.
        target: kind and name (a pattern) of what is patched; None: what the patch itself names.

    Raises:
        ManifestError: the patch is not one, fits no object, or does what is not known here.
    """
    documents = read_documents(file)
    if len(documents) != 1:
        raise ManifestError(f"{file}: one patch in each file, not {len(documents)}")
    patch = documents[0]
    if isinstance(patch, list):
        if target is None:
            raise ManifestError(f"{file}: a list of operations needs a target")
        chosen = target
    elif isinstance(patch, dict):
        chosen = target or {"kind": patch["kind"], "name": re.escape(patch["metadata"]["name"])}
    else:
        raise ManifestError(f"{file}: a patch is a list of operations or an object")
    if not any(_fits(one, chosen) for one in objects):
        raise ManifestError(f"{file}: there is no {' '.join(chosen.values())} to patch")
    found = []
    for one in objects:
        changed = _apply(one, patch, file) if _fits(one, chosen) else one
        if changed is not None:
            found.append(changed)
    return found


def _fits(one: Mapping[str, Any], target: Mapping[str, str]) -> bool:
    kind, name = target.get("kind", one["kind"]), target.get("name", ".*")
    return kind == one["kind"] and re.fullmatch(name, one["metadata"]["name"]) is not None


def _apply(one: Object, patch: list[Any] | dict[str, Any], file: Path) -> Object | None:
    if isinstance(patch, list):
        return _operated(one, patch, file)
    if _DIRECTIVE in patch:
        if patch[_DIRECTIVE] != "delete":
            raise ManifestError(f"{file}: {_DIRECTIVE}: {patch[_DIRECTIVE]} is not known here; delete is")
        return None
    custom = one["apiVersion"].rpartition("/")[0] in _CUSTOM
    body = {key: value for key, value in patch.items() if key not in {"apiVersion", "kind"}}
    body["metadata"] = {key: value for key, value in patch.get("metadata", {}).items() if key != "name"}
    changed = _merged(one, body, custom, str(file))
    assert isinstance(changed, dict)  # noqa: S101 - both are
    return changed


def _operated(one: Object, operations: list[Any], file: Path) -> Object:
    if unknown := sorted({str(step.get("op")) for step in operations} - _OPERATIONS):
        raise ManifestError(f"{file}: {', '.join(unknown)} is not known here; known are {', '.join(_OPERATIONS)}")
    name = f"{one['kind']} {one['metadata']['name']}"
    try:
        changed = jsonpatch.apply_patch(one, operations)
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise ManifestError(f"{file} does not fit {name}: {error or 'a test failed'}") from None
    return dict(changed)


def _merged(below: Any, above: Any, custom: bool, where: str) -> Any:
    if isinstance(above, list) and isinstance(below, list) and not custom:
        raise ManifestError(f"{where}: a list of a kind that Kubernetes has is patched with JSON 6902 here")
    if not isinstance(above, dict):
        return copy.deepcopy(above)
    below = below if isinstance(below, dict) else {}
    found = dict(below)
    for key, value in above.items():
        if str(key).startswith("$"):
            raise ManifestError(f"{where}: {key} is not known here")
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(below.get(key), value, custom, f"{where}/{key}")
    return found
