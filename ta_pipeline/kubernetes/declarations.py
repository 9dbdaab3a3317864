"""What an overlay declares of the jobs, and what each revision was deployed with.

The overlay is a part of the release: it lies in the platform's image. A declaration is kept under the digest of its
content beside the record of rollouts, so that a rollback deploys what ran then, and a plan can say what changes.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import orjson

from ta_pipeline.errors import S3Error
from ta_pipeline.kubernetes.deployment import MAIN_CONTAINER, options_of_version
from ta_pipeline.kubernetes.manifests import FLINK_DEPLOYMENT, flink_deployment, render, settings_maps
from ta_pipeline.s3 import read_object, s3_client, write_object
from ta_pipeline.settings import Settings

_MOST_DIFFERENCES = 12


@dataclass(frozen=True)
class Declaration:
    """The FlinkDeployments of one overlay, without what a version brings along itself: image and settings.

    Attributes:
        objects: the FlinkDeployments, in the order of the overlay.
    """

    objects: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the overlay of these settings declares.

        Raises:
            ManifestError: there is no such overlay, or one of its files is wrong.
        """
        rendered = render(settings.k8s_overlay)
        config = {one["metadata"]["name"] for one in settings_maps(rendered)}
        found = [_without_version(one, settings, config) for one in rendered if one["kind"] == FLINK_DEPLOYMENT]
        return cls(tuple(found))

    @classmethod
    def read(cls, settings: Settings, digest: str) -> Self:
        """One that was kept.

        Raises:
            S3Error: it cannot be read, or is another one.
        """
        uri = _uri(settings, digest)
        content = read_object(s3_client(settings), uri)
        found = cls(tuple(orjson.loads(content)))
        if found.digest != digest:
            raise S3Error(f"{uri} holds another declaration, of the digest {found.digest}: somebody has changed it")
        return found

    def keep(self, settings: Settings) -> None:
        """Write it down under its digest; again does no harm.

        Raises:
            S3Error: the store refused, or cannot be reached.
        """
        write_object(s3_client(settings), _uri(settings, self.digest), self._content)

    def deployment(self, name: str) -> dict[str, Any]:
        """The FlinkDeployment of this name.

        Raises:
            ManifestError: there is none.
        """
        return copy.deepcopy(flink_deployment(self.objects, name))

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits of SHA-256 over the content."""
        return hashlib.sha256(self._content).hexdigest()[:12]

    @property
    def _content(self) -> bytes:
        return orjson.dumps(list(self.objects), option=orjson.OPT_SORT_KEYS)


def differences(before: Declaration, after: Declaration) -> list[str]:
    """What another declaration changes, a line for each value: its place, and the value before and after; pure."""
    old, new = (
        {path: value for one in declaration.objects for path, value in _values(one, one["metadata"]["name"])}
        for declaration in (before, after)
    )
    found = [
        f"{path}: {old.get(path, 'not set')} -> {new.get(path, 'not set')}"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]
    more = len(found) - _MOST_DIFFERENCES
    return found if more <= 0 else [*found[:_MOST_DIFFERENCES], f"and {more} more"]


def _uri(settings: Settings, digest: str) -> str:
    return f"{settings.revision_dir.rstrip('/')}/manifests/{digest}.json"


def _without_version(declared: Mapping[str, Any], settings: Settings, config: set[str]) -> dict[str, Any]:
    """Without what a deployment sets anyway.

    Args:
        declared: the FlinkDeployment.
        settings: their names count, not their values.
        config: names of the ConfigMaps with the settings. They change with what somebody applies, and the job's
            settings are those of its version.
    """
    kept = copy.deepcopy(dict(declared))
    spec = kept["spec"]
    spec.pop("image", None)
    own = options_of_version(spec.get("flinkConfiguration", {}), settings)
    spec["flinkConfiguration"] = {name: value for name, value in spec["flinkConfiguration"].items() if name not in own}
    for container in spec.get("podTemplate", {}).get("spec", {}).get("containers", ()):
        if container.get("name") != MAIN_CONTAINER:
            continue
        sources = [one for one in container.get("envFrom", ()) if one.get("configMapRef", {}).get("name") not in config]
        container["envFrom"] = sources
        if not sources:
            del container["envFrom"]
    return kept


def _values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    items: Iterable[tuple[Any, Any]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        # Named things keep their place in words when another one comes before them.
        items = ((one["name"] if isinstance(one, Mapping) and "name" in one else n, one) for n, one in enumerate(value))
    else:
        yield path, value
        return
    for key, one in items:
        yield from _values(one, f"{path}.{key}" if isinstance(key, str) else f"{path}[{key}]")
