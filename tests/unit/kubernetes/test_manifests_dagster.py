"""Dagster on Kubernetes: its instance is a valid one, and the pods of its runs keep the rules of all others."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import RunLauncher
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job
from dagster_postgres import DagsterPostgresStorage
from kubernetes.client import ApiClient

from ta_pipeline.kubernetes.agent_job import template_name
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.settings import REPOSITORY
from tests.kubernetes_schemas import problems
from tests.manifests import Pods, environment_of, of_kind, pods_of, settings

IMAGE = "lab/torghut-ta-platform:0.1.0"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: none
clusters: [{name: none, cluster: {server: "https://127.0.0.1:9"}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
users: [{name: none, user: {}}]
"""


def file_of(name: str) -> str:
    """A file of Dagster's ConfigMap as it is rendered."""
    (found,) = [one["data"] for one in of_kind(render("dagster"), "ConfigMap").values() if name in one["data"]]
    return str(found[name])


def of_component(component: str) -> Pods:
    (found,) = [pods for pods in pods_of(render("dagster")) if pods.component == component]
    return found


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    """The instance as the daemon's pod loads it, with its environment."""
    daemon = of_component("dagster-daemon").containers()[0]
    config_maps = of_kind(render("dagster"), "ConfigMap")
    for source in daemon["envFrom"]:
        for name, value in config_maps[source["configMapRef"]["name"]]["data"].items():
            monkeypatch.setenv(name, value)
    for name, variable in environment_of(daemon).items():
        monkeypatch.setenv(name, variable.get("value", "of the secret"))
    (tmp_path / "dagster.yaml").write_text(file_of("dagster.yaml"), encoding="utf-8")
    return InstanceRef.from_dir(str(tmp_path))


