"""What monitoring is told of a job on Kubernetes: running, stopped on purpose, or not known."""

from __future__ import annotations

import pytest

from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.monitoring.flink_source import FlinkStatus
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable, take_snapshot
from ta_pipeline.platform import Platform
from tests.k8s.conftest import Namespace, settings_of
from tests.k8s.jobmanager import PlayedJobManager
from tests.status import NOW_MS

NOWHERE = {
    "kafka_bootstrap": "127.0.0.1:9", "s3_endpoint": "http://127.0.0.1:9", "probe_url": "http://127.0.0.1:9",
}  # fmt: skip


def snapshot(namespace: Namespace, job_manager: PlayedJobManager, **settings: str) -> StatusSnapshot:
    where = {**NOWHERE, "k8s_kubeconfig": str(namespace.kubeconfig("platform")), **settings}
    return take_snapshot(Platform.of(settings_of(namespace, job_manager, **where), load_local_settings()), NOW_MS)


@pytest.mark.usefixtures("operator")
def test_of_a_job_that_was_stopped_no_job_manager_is_missed(
    runtime: KubernetesRuntime, namespace: Namespace, job_manager: PlayedJobManager
) -> None:
    runtime.deploy()
    away = {"flink_rest_url": "http://127.0.0.1:9"}
    assert isinstance(snapshot(namespace, job_manager, **away).flink, Unreachable), "it runs, and nobody knows how"
    runtime.stop()
    found = snapshot(namespace, job_manager, **away).flink
    assert found == FlinkStatus((), None, None)


@pytest.mark.usefixtures("operator")
def test_what_may_not_be_asked_is_not_known(namespace: Namespace, job_manager: PlayedJobManager) -> None:
    nowhere = {"flink_rest_url": "http://127.0.0.1:9", "k8s_namespace": "elsewhere"}
    assert isinstance(snapshot(namespace, job_manager, **nowhere).flink, Unreachable)
