"""What is deployed may do what it must, and nothing else; no secret is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.utils.quantity import parse_quantity
from pydantic import SecretStr

from ta_pipeline.errors import SettingsError
from ta_pipeline.kubernetes.manifests import overlays, render, settings_of
from ta_pipeline.kubernetes.yaml import as_yaml
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.settings import Settings, load_settings, variable_of
from tests.access import ACCESS
from tests.manifests import MAIN_CONTAINER, Pods, environment_of, every_pod, of_kind, pods_of, settings
from tests.network import ours, selects

SECRETS = {
    variable_of(name) for name, field in Settings.model_fields.items() if field.annotation is SecretStr
}  # fmt: skip
ACCOUNTS = {
    "job": "torghut-ta", "table": "torghut-ta", "clock": "torghut-ta-around", "probe": "torghut-ta-around",
    "dagster-webserver": "torghut-ta-dagster", "dagster-daemon": "torghut-ta-dagster",
    "dagster-code": "torghut-ta-platform", "rollout": "torghut-ta-platform",
}  # fmt: skip

BY_COMPONENT = {
    "job": {"observability-minio-creds", "torghut-ta", "kafka-cluster-ca-cert"},
    "table": {"observability-minio-creds", "torghut-ta", "kafka-cluster-ca-cert", "torghut-clickhouse-auth"},
    "clock": {"torghut-ta", "kafka-cluster-ca-cert"},
    "probe": {"torghut-ta", "kafka-cluster-ca-cert"},
    "dagster-webserver": {"torghut-ta-dagster-postgresql"},
    "dagster-daemon": {"torghut-ta-dagster-postgresql"},
    "dagster-code": {
        "observability-minio-creds", "torghut-ta", "kafka-cluster-ca-cert", "torghut-clickhouse-auth",
        "torghut-ta-dagster-postgresql", "torghut-ta-alerts",
    },
    "rollout": {"observability-minio-creds", "torghut-ta", "kafka-cluster-ca-cert"},
}  # fmt: skip
"""The secrets that each pod is given in production."""


def each_pods() -> list[Any]:
    return [
        pytest.param(pods, id=f"{overlay}-{pods.component}")
        for overlay in overlays()
        for pods in pods_of(render(overlay))
    ]


def images(objects: list[dict[str, Any]]) -> Iterator[str]:
    for pods in pods_of(objects):
        if pods.owner["kind"] == "FlinkDeployment":
            yield pods.owner["spec"]["image"]
            assert not any("image" in one for one in pods.containers())
        else:
            yield from (one["image"] for one in pods.containers())
        for one in pods.containers():
            yield from (
                variable["value"]
                for name, variable in environment_of(one).items()
                if name in {"TA_IMAGE", "DAGSTER_CURRENT_IMAGE"}
            )


@pytest.mark.parametrize("overlay", overlays())
def test_each_image_names_one_build(overlay: str) -> None:
    found = set(images(render(overlay)))
    assert found
    for image in found:
        assert re.fullmatch(r"lab/torghut-ta(-platform)?(:\d+\.\d+\.\d+(-[a-z]+)?|@sha256:[0-9a-f]{64})", image), image


def test_dagster_is_to_roll_out_the_image_that_the_overlay_of_production_has() -> None:
    (job,) = {one["spec"]["image"] for one in of_kind(render("prod"), "FlinkDeployment").values()}
    (code,) = [pods for pods in pods_of(render("dagster")) if pods.component == "dagster-code"]
    assert environment_of(code.containers()[0])["TA_IMAGE"]["value"] == job


@pytest.mark.parametrize("pods", each_pods())
def test_each_container_asks_for_what_it_may_have_at_most(pods: Pods) -> None:
    if pods.owner["kind"] == "FlinkDeployment":
        # Flink asks for the same as the limit, unless it is told another factor.
        assert not [key for key in pods.owner["spec"]["flinkConfiguration"] if "limit-factor" in key]
        for part in ("jobManager", "taskManager"):
            assert set(pods.owner["spec"][part]["resource"]) == {"cpu", "memory"}
        assert [one["name"] for one in pods.containers()] == [MAIN_CONTAINER]
        return
    for one in pods.containers():
        assert set(one["resources"]["limits"]) == {"cpu", "memory"}
        assert one["resources"]["requests"] == one["resources"]["limits"]


@pytest.mark.parametrize("pods", each_pods())
def test_no_pod_is_root_or_can_become_it_or_writes_to_its_image(pods: Pods) -> None:
    pod = pods.spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] == 9999
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in pods.containers():
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert "/tmp" in {mount["mountPath"] for mount in one["volumeMounts"]}  # noqa: S108 - the one place to write
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pods.spec)
    for volume in pods.spec["volumes"]:
        assert set(volume) - {"name"} <= {"emptyDir", "secret", "configMap"}
        assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})


@pytest.mark.parametrize("overlay", overlays())
def test_roles_allow_what_the_table_says_and_nothing_more(overlay: str) -> None:
    objects = render(overlay)
    assert not of_kind(objects, "ClusterRole")
    assert not of_kind(objects, "ClusterRoleBinding")
    found: dict[str, dict[tuple[str, str], set[str]]] = {}
    for name, role in of_kind(objects, "Role").items():
        for rule in role["rules"]:
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            for key in ((group, resource) for group in rule["apiGroups"] for resource in rule["resources"]):
                assert key not in found.setdefault(name, {})
                found[name][key] = set(rule["verbs"])
    assert found == {name: ACCESS[name] for name in found}
    assert set(found) == ({"torghut-ta"} if overlay != "dagster" else set(ACCESS))


def test_the_guide_says_what_each_account_may_do() -> None:
    guide = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    table = guide.partition("| account | pods |")[2].partition("\n\n")[0]
    told: dict[str, dict[str, set[str]]] = {}
    for row in table.splitlines()[2:]:
        account, _, rights = (cell.strip(" `") for cell in row.strip("|").split("|"))
        for right in () if rights.startswith("nothing") else rights.split("; "):
            resources, _, verbs = right.partition(": ")
            for resource in resources.split(", "):
                told.setdefault(account, {})[resource.strip("`")] = set(verbs.split(", "))
    assert told == {
        account: {resource: verbs for (_, resource), verbs in of_it.items()} for account, of_it in ACCESS.items()
    }


@pytest.mark.parametrize("overlay", overlays())
def test_each_pod_has_the_account_of_the_table_and_each_role_is_bound_to_one_account(overlay: str) -> None:
    objects = render(overlay)
    accounts, namespace = of_kind(objects, "ServiceAccount"), objects[0]["metadata"]["namespace"]
    for pods in pods_of(objects):
        is_flink = pods.owner["kind"] == "FlinkDeployment"
        account = pods.owner["spec"]["serviceAccount"] if is_flink else pods.spec["serviceAccountName"]
        assert account == ACCOUNTS[pods.component]
        assert account in accounts
    for name, binding in of_kind(objects, "RoleBinding").items():
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    assert set(of_kind(objects, "RoleBinding")) == set(of_kind(objects, "Role"))
    # Whoever has no role has no token either.
    assert accounts["torghut-ta-around"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", overlays())
def test_settings_are_ones_that_there_are_with_values_that_are_allowed(overlay: str) -> None:
    known = {variable_of(name) for name in Settings.model_fields}
    given = settings_of(render(overlay))
    assert set(given) <= known - SECRETS
    there = settings(render(overlay))
    assert (there.runtime, there.k8s_namespace) == ("kubernetes", render(overlay)[0]["metadata"]["namespace"])
    assert there.flink_rest_url == f"http://{there.k8s_deployment}-rest:8081"
    assert there.probe_url == f"http://{'torghut-ta-probe'}:19251"
    assert "torghut-ta-probe" in of_kind(render(overlay), "Service")


def test_a_value_that_is_not_allowed_would_be_seen() -> None:
    with pytest.raises(SettingsError, match="TA_RUNTIME='kubernets' is not allowed"):
        load_settings(**{"runtime": "kubernets"})


def test_the_setting_of_the_namespace_is_in_force_everywhere() -> None:
    for overlay in overlays():
        assert len({one["metadata"]["namespace"] for one in render(overlay)}) == 1


@pytest.mark.parametrize("overlay", overlays())
def test_there_is_no_secret_in_what_is_rendered(overlay: str) -> None:
    objects = render(overlay)
    assert not of_kind(objects, "Secret")
    for config_map in of_kind(objects, "ConfigMap").values():
        assert not [key for key in config_map["data"] if key in SECRETS or re.search("PASSWORD|SECRET|KEY", key)]
    for pods in pods_of(objects):
        for one in pods.containers():
            for name, variable in environment_of(one).items():
                if name in SECRETS or re.search("PASSWORD|SECRET|KEY|TOKEN", name):
                    assert set(variable) == {"name", "valueFrom"}
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}
        if pods.owner["kind"] == "FlinkDeployment":
            keys = pods.owner["spec"]["flinkConfiguration"]
            assert not [key for key in keys if re.search(r"(access|secret)[.-]key|password|token", key)]
    # What the local stack's defaults are for: nobody is to reach production with them.
    assert "local-secret" not in as_yaml(objects)


def secrets_of(pods: Pods) -> set[str]:
    named = {volume["secret"]["secretName"] for volume in pods.spec["volumes"] if "secret" in volume}
    for one in pods.containers():
        assert not [source for source in one.get("envFrom", ()) if "secretRef" in source]
        named |= {
            variable["valueFrom"]["secretKeyRef"]["name"]
            for variable in environment_of(one).values()
            if "valueFrom" in variable
        }
    return named


@pytest.mark.parametrize("overlay", ["dagster", "prod"])
def test_each_pod_is_given_the_secrets_of_the_table_and_no_others(overlay: str) -> None:
    found = {pods.component: secrets_of(pods) for pods in pods_of(render(overlay))}
    assert found == {name: BY_COMPONENT[name] for name in found}
    assert len(found) >= 4


def test_the_guide_names_every_secret_with_its_keys() -> None:
    named: set[tuple[str, str]] = set()
    for overlay in overlays():
        for pods in pods_of(render(overlay)):
            for volume in pods.spec["volumes"]:
                items = volume.get("secret", {}).get("items", ())
                named |= {(volume["secret"]["secretName"], item["key"]) for item in items}
            sources = [one.get("valueFrom") for one in pods.containers() for one in environment_of(one).values()]
            named |= {(one["secretKeyRef"]["name"], one["secretKeyRef"]["key"]) for one in sources if one}
    guide = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    table = guide.partition("| secret in `torghut` |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`([^`]+)`", row) for row in table.splitlines()[2:]]
    told = {(name, key) for name, *keys in rows for key in keys}
    assert {one for one in named if one[0] != "torghut-ta-s3"} == told
    assert ("torghut-ta-s3", "accesskey") in named
    assert "`torghut-ta-s3` (`accesskey`, `secretkey`)" in guide


@pytest.mark.parametrize("overlay", overlays())
def test_prometheus_finds_a_port_of_that_name_on_each_pod_that_it_is_to_ask(overlay: str) -> None:
    spec = of_kind(render(overlay), "PodMonitor")["torghut-ta"]["spec"]
    # Not a drill: what it does would be counted as the job's.
    assert ours(spec["selector"], every_pod()) == {"job", "table", "probe"}
    for pods in pods_of(render(overlay)):
        ports = {port["name"]: port["containerPort"] for one in pods.containers() for port in one.get("ports", ())}
        assert ("metrics" in ports) == selects(spec["selector"], pods.labels)
        if pods.owner["kind"] == "FlinkDeployment":
            port = pods.owner["spec"]["flinkConfiguration"]["metrics.reporter.prom.port"]
            assert int(port) == ports["metrics"] == 9249
    assert [one["port"] for one in spec["podMetricsEndpoints"]] == ["metrics"]


@pytest.mark.parametrize("overlay", ["dagster", "prod"])
def test_each_job_of_production_has_a_disruption_budget_of_its_own(overlay: str) -> None:
    found = {}
    for name, budget in of_kind(render(overlay), "PodDisruptionBudget").items():
        assert set(budget["spec"]) == {"minAvailable", "selector"}
        assert budget["spec"]["minAvailable"] == 1
        assert type(budget["spec"]["minAvailable"]) is int
        found[name] = ours(budget["spec"]["selector"], every_pod())
    # A drill's pod is not one that is still there of the job.
    assert found == {"torghut-ta": {"job"}, "torghut-ta-table": {"table"}}


@pytest.mark.parametrize("overlay", overlays())
def test_deployments_and_services_select_the_pods_that_they_are_of(overlay: str) -> None:
    objects = render(overlay)
    for name, deployment in of_kind(objects, "Deployment").items():
        assert ours(deployment["spec"]["selector"], every_pod()) == {name.removeprefix("torghut-ta-")}
    services = of_kind(objects, "Service")
    assert "torghut-ta-probe" in services
    for name, service in services.items():
        assert ours({"matchLabels": service["spec"]["selector"]}, every_pod()) == {name.removeprefix("torghut-ta-")}


def test_production_fits_into_its_quota_with_four_runs_of_dagster() -> None:
    hard = of_kind(render("prod"), "ResourceQuota")["torghut-ta"]["spec"]["hard"]
    cpu, memory = parse_quantity("4"), 4 * parse_quantity("4Gi")
    for pods in pods_of([*render("dagster"), *of_kind(render("prod"), "FlinkDeployment").values()]):
        if pods.owner["kind"] == "FlinkDeployment":
            for part in ("jobManager", "taskManager"):
                resource = pods.owner["spec"][part]["resource"]
                cpu += parse_quantity(resource["cpu"])
                # Flink's m is a MiB.
                memory += parse_quantity(resource["memory"].replace("m", "Mi"))
        else:
            cpu += sum(parse_quantity(one["resources"]["limits"]["cpu"]) for one in pods.containers())
            memory += sum(parse_quantity(one["resources"]["limits"]["memory"]) for one in pods.containers())
    for kind in ("requests", "limits"):
        assert cpu <= parse_quantity(hard[f"{kind}.cpu"])
        assert memory <= parse_quantity(hard[f"{kind}.memory"])
