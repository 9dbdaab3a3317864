"""A folder of Kubernetes objects put together as `kubectl apply -k` does it, without kustomize.

It knows the part of kustomize that `k8s/` uses, and refuses whatever it does not know: nothing is left out in silence.
A test compares the result with `kubectl kustomize`, object by object.

    resources            files and folders
    configMapGenerator   envs, files; create and merge; a name that changes with the content
    patches              of one file each: strategic merge, JSON 6902, `$patch: delete`; target by kind and name
    namespace, labels    of the metadata only
    images               name, newName, newTag, digest; where kustomize finds images, and where `configurations` say
    configurations       more places of images, and of names of ConfigMaps

Definitions: kustomize's documentation, "The kustomization file".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.config_maps import generated, merged, with_suffix
from ta_pipeline.kubernetes.patches import patched
from ta_pipeline.kubernetes.yaml import read_documents, read_mapping

Object = dict[str, Any]

FILE = "kustomization.yaml"
_KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "configMapGenerator", "patches", "images", "labels",
    "configurations",
}  # fmt: skip
_API = ("kustomize.config.k8s.io/v1beta1", "Kustomization")
# kustomize would not put these into the namespace, and would rename a Namespace.
_OF_THE_CLUSTER = {
    "Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume", "StorageClass",
    "PriorityClass",
}  # fmt: skip
_FIRST = (
    "ResourceQuota", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Secret", "Service", "LimitRange",
    "PersistentVolumeClaim", "Deployment", "StatefulSet", "CronJob", "PodDisruptionBudget",
)  # fmt: skip
"""What is applied first, in this order; then the rest, by group, version and kind."""
_POD_SPECS = ("spec/template/spec", "spec/jobTemplate/spec/template/spec")
_CONFIG_MAP_REFERENCES = tuple(
    f"{pod}/{place}"
    for pod in _POD_SPECS
    for place in (
        "volumes/configMap/name", "volumes/projected/sources/configMap/name",
        "containers/envFrom/configMapRef/name", "containers/env/valueFrom/configMapKeyRef/name",
        "initContainers/envFrom/configMapRef/name", "initContainers/env/valueFrom/configMapKeyRef/name",
    )
)  # fmt: skip
_IMAGES = tuple(f"{pod}/{containers}/image" for pod in _POD_SPECS for containers in ("containers", "initContainers"))


@dataclass(frozen=True)
class Place:
    """Fields of objects: those at a path, of one kind or of any. Lists on the way are gone through."""

    path: str
    kind: str = ""

    def change(self, one: Object, to: Callable[[str], str]) -> None:
        """Replace the text at this place, where there is one."""
        if self.kind in {"", one["kind"]}:
            _change(one, self.path.split("/"), to)


@dataclass
class _Layer:
    """What one kustomization and those below it have given so far."""

    objects: list[Object] = field(default_factory=list)
    hashed: set[str] = field(default_factory=set)
    """Names of ConfigMaps that are to change with their content."""
    references: list[Place] = field(default_factory=list)
    images: list[Place] = field(default_factory=list)


def build(folder: Path) -> list[Object]:
    """All objects of a kustomization, in the order in which they are applied.

    Raises:
        ManifestError: a file is missing or wrong, or uses something that is not known here; the message names it.
    """
    layer = _layer(folder.resolve(), ())
    places = [*(Place(path) for path in _CONFIG_MAP_REFERENCES), *layer.references]
    names = {}
    for one in layer.objects:
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] in layer.hashed:
            old = one["metadata"]["name"]
            one["metadata"]["name"] = names[old] = with_suffix(one)
    for one in layer.objects:
        for place in places:
            place.change(one, lambda name: names.get(name, name))
    return sorted(layer.objects, key=_order)


def _layer(folder: Path, above: tuple[Path, ...]) -> _Layer:
    if folder in above:
        raise ManifestError(f"{folder} includes itself, by {', '.join(str(one) for one in above)}")
    file = folder / FILE
    if not file.is_file():
        raise ManifestError(f"there is no {file}")
    declared = read_mapping(file)
    _check(declared, _KNOWN, str(file))
    if (declared.get("apiVersion"), declared.get("kind")) != _API:
        raise ManifestError(f"{file}: apiVersion and kind have to be {' and '.join(_API)}")

    layer = _Layer()
    for name in declared.get("resources", ()):
        _add(layer, folder / name, (*above, folder))
    for name in declared.get("configurations", ()):
        _configure(layer, folder / name)
    for generator in declared.get("configMapGenerator", ()):
        _generate(layer, generator, folder)
    for patch in declared.get("patches", ()):
        _patch(layer, patch, folder)
    _transform(layer, declared, file)
    return layer


def _transform(layer: _Layer, declared: Mapping[str, Any], file: Path) -> None:
    for labels in declared.get("labels", ()):
        _check(labels, {"pairs"}, f"{file}: labels")
    for image in declared.get("images", ()):
        _check(image, {"name", "newName", "newTag", "digest"}, f"{file}: images")
    places = [*(Place(path) for path in _IMAGES), *layer.images]
    for one in layer.objects:
        if namespace := declared.get("namespace"):
            _move(one, namespace, layer.objects)
        for labels in declared.get("labels", ()):
            one["metadata"].setdefault("labels", {}).update(labels["pairs"])
        for image in declared.get("images", ()):
            for place in places:
                place.change(one, partial(_image, image=image))


def _add(layer: _Layer, path: Path, above: tuple[Path, ...]) -> None:
    if path.is_dir():
        below = _layer(path.resolve(), above)
        for one in below.objects:
            _append(layer, one, path)
        layer.hashed |= below.hashed
        layer.references += below.references
        layer.images += below.images
        return
    for one in read_documents(path):
        if not all(isinstance(one.get(name), str) for name in ("apiVersion", "kind")):
            raise ManifestError(f"{path}: an object has no apiVersion or kind")
        if not isinstance(one.get("metadata"), dict) or not isinstance(one["metadata"].get("name"), str):
            raise ManifestError(f"{path}: a {one['kind']} has no name")
        if one["kind"] in _OF_THE_CLUSTER:
            raise ManifestError(f"{path}: a {one['kind']} belongs to no namespace; that is not handled here")
        _append(layer, one, path)


def _append(layer: _Layer, one: Object, path: Path) -> None:
    if any(_identity(other) == _identity(one) for other in layer.objects):
        raise ManifestError(f"{path}: {one['kind']} {one['metadata']['name']} is there already")
    layer.objects.append(one)


def _identity(one: Mapping[str, Any]) -> tuple[str, str, str]:
    return (one["apiVersion"].rpartition("/")[0], one["kind"], one["metadata"]["name"])


def _configure(layer: _Layer, file: Path) -> None:
    declared = read_mapping(file)
    _check(declared, {"nameReference", "images"}, str(file))
    for reference in declared.get("nameReference", ()):
        _check(reference, {"kind", "version", "fieldSpecs"}, f"{file}: nameReference")
        if reference["kind"] != "ConfigMap":
            raise ManifestError(f"{file}: only names of ConfigMaps change here, not of {reference['kind']}")
        layer.references += [_place(spec, file) for spec in reference["fieldSpecs"]]
    layer.images += [_place(spec, file) for spec in declared.get("images", ())]


def _place(spec: Mapping[str, str], file: Path) -> Place:
    _check(spec, {"kind", "path"}, f"{file}: a place")
    return Place(spec["path"], spec["kind"])


def _generate(layer: _Layer, generator: Mapping[str, Any], folder: Path) -> None:
    where = f"{folder / FILE}: configMapGenerator"
    _check(generator, {"name", "behavior", "envs", "files", "options"}, where)
    made = generated(generator, folder)
    behaviour, name = generator.get("behavior", "create"), generator["name"]
    there = [one for one in layer.objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name]
    if behaviour == "create":
        _append(layer, made, folder / FILE)
        if not generator.get("options", {}).get("disableNameSuffixHash", False):
            layer.hashed.add(name)
    elif behaviour == "merge" and there:
        layer.objects[layer.objects.index(there[0])] = merged(there[0], made)
    else:
        raise ManifestError(f"{where}: {behaviour} of {name!r}; allowed are create, and merge of one that is there")


def _patch(layer: _Layer, patch: Mapping[str, Any], folder: Path) -> None:
    where = f"{folder / FILE}: patches"
    _check(patch, {"path", "target"}, where)
    target = patch.get("target")
    if target is not None:
        _check(target, {"kind", "name"}, f"{where}: target")
    found = patched(layer.objects, folder / patch["path"], target)
    layer.objects = found


def _move(one: Object, namespace: str, objects: Sequence[Object]) -> None:
    one["metadata"]["namespace"] = namespace
    ours = {other["metadata"]["name"] for other in objects if other["kind"] == "ServiceAccount"}
    for subject in one.get("subjects", ()) if one["kind"] == "RoleBinding" else ():
        if subject["kind"] == "ServiceAccount" and subject["name"] in ours and "namespace" not in subject:
            subject["namespace"] = namespace


def _image(value: str, image: Mapping[str, str]) -> str:
    name, at, digest = value.partition("@")
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    name, tag = (name, "") if colon < 0 else (name[:colon], name[colon:])
    if name != image["name"]:
        return value
    name = image.get("newName", name)
    if "digest" in image:
        return f"{name}@{image['digest']}"
    return f"{name}:{image['newTag']}" if "newTag" in image else f"{name}{tag}{at}{digest}"


def _change(node: Any, path: Sequence[str], to: Callable[[str], str]) -> None:
    if isinstance(node, list):
        for one in node:
            _change(one, path, to)
        return
    if not isinstance(node, dict) or path[0] not in node:
        return
    if len(path) > 1:
        _change(node[path[0]], path[1:], to)
    elif isinstance(node[path[0]], str):
        node[path[0]] = to(node[path[0]])


def _check(declared: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(declared) - known):
        raise ManifestError(f"{where}: {', '.join(unknown)} is not known here; known are {', '.join(sorted(known))}")


def _order(one: Mapping[str, Any]) -> tuple[int, str, str, str, str]:
    group, _, version = one["apiVersion"].rpartition("/")
    rank = _FIRST.index(one["kind"]) if one["kind"] in _FIRST else len(_FIRST)
    # A kind of no group comes behind those that have one.
    return (rank, group or "~", version, one["kind"], one["metadata"]["name"])
