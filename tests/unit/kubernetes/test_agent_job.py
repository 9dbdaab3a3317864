"""The Job of a rollout: a valid one, made of the overlay's template, with the settings of whoever asks for it."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.agent_job import KEPT_SECONDS, ROLLOUT, agent_job, is_finished, next_name
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.settings import load_settings, variable_of
from tests.kubernetes_schemas import problems
from tests.manifests import environment_of, of_kind, settings

ID = "20260102-030405-abcdef"
TEMPLATE = of_kind(render("dagster"), "PodTemplate")["torghut-ta-rollout"]
PROD = settings(render("dagster"))


def made(**changes: Any) -> dict[str, Any]:
    return agent_job(TEMPLATE, f"ta-rollout-{ID}-1", ID, PROD.model_copy(update=changes))


@pytest.mark.parametrize("kubernetes", ["1.28", "1.33", "1.37"])
def test_it_is_valid(kubernetes: str) -> None:
    assert problems(made(), kubernetes) == []


def test_its_pod_is_the_templates_but_for_what_it_is_told() -> None:
    spec = made()["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (declared,) = TEMPLATE["template"]["spec"]["containers"]
    assert container["args"] == [ID, "--job", f"ta-rollout-{ID}-1"]
    assert {key: value for key, value in container.items() if key not in {"args", "env"}} == {
        key: value for key, value in declared.items() if key != "env"
    }
    assert spec["template"]["metadata"] == TEMPLATE["template"]["metadata"]
    bare = copy.deepcopy(spec["template"]["spec"])
    del bare["containers"]
    assert bare == {key: value for key, value in TEMPLATE["template"]["spec"].items() if key != "containers"}


def test_a_pod_that_is_lost_is_followed_by_another_and_belongs_to_nobody() -> None:
    job = made()
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit"] == 6
    assert job["spec"]["ttlSecondsAfterFinished"] == KEPT_SECONDS
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget", "status": "True"}])
    assert set(job["metadata"]) == {"name", "labels"}, "it has no owner that would take it along"
    assert job["metadata"]["labels"][ROLLOUT] == ID
    assert len(job["metadata"]["name"]) <= 63, "it is a label of its pods"


def test_it_has_every_setting_of_whoever_asks_and_no_secret() -> None:
    (container,) = made(session="regular", alert_reminder_minutes=7, k8s_kubeconfig="/home/me/config")["spec"][
        "template"
    ]["spec"]["containers"]
    variables = environment_of(container)
    assert len(variables) == len(container["env"]), "each variable once"
    assert variables["TA_SESSION"]["value"] == "regular"
    assert variables["TA_ALERT_REMINDER_MINUTES"]["value"] == "7"
    secrets = {name for name, one in variables.items() if "valueFrom" in one}
    assert secrets == {"TA_KAFKA_PASSWORD", "TA_S3_ACCESS_KEY", "TA_S3_SECRET_KEY"}
    of_who_asks = {"TA_K8S_KUBECONFIG", "TA_K8S_CONTEXT"}
    told = {variable_of(name) for name in type(PROD).model_fields} - of_who_asks
    assert not of_who_asks & set(variables)
    assert {name for name in told if name not in variables} == {
        "TA_CLICKHOUSE_PASSWORD", "TA_ALERT_WEBHOOK_URL", "TA_SCHEMA_REGISTRY_PASSWORD",
    }  # fmt: skip
    assert "of the secret" not in str(made())


def test_a_program_that_reads_them_has_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = PROD.model_copy(update={"session": "regular", "checkpoint_interval_ms": 700, "dedup": False})
    (container,) = agent_job(TEMPLATE, "n", ID, asked)["spec"]["template"]["spec"]["containers"]
    for name, one in environment_of(container).items():
        monkeypatch.setenv(name, one.get("value", "of the secret"))
    there = load_settings()
    secret = {"kafka_password", "s3_access_key", "s3_secret_key"}
    assert there.model_dump(exclude=secret) == asked.model_dump(exclude=secret)


def test_a_template_without_its_container_is_an_error() -> None:
    other = copy.deepcopy(TEMPLATE)
    other["template"]["spec"]["containers"][0]["name"] = "other"
    with pytest.raises(ManifestError, match="torghut-ta-rollout has no container 'rollout'"):
        agent_job(other, "n", ID, PROD)


def test_the_next_job_of_a_rollout_is_called_after_those_that_there_are() -> None:
    assert next_name([], ID) == f"ta-rollout-{ID}-1"
    assert next_name([{"metadata": {"name": f"ta-rollout-{ID}-{n}"}} for n in (10, 9)], ID) == f"ta-rollout-{ID}-11"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", next_name([], ID))


@pytest.mark.parametrize(
    ("conditions", "finished"),
    [
        ([], False),
        ([{"type": "Complete", "status": "True"}], True),
        ([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}], True),
        ([{"type": "FailureTarget", "status": "True"}], False),
        ([{"type": "Failed", "status": "False"}], False),
        ([{"type": "Suspended", "status": "True"}], False),
    ],
)
def test_a_job_is_finished_when_none_of_its_pods_runs_or_will(conditions: list[dict[str, str]], finished: bool) -> None:
    assert is_finished({"status": {"conditions": conditions}}) is finished
    assert not is_finished({})
