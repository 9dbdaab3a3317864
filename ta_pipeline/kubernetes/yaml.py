"""YAML of Kubernetes objects: read strictly, and written so that people can read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ta_pipeline.errors import ManifestError


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: one of them would be lost."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} is there twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Dumper(yaml.SafeDumper):
    """Text of several lines stays text of several lines."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written out where it stands."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def read_documents(file: Path) -> list[Any]:
    """Every document of a file, empty ones left out.

    Raises:
        ManifestError: it is not there, is not YAML, or has a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
        return [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]
    except OSError as error:
        raise ManifestError(f"{file} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ManifestError(f"{file} is not YAML: {' '.join(str(error).split())}") from None


def read_mapping(file: Path) -> dict[str, Any]:
    """The one mapping that a file holds.

    Raises:
        ManifestError: it holds something else.
    """
    found = read_documents(file)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise ManifestError(f"{file} has to hold one mapping")
    return found[0]


def as_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """The objects as one text, as `kubectl apply -f -` takes it."""
    return yaml.dump_all(
        objects, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True, default_flow_style=False
    )
