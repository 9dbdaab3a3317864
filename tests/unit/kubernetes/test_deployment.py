from __future__ import annotations

import copy
from typing import Any

import pytest

from ta_pipeline.job_options import of_the_cluster, of_the_table_job
from ta_pipeline.kubernetes.deployment import image_problem, nonce_of, renamed, rest_url, service_url, to_run
from ta_pipeline.kubernetes.manifests import flink_deployment, render
from ta_pipeline.settings import load_settings
from tests.manifests import settings

JOB_ID = "0123456789abcdef0123456789abcdef"
DECLARED: dict[str, Any] = {
    "apiVersion": "flink.apache.org/v1beta1",
    "kind": "FlinkDeployment",
    "metadata": {"name": "torghut-ta", "labels": {"a": "1"}, "creationTimestamp": None},
    "spec": {
        "image": "declared",
        "flinkConfiguration": {"a": "1"},
        "podTemplate": {"spec": {"containers": [
            {"name": "side"},
            {"name": "flink-main-container", "envFrom": [{"configMapRef": {"name": "settings"}}],
             "env": [{"name": "KEPT", "value": "1"}, {"name": "TA_SESSION", "value": "x"}]},
        ]}},
        "job": {"entryClass": "P", "args": ["-py", "job.py"], "state": "suspended", "upgradeMode": "last-state"},
    },
}  # fmt: skip
SETTINGS = load_settings(
    image="registry.example/ta:2",
    session="regular",
    parallelism=2,
    s3_endpoint="http://s3:9000",
    kafka_password="hidden-from-all",  # noqa: S106 - what must not be told
)

PROD = settings(render("prod"))
PRODUCTION = flink_deployment(render("prod"), "torghut-ta")
DECLARED_OPTIONS = PRODUCTION["spec"]["flinkConfiguration"]


def test_a_version_is_the_declared_object_with_its_image_and_its_settings() -> None:
    found = to_run(DECLARED, SETTINGS, JOB_ID, arguments=("--rebuild", "s3a://b/r"))
    assert found["metadata"] == {"name": "torghut-ta", "namespace": "torghut", "labels": {"a": "1"}}
    spec = found["spec"]
    assert spec["image"] == "registry.example/ta:2"
    assert spec["flinkConfiguration"] == {
        "a": "1", "$internal.pipeline.job-id": JOB_ID, **of_the_cluster(SETTINGS), "fs.s3a.endpoint": "http://s3:9000",
        "fs.s3a.path.style.access": "true", "fs.s3a.connection.ssl.enabled": "false",
    }  # fmt: skip
    assert spec["flinkConfiguration"]["execution.checkpointing.savepoint-dir"] == SETTINGS.savepoint_dir
    assert spec["job"] == {
        "entryClass": "P", "args": ["-py", "job.py", "--rebuild", "s3a://b/r"], "state": "running", "parallelism": 2,
        "upgradeMode": "savepoint",
    }  # fmt: skip
    side, main = spec["podTemplate"]["spec"]["containers"]
    assert side == {"name": "side"}
    assert main["envFrom"] == [{"configMapRef": {"name": "settings"}}]
    environment = {one["name"]: one["value"] for one in main["env"]}
    assert (environment["KEPT"], environment["TA_SESSION"]) == ("1", "regular")
    assert environment["TA_S3_ENDPOINT"] == "http://s3:9000", "a job that was rebuilt reads there what it withholds"
    assert len(environment) == len(main["env"]), "each variable once"


def test_what_flink_is_told_follows_the_settings_of_the_version() -> None:
    wanted = load_settings(
        checkpoint_interval_ms=500, checkpoint_timeout_ms=90_000, tolerable_failed_checkpoints=7,
        checkpoint_dir="s3a://b/own", savepoint_dir="s3a://b/saved", restart_max_delay_ms=9_000,
        s3_endpoint="https://s3.example", s3_path_style=False, s3_secure=True,
    )  # fmt: skip
    found = to_run(PRODUCTION, wanted, JOB_ID)["spec"]["flinkConfiguration"]
    assert {name: found[name] for name in found if found[name] != DECLARED_OPTIONS.get(name)} == {
        "$internal.pipeline.job-id": JOB_ID,
        "execution.checkpointing.interval": "500 ms",
        "execution.checkpointing.min-pause": "250 ms",
        "execution.checkpointing.timeout": "90000 ms",
        "execution.checkpointing.tolerable-failed-checkpoints": "7",
        "execution.checkpointing.dir": "s3a://b/own",
        "execution.checkpointing.savepoint-dir": "s3a://b/saved",
        "restart-strategy.exponential-delay.max-backoff": "9000 ms",
        "fs.s3a.endpoint": "https://s3.example",
        "fs.s3a.path.style.access": "false",
        "fs.s3a.connection.ssl.enabled": "true",
    }
    assert set(DECLARED_OPTIONS) <= set(found)


def test_of_another_restart_strategy_nothing_is_left() -> None:
    found = to_run(PRODUCTION, load_settings(restart_strategy="fixed-delay"), JOB_ID)["spec"]["flinkConfiguration"]
    assert {name: value for name, value in found.items() if name.startswith("restart-strategy")} == {
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "5",
        "restart-strategy.fixed-delay.delay": "5 s",
    }


