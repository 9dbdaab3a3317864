"""The objects of an overlay, as `kubectl apply -k k8s/overlays/NAME` applies them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.kustomize import FILE, build
from ta_pipeline.local.settings import REPOSITORY

DIRECTORY = REPOSITORY / "k8s"
FLINK_DEPLOYMENT = "FlinkDeployment"


def overlays(directory: Path = DIRECTORY) -> tuple[str, ...]:
    """The names of the overlays that there are, sorted."""
    return tuple(sorted(file.parent.name for file in (directory / "overlays").glob(f"*/{FILE}")))


def render(overlay: str, directory: Path = DIRECTORY) -> list[dict[str, Any]]:
    """All objects of an overlay, in the order in which they are applied; no secret is in them.

    Args:
        overlay: its name.
        directory: the folder with `overlays/`.

    Raises:
        ManifestError: there is no such overlay, or one of its files is wrong.
    """
    if overlay not in overlays(directory):
        known = ", ".join(overlays(directory)) or "none"
        raise ManifestError(f"there is no overlay {overlay!r} in {directory / 'overlays'}; there are: {known}")
    return build(directory / "overlays" / overlay)


def flink_deployment(objects: Iterable[Mapping[str, Any]], name: str | None = None) -> dict[str, Any]:
    """The FlinkDeployment of the job.

    Args:
        objects: of `render`.
        name: of the FlinkDeployment; None: the one whose pods are `app.kubernetes.io/component: job`.

    Raises:
        ManifestError: there is none, or there are several.
    """
    there = [dict(one) for one in objects if one["kind"] == FLINK_DEPLOYMENT]
    found = [one for one in there if (one["metadata"]["name"] == name if name else _component(one) == "job")]
    if len(found) != 1:
        names = ", ".join(one["metadata"]["name"] for one in there) or "none"
        raise ManifestError(f"one FlinkDeployment {name or 'of the job'} was expected; there are: {names}")
    return found[0]


def settings_of(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The `TA_*` settings of the overlay's ConfigMap, without secrets.

    Raises:
        ManifestError: there is no such ConfigMap, or there are several.
    """
    found = settings_maps(objects)
    if len(found) != 1:
        raise ManifestError(f"one ConfigMap with settings was expected, there are {len(found)}")
    return dict(found[0]["data"])


def settings_maps(objects: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The ConfigMaps that have `TA_*` settings in them."""
    return [one for one in objects if one["kind"] == "ConfigMap" and any(map(_is_setting, one.get("data", {})))]


def _is_setting(key: str) -> bool:
    return key.startswith("TA_")


def _component(one: Mapping[str, Any]) -> str | None:
    labels = one["spec"].get("podTemplate", {}).get("metadata", {}).get("labels", {})
    component: str | None = labels.get("app.kubernetes.io/component")
    return component
