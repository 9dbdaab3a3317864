"""ConfigMaps that kustomize makes of files, under names that change with their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ta_pipeline.errors import ManifestError

_OPTIONS = {"immutable", "annotations", "labels", "disableNameSuffixHash"}
_DIGITS = 10
# Digits and vowels that could make a word are written otherwise (kustomize, api/hasher).
_INSTEAD = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})
_ESCAPED = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def generated(generator: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The ConfigMap that an entry of `configMapGenerator` describes.

    Args:
        generator: with `name`, and `envs` (files of NAME=VALUE), `files` ([KEY=]FILE), `options`.
        folder: of the kustomization.

    Raises:
        ManifestError: a file is missing or wrong, a key is there twice, or an option is not known.
    """
    options = generator.get("options", {})
    if unknown := sorted(set(options) - _OPTIONS):
        raise ManifestError(f"{folder}: option {', '.join(unknown)} of a ConfigMap is not known here")
    data: dict[str, str] = {}
    for name in generator.get("envs", ()):
        for key, value in _variables(folder / name).items():
            _put(data, key, value, folder / name)
    for entry in generator.get("files", ()):
        key, equals, name = entry.rpartition("=")
        _put(data, key if equals else Path(name).name, _read(folder / name), folder / name)
    metadata: dict[str, Any] = {"name": generator["name"]}
    metadata |= {kind: dict(options[kind]) for kind in ("labels", "annotations") if kind in options}
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if options.get("immutable"):
        made["immutable"] = True
    return made


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The ConfigMap of a base with what an overlay says of it; as in kustomize, immutable if the overlay says so."""
    metadata = {**below["metadata"]}
    for kind in ("labels", "annotations"):
        if both := {**below["metadata"].get(kind, {}), **above["metadata"].get(kind, {})}:
            metadata[kind] = both
    found = {**below, "metadata": metadata, "data": {**below["data"], **above["data"]}}
    found.pop("immutable", None)
    return {**found, "immutable": True} if above.get("immutable") else found


def with_suffix(config_map: Mapping[str, Any]) -> str:
    """Its name with the suffix that its content gives, as kustomize has it."""
    name = config_map["metadata"]["name"]
    # Without the name, as kustomize hashes it.
    content = {"kind": "ConfigMap", "name": "", "data": config_map["data"]}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{name}-{digest[:_DIGITS].translate(_INSTEAD)}"


def _variables(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(_read(file).splitlines(), start=1):
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ManifestError(f"{file}, line {number}: NAME=VALUE is expected, got {name!r}")
        _put(found, name, value, file)
    return found


def _put(data: dict[str, str], key: str, value: str, file: Path) -> None:
    if key in data:
        raise ManifestError(f"{file}: {key} is there twice")
    data[key] = value


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(f"{file} cannot be read: {error.strerror}") from None
