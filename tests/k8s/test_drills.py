"""A shadow restore on Kubernetes: a FlinkDeployment beside production's, asked by its own service, then deleted."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from ta_pipeline.errors import FlinkError
from ta_pipeline.kafka_admin import topic_names
from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT
from ta_pipeline.s3 import list_keys, s3_client
from ta_pipeline.savepoints.drill import DrillReport, drill
from ta_pipeline.savepoints.drill_settings import drill_folders, drill_settings
from ta_pipeline.savepoints.savepoint import list_savepoints, same_path
from ta_pipeline.savepoints.tools import shadow_tools
from tests.k8s.cluster import Cluster
from tests.k8s.places import NAME, Place, Surroundings, placed
from tests.rollouts import changed

NEWER = "registry.invalid/ta:2"
PRODUCTION = "1" * 32
pytestmark = pytest.mark.timeout(300, func_only=True)


@pytest.fixture
def place(cluster: Cluster, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Its job runs, and every service of its namespace is found by name, as by the DNS of a cluster."""
    with placed(cluster, surroundings, "drills") as made:
        services, port = f".{made.namespace.name}.svc", urlsplit(made.job_manager.url).port
        ask = socket.getaddrinfo

        def resolved(host: Any, wanted: Any, *more: Any, **named: Any) -> Any:
            is_service = isinstance(host, str) and host.endswith(services)
            return ask("127.0.0.1", port, *more, **named) if is_service else ask(host, wanted, *more, **named)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        monkeypatch.setenv("NO_PROXY", "*")
        made.platform.job.deploy(job_id=PRODUCTION)
        yield made


def drilled(place: Place, told: list[str], **settings: Any) -> tuple[str, DrillReport]:
    """Restore a savepoint of production beside it, in a version with these settings; its path, and what it showed."""
    path = place.platform.job.savepoint()
    savepoints = list_savepoints(place.platform.settings)
    (savepoint,) = [one for one in savepoints if same_path(one.path) == same_path(path)]
    target = changed(place.platform, **settings)
    return path, drill(target.settings, savepoint, shadow_tools(target), datetime.now(UTC), report=told.append)


def deployments(place: Place) -> list[str]:
    found = place.namespace.admin.call("GET", place.namespace.path(FLINK_DEPLOYMENT.plural))["items"]
    return [one["metadata"]["name"] for one in found]


def require_nothing_left(place: Place, shown: DrillReport) -> None:
    """Of the drill; and production is as it was."""
    settings = drill_settings(place.platform.settings, shown.number, shadow_tools(place.platform).isolate)
    assert deployments(place) == [NAME]
    assert [topic for topic in topic_names(settings) if shown.number in topic] == []
    client = s3_client(settings)
    assert [key for folder in drill_folders(settings, shown.number) for key in list_keys(client, f"{folder}/")] == []
    assert place.job is place.job_manager.jobs[PRODUCTION]


def test_a_drill_is_deployed_beside_production_asked_and_deleted(place: Place) -> None:
    told: list[str] = []
    before = place.namespace.deployment(NAME)["metadata"]["generation"]
    path, shown = drilled(place, told)
    assert shown.passed, shown.problems
    assert "no trade came since the savepoint was taken" in shown.output
    assert shown.job_id is not None
    assert f"(job {shown.job_id})" in told[-2]
    job = place.job_manager.jobs[shown.job_id]
    assert (job.name, job.restored_from) == (f"{NAME}-{shown.number}", path)
    assert shown.number in job.folder
    assert job.state == "CANCELED", "the operator has ended it before it let the object go"
    assert place.namespace.deployment(NAME)["metadata"]["generation"] == before
    require_nothing_left(place, shown)


def test_a_drill_that_does_not_come_up_says_why_and_is_deleted_too(place: Place) -> None:
    place.operator.script.unpullable = NEWER
    _, shown = drilled(place, [], image=NEWER)
    (problem,) = shown.problems
    assert "ImagePullBackOff: [flink-main-container] Back-off pulling image" in problem
    assert f"Pod {NAME}-{shown.number}-" in problem, "its event"
    assert shown.job_id is None
    require_nothing_left(place, shown)


def test_a_drill_is_of_a_state_and_without_that_of_the_sinks(place: Place) -> None:
    runtime = place.platform.drill_runtime(place.platform.settings.model_copy(update={"k8s_deployment": f"{NAME}-x"}))
    for state, allowed in ((None, True), ("s3a://b/savepoint-1", False)):
        with pytest.raises(FlinkError, match="restored from a state, without that of production's sinks"):
            runtime.deploy(restore_from=state, allow_non_restored=allowed, report=lambda _text: None)
    assert deployments(place) == [NAME]