def test_with_the_settings_of_the_overlay_it_is_what_the_overlay_declares_already() -> None:
    for name, wanted in (("torghut-ta", PROD), ("torghut-ta-table", of_the_table_job(PROD))):
        declared = flink_deployment(render("prod"), name)
        found = to_run(declared, wanted, JOB_ID)["spec"]["flinkConfiguration"]
        assert found == {**declared["spec"]["flinkConfiguration"], "$internal.pipeline.job-id": JOB_ID}


def test_no_secret_gets_into_the_object() -> None:
    found = to_run(DECLARED, SETTINGS, JOB_ID)
    assert "hidden-from-all" not in str(found)
    assert "KAFKA_PASSWORD" not in str(found)


def test_the_declared_object_is_left_alone() -> None:
    before = str(DECLARED)
    to_run(DECLARED, SETTINGS, JOB_ID)
    assert str(DECLARED) == before


def test_the_first_one_starts_from_the_state_it_is_given() -> None:
    job = to_run(DECLARED, SETTINGS, JOB_ID, restore_from="s3a://b/sp")["spec"]["job"]
    assert (job["initialSavepointPath"], job["upgradeMode"]) == ("s3a://b/sp", "savepoint")
    assert "savepointRedeployNonce" not in job


def test_one_that_replaces_another_makes_the_operator_look_at_its_state_again() -> None:
    job = to_run(DECLARED, SETTINGS, JOB_ID, restore_from="s3a://b/sp", replaces=True)["spec"]["job"]
    assert job["savepointRedeployNonce"] == nonce_of(JOB_ID)


def test_one_that_replaces_another_without_state_says_so() -> None:
    job = to_run(DECLARED, SETTINGS, JOB_ID, replaces=True)["spec"]["job"]
    assert job["upgradeMode"] == "stateless"
    assert "initialSavepointPath" not in job


def test_asked_again_it_is_the_same_object() -> None:
    first, again = (to_run(DECLARED, SETTINGS, JOB_ID, restore_from="s", replaces=True) for _ in range(2))
    assert first == again


def test_a_nonce_is_of_its_job_exact_in_json_and_never_none() -> None:
    assert nonce_of(JOB_ID) == 0x0123456789AB + 1
    assert nonce_of("f" * 32) < 2**53
    assert nonce_of("0" * 32) == 1


def test_variables_of_an_older_version_are_taken_as_they_were_recorded() -> None:
    found = to_run(DECLARED, SETTINGS, JOB_ID, variables={"TA_OLD": "1"})
    main = found["spec"]["podTemplate"]["spec"]["containers"][1]
    store = {"TA_S3_ENDPOINT", "TA_S3_PATH_STYLE", "TA_S3_SECURE"}
    assert {one["name"] for one in main["env"]} == {"KEPT", "TA_SESSION", "TA_OLD", *store}


def test_an_object_without_a_pod_template_gets_one() -> None:
    bare = {**DECLARED, "spec": {"job": {}}}
    spec = to_run(bare, SETTINGS, JOB_ID, allow_non_restored=True)["spec"]
    assert spec["podTemplate"]["spec"]["containers"][0]["name"] == "flink-main-container"
    assert spec["job"]["allowNonRestoredState"] is True


def test_a_drill_has_the_same_job_under_another_name_and_its_pods_are_told_from_the_jobs() -> None:
    found = renamed(PRODUCTION, "torghut-ta-drill")
    assert found["metadata"]["name"] == "torghut-ta-drill"
    labels = found["spec"]["podTemplate"]["metadata"].pop("labels")
    assert labels == {"app.kubernetes.io/part-of": "torghut-ta", "app.kubernetes.io/component": "drill"}
    declared = copy.deepcopy(PRODUCTION["spec"])
    assert declared["podTemplate"]["metadata"].pop("labels")["app.kubernetes.io/component"] == "job"
    assert found["spec"] == declared
    assert service_url("torghut-ta-drill", "torghut") == "http://torghut-ta-drill-rest.torghut.svc:8081"


def test_under_its_own_name_it_is_as_declared_and_without_a_pod_template_it_gets_one() -> None:
    assert renamed(PRODUCTION, "torghut-ta") == PRODUCTION
    bare = {"metadata": {"name": "a"}, "spec": {"job": {}}}
    assert renamed(bare, "b")["spec"]["podTemplate"] == {
        "metadata": {"labels": {"app.kubernetes.io/component": "drill"}}
    }
    assert bare == {"metadata": {"name": "a"}, "spec": {"job": {}}}


def test_each_deployment_on_kubernetes_is_asked_at_its_own_address() -> None:
    there = load_settings(runtime="kubernetes", flink_rest_url="http://x:1")
    assert rest_url(there, "torghut-ta") == "http://x:1"
    assert rest_url(there, "torghut-ta-table") == "http://torghut-ta-table-rest.torghut.svc:8081"
    assert rest_url(load_settings(flink_rest_url="http://x:1"), "torghut-ta-table") == "http://x:1"


@pytest.mark.parametrize("image", ["ta:1", "registry.example:5000/lab/ta:2026-01-02", "ta@sha256:" + "0" * 64])
def test_an_image_that_names_one_build_is_a_release(image: str) -> None:
    assert image_problem(image) is None


@pytest.mark.parametrize("image", ["", "ta", "ta:latest", "registry.example:5000/lab/ta"])
def test_an_image_that_does_not_is_none(image: str) -> None:
    assert "TA_IMAGE" in str(image_problem(image))
