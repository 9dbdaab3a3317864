"""Every object is what its schema says, and nothing besides."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ta_pipeline.kafka_rules import rules
from ta_pipeline.kubernetes.kustomize import build
from ta_pipeline.kubernetes.manifests import DIRECTORY, overlays, render
from ta_pipeline.kubernetes.yaml import read_mapping
from tests.kubernetes_schemas import crd_of, problems
from tests.manifests import of_kind, settings

VERSIONS = ("1.28", "1.33", "1.37")
THE_ONE_DIFFERENCE = (
    "spec.flinkVersion: 'v2_2' is not one of ['v1_13', 'v1_14', 'v1_15', 'v1_16', 'v1_17', 'v1_18', 'v1_19', 'v1_20']"
)
"""The newest CRDs that Maven has are of operator 1.10; v2_2 came with 1.13 (docs/kubernetes.md)."""

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("kubernetes", VERSIONS)
@pytest.mark.parametrize("overlay", overlays())
def test_all_objects_but_the_jobs_are_valid(overlay: str, kubernetes: str) -> None:
    found = {
        f"{one['kind']} {one['metadata']['name']}": problems(one, kubernetes)
        for one in render(overlay)
        if one["kind"] != "FlinkDeployment"
    }
    assert len(found) >= 11
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("kubernetes", VERSIONS)
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_of_the_jobs_the_version_of_flink_is_all_that_the_crd_does_not_know(overlay: str, kubernetes: str) -> None:
    jobs = of_kind(render(overlay), "FlinkDeployment")
    assert jobs
    assert [problems(one, kubernetes) for one in jobs.values()] == [[THE_ONE_DIFFERENCE]] * len(jobs)
    for one in jobs.values():
        one["spec"]["flinkVersion"] = "v1_20"
    assert [problems(one, kubernetes) for one in jobs.values()] == [[]] * len(jobs)


def test_the_crd_is_the_one_that_has_the_difference() -> None:
    spec = crd_of("FlinkDeployment")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert "v2_2" not in spec["properties"]["flinkVersion"]["enum"]


def test_the_user_on_kafka_and_the_sample_of_argo_cd_are_valid_as_far_as_their_fields_are_listed() -> None:
    (user,) = build(DIRECTORY / "strimzi")
    assert problems(user) == []
    assert problems(read_mapping(DIRECTORY / "argocd" / "application.yaml")) == []


def test_the_user_on_kafka_has_the_rules_of_the_platform_and_no_others() -> None:
    (user,) = build(DIRECTORY / "strimzi")
    prod = settings(render("prod"))
    assert user["metadata"]["name"] == prod.kafka_username
    found = {
        (one["resource"]["type"], one["resource"].get("name"), one["resource"].get("patternType"), operation)
        for one in user["spec"]["authorization"]["acls"]
        for operation in one["operations"]
    }
    kinds = {"transactional_id": "transactionalId"}
    wanted = {
        (
            kinds.get(rule.kind, rule.kind),
            *((None, None) if rule.kind == "cluster" else (rule.prefix, "prefix")),
            "".join(part.capitalize() for part in operation.split("_")),
        )
        for rule in rules(prod)
        for operation in rule.operations
    }
    assert found == wanted


def _set(*path: str | int, value: object) -> Change:
    def change(one: dict[str, Any]) -> None:
        node: Any = one
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value

    return change


_CONTAINER = ("spec", "podTemplate", "spec", "containers", 0)
_DEPLOYED = ("spec", "template", "spec", "containers", 0)
WRONG: dict[str, tuple[str, Change]] = {
    "an unknown field of a FlinkDeployment": ("FlinkDeployment", _set("spec", "paralelism", value=1)),
    "an unknown field of its job": ("FlinkDeployment", _set("spec", "job", "drain", value=True)),
    "an unknown field of its metadata": ("FlinkDeployment", _set("metadata", "label", value={})),
    "an unknown mode of upgrade": ("FlinkDeployment", _set("spec", "job", "upgradeMode", value="save")),
    "a number for Flink's configuration": ("FlinkDeployment", _set("spec", "flinkConfiguration", "x", value=1)),
    "text for a number of CPUs": ("FlinkDeployment", _set("spec", "taskManager", "resource", "cpu", value="2")),
    "an unknown field of its containers": ("FlinkDeployment", _set(*_CONTAINER, "environment", value=[])),
    "an unknown field of a variable": (
        "FlinkDeployment", _set(*_CONTAINER, "env", 0, value={"name": "A", "valueFrom": {"secretRef": {}}}),
    ),
    "an unknown field of its pods' security": (
        "FlinkDeployment", _set("spec", "podTemplate", "spec", "securityContext", "runAsNoRoot", value=True),
    ),
    "an unknown field of a Deployment's containers": ("Deployment", _set(*_DEPLOYED, "limits", value={})),
    "a port that is no number": ("Service", _set("spec", "ports", 0, "port", value="http")),
    "an unknown field of a NetworkPolicy": ("NetworkPolicy", _set("spec", "egres", value=[])),
    "an unknown field of a peer": ("NetworkPolicy", _set("spec", "egress", 0, "to", 0, "name", value="kafka")),
    "an unknown field of a Role": ("Role", _set("rules", 0, "verb", value=["get"])),
    "an unknown field of a disruption budget": ("PodDisruptionBudget", _set("spec", "minimum", value=1)),
    "an unknown field of a quota": ("ResourceQuota", _set("spec", "soft", value={})),
    "a ConfigMap with a number": ("ConfigMap", _set("data", "TA_PARALLELISM", value=1)),
    "an unknown field of a PodMonitor": ("PodMonitor", _set("spec", "podMetricsEndpoint", value=[])),
    "an unknown field of its endpoint": ("PodMonitor", _set("spec", "podMetricsEndpoints", 0, "every", value="15s")),
    "an unknown field of its selector": ("PodMonitor", _set("spec", "selector", "labels", value={})),
}  # fmt: skip


def test_the_rules_for_prometheus_are_valid_and_a_wrong_field_in_them_is_seen() -> None:
    rules = read_mapping(DIRECTORY / "base" / "rules.yaml")
    assert problems(rules) == []
    rules["spec"]["groups"][0]["rules"][0] |= {"fore": "2m", "expr": []}
    assert len(problems(rules)) == 2


@pytest.mark.parametrize("name", WRONG)
def test_a_field_that_is_not_known_or_of_the_wrong_type_is_seen(name: str) -> None:
    kind, change = WRONG[name]
    one = copy.deepcopy(next(iter(of_kind(render("prod"), kind).values())))
    before = problems(one)
    change(one)
    assert len(problems(one)) > len(before)


def test_a_field_that_is_not_listed_is_seen_in_the_kinds_without_a_schema() -> None:
    (user,) = build(DIRECTORY / "strimzi")
    user["spec"]["authorization"]["acls"][0]["operation"] = "Read"
    application = read_mapping(DIRECTORY / "argocd" / "application.yaml")
    application["spec"]["syncPolicy"]["automatic"] = {}
    assert len(problems(user)) == len(problems(application)) == 1
