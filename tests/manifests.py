"""The rendered manifests as tests look at them: pods, their containers, what they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ta_pipeline.kubernetes.deployment import renamed
from ta_pipeline.kubernetes.manifests import FLINK_DEPLOYMENT, flink_deployment, render, settings_of
from ta_pipeline.settings import PREFIX, Settings, load_settings

MAIN_CONTAINER = "flink-main-container"
COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True)
class Pods:
    """The pods that one object makes: what they are called, their labels and their spec."""

    owner: Mapping[str, Any]
    name: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def component(self) -> str:
        return self.labels[COMPONENT]

    def containers(self) -> list[Mapping[str, Any]]:
        return [*self.spec["containers"], *self.spec.get("initContainers", ())]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def pods_of(objects: list[dict[str, Any]]) -> list[Pods]:
    """Everything that makes pods; an object of a kind that does, and is not known here, fails the test."""
    return list(_pods(objects))


def _pods(objects: list[dict[str, Any]]) -> Iterator[Pods]:
    for one in objects:
        assert one["kind"] not in {"StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "ReplicaSet"}
        if one["kind"] == FLINK_DEPLOYMENT:
            template = one["spec"]["podTemplate"]
        elif one["kind"] == "Deployment":
            template = one["spec"]["template"]
        elif one["kind"] == "PodTemplate":
            template = one["template"]
        else:
            continue
        yield Pods(one, one["metadata"]["name"], template["metadata"]["labels"], template["spec"])


def every_pod() -> dict[str, dict[str, str]]:
    """The labels of all pods that there may be in the namespace of production, by component: those of every object that
    is rendered, of a drill, and of a run of Dagster."""
    jobs = of_kind(render("prod"), FLINK_DEPLOYMENT).values()
    drill = renamed(flink_deployment(jobs, "torghut-ta"), "torghut-ta-drill-20260102-030405")
    found: dict[str, dict[str, str]] = {}
    for pods in pods_of([*render("dagster"), *jobs, drill]):
        labels = dict(pods.labels)
        if pods.owner["kind"] == FLINK_DEPLOYMENT:
            # What Flink's native mode adds.
            labels |= {"app": pods.name, "type": "flink-native-kubernetes"}
        assert pods.component not in found
        found[pods.component] = labels
    (instance,) = [
        one["data"] for one in of_kind(render("dagster"), "ConfigMap").values() if "dagster.yaml" in one["data"]
    ]
    run = yaml.safe_load(instance["dagster.yaml"])["run_launcher"]["config"]["labels"]
    assert run[COMPONENT] not in found
    return {**found, run[COMPONENT]: run}


def settings(objects: list[dict[str, Any]]) -> Settings:
    """The settings of an overlay, checked as a whole; a password stands for the one in the secret."""
    values = {name.removeprefix(PREFIX).lower(): value for name, value in settings_of(objects).items()}
    return load_settings(**values, kafka_password="of the secret")  # noqa: S106 - it is none


def environment_of(container: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables of a container by name."""
    return {one["name"]: one for one in container.get("env", ())}