@pytest.fixture
def run_pod(instance: InstanceRef, tmp_path: Path) -> dict[str, Any]:
    """The Job that Dagster's launcher makes for a run, as the API server would be given it."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG, encoding="utf-8")
    declared = instance.run_launcher_data
    assert declared is not None
    # Outside of a cluster: the launcher loads where the API server is, and asks nothing of it.
    config = {
        **yaml.safe_load(declared.config_yaml),
        "load_incluster_config": False,
        "kubeconfig_file": str(tmp_path / "kubeconfig"),
    }
    here = ConfigurableClassData(declared.module_name, declared.class_name, yaml.safe_dump(config))
    launcher = here.rehydrate(as_type=RunLauncher)
    assert isinstance(launcher, K8sRunLauncher)
    run = DagsterRun(job_name="upgrade", run_id=str(uuid.uuid4()))
    context = launcher.get_container_context_for_run(run)
    assert context.namespace == "torghut"
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(job_image=IMAGE, run_launcher=launcher),
        args=["dagster", "api", "execute_run", "{}"],
        job_name="dagster-run-0",
        pod_name="dagster-run-0",
        component="run_worker",
        user_defined_k8s_config=context.run_k8s_config,
    )
    found: dict[str, Any] = ApiClient().sanitize_for_serialization(job)
    return found


def test_what_the_instance_on_one_machine_has_this_one_has_too() -> None:
    here = yaml.safe_load((REPOSITORY / "orchestration" / "dagster.yaml").read_text(encoding="utf-8"))
    there = yaml.safe_load(file_of("dagster.yaml"))
    assert {key: there.get(key) for key in here} == here
    assert set(there) - set(here) == {"storage", "run_launcher", "compute_logs"}


def test_runs_events_and_ticks_are_in_postgresql_with_the_password_of_the_secret(instance: InstanceRef) -> None:
    assert instance.storage_data is not None
    assert instance.storage_data.class_name == DagsterPostgresStorage.__name__
    database = yaml.safe_load(instance.storage_data.config_yaml)["postgres_db"]
    assert database == {
        name: {"env": f"DAGSTER_PG_{variable}"}
        for name, variable in (
            ("hostname", "HOST"), ("port", "PORT"), ("db_name", "DATABASE"), ("username", "USERNAME"),
            ("password", "PASSWORD"),
        )
    }  # fmt: skip


def test_the_web_interface_and_the_daemon_find_the_code_location() -> None:
    (server,) = [one["grpc_server"] for one in yaml.safe_load(file_of("workspace.yaml"))["load_from"]]
    service = of_kind(render("dagster"), "Service")[server["host"]]
    assert [port["port"] for port in service["spec"]["ports"]] == [server["port"]]
    code = of_component("dagster-code")
    assert service["spec"]["selector"].items() <= code.labels.items()
    here = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))["load_from"][0]["python_module"]
    command = code.containers()[0]["command"]
    assert command[command.index("-m") + 1] == here["module_name"]
    assert server["location_name"] == here["location_name"]
    assert command[command.index("-p") + 1] == str(server["port"])


@pytest.mark.parametrize("component", ["dagster-webserver", "dagster-daemon", "dagster-code"])
def test_names_that_are_handed_to_the_pods_of_runs_are_those_of_config_maps_that_are_there(component: str) -> None:
    container = of_component(component).containers()[0]
    variables, config_maps = environment_of(container), of_kind(render("dagster"), "ConfigMap")
    settings = config_maps[variables["TA_SETTINGS_CONFIG_MAP"]["value"]]["data"]
    assert settings["TA_RUNTIME"] == "kubernetes"
    assert "dagster.yaml" in config_maps[variables["TA_DAGSTER_CONFIG_MAP"]["value"]]["data"]
    assert "DAGSTER_PG_HOST" in config_maps[variables["TA_DATABASE_CONFIG_MAP"]["value"]]["data"]


def test_the_pod_of_a_run_is_a_valid_one(run_pod: dict[str, Any]) -> None:
    assert problems(run_pod) == []


def test_the_pod_of_a_run_has_limits_and_is_not_root_and_does_not_write_to_its_image(run_pod: dict[str, Any]) -> None:
    spec = run_pod["spec"]["template"]["spec"]
    code = of_component("dagster-code")
    assert spec["securityContext"] == code.spec["securityContext"]
    (container,) = spec["containers"]
    assert container["image"] == code.containers()[0]["image"] == IMAGE
    assert container["securityContext"] == code.containers()[0]["securityContext"]
    assert container["resources"]["limits"] == container["resources"]["requests"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert {"/tmp", "/opt/dagster", "/etc/ta/kafka"} == {  # noqa: S108
        mount["mountPath"] for mount in container["volumeMounts"]
    }


def test_the_pod_of_a_run_is_known_to_the_network_policies_and_has_the_account_that_deploys(
    run_pod: dict[str, Any],
) -> None:
    labels = run_pod["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "torghut-ta"
    assert labels["app.kubernetes.io/component"] == "dagster-run"
    assert run_pod["spec"]["template"]["spec"]["serviceAccountName"] == "torghut-ta-platform"


def test_the_pod_of_a_run_has_the_settings_and_secrets_of_the_code_location(run_pod: dict[str, Any]) -> None:
    (container,) = run_pod["spec"]["template"]["spec"]["containers"]
    code = of_component("dagster-code").containers()[0]
    given, wanted = environment_of(container), environment_of(code)
    # The image of the run itself is the launcher's to say.
    del wanted["DAGSTER_CURRENT_IMAGE"]
    # Whose its log lines are.
    assert given.pop("TA_LOG_COMPONENT")["value"] == "dagster-run"
    del wanted["TA_LOG_COMPONENT"]
    assert {name: given.get(name) for name in wanted} == wanted
    assert [one["configMapRef"]["name"] for one in container["envFrom"]] == [
        one["configMapRef"]["name"] for one in code["envFrom"]
    ]


def test_a_rollout_has_the_image_the_account_the_settings_and_the_secrets_of_the_run_that_asks_for_it(
    run_pod: dict[str, Any],
) -> None:
    (asks,) = run_pod["spec"]["template"]["spec"]["containers"]
    pods = of_component("rollout")
    assert pods.name == template_name(settings(render("prod")))
    (container,) = pods.containers()
    assert container["image"] == asks["image"]
    assert pods.spec["serviceAccountName"] == run_pod["spec"]["template"]["spec"]["serviceAccountName"]
    given, wanted = environment_of(container), environment_of(asks)
    assert {name: wanted.get(name) for name in given} == given
    # A rollout alerts nobody, and what is in ClickHouse is nothing to it.
    left = {"TA_ALERT_WEBHOOK_URL", "TA_CLICKHOUSE_PASSWORD"}
    assert {name for name in wanted if "secretKeyRef" in wanted[name].get("valueFrom", {})} - left == {
        name for name in given if "valueFrom" in given[name]
    } | {"DAGSTER_PG_PASSWORD"}
    assert container["envFrom"][0] == asks["envFrom"][0]
