"""A deployment on Kubernetes as a whole: everything around the job is real, the job and its operator are played."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import LocalSettings, load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.schema_registry import ensure_schemas
from ta_pipeline.settings import Settings, load_settings
from tests.jobs import beside
from tests.k8s.cluster import Cluster
from tests.k8s.conftest import IMAGE, Namespace, new_namespace
from tests.k8s.jobmanager import PlayedJob, PlayedJobManager, StoringJobManager
from tests.k8s.operator import PlayedOperator
from tests.stack import settings_of

NAME = "torghut-ta"
_PORTS = ("kafka_port", "kafka_controller_port", "registry_port", "registry_management_port", "s3_port")


@dataclass(frozen=True)
class Surroundings:
    """Kafka, registry and S3 on ports of their own, with topics and schemas; no Flink.

    Attributes:
        local: of their stack.
        settings: that point at them.
    """

    local: LocalSettings
    settings: Settings


@contextlib.contextmanager
def running_surroundings() -> Iterator[Surroundings]:
    """They are up, and signals go out: by those a rollout is verified."""
    directory = Path(tempfile.mkdtemp(prefix="ta-"))
    own = {name: free_port() for name in _PORTS}
    local = load_local_settings(dir=directory, components=("kafka", "registry", "s3"), kafka_heap_mb=384, **own)
    stack = Stack(local, load_settings())
    try:
        stack.up()
        settings = settings_of(stack).model_copy(update={"clickhouse_url": ""})
        ensure_topics(settings)
        ensure_schemas(settings)
        with beside(give_out, settings):
            yield Surroundings(local, settings)
    finally:
        stack.down()
        shutil.rmtree(directory)


def give_out(settings: Settings, stop: threading.Event) -> None:
    """Something on the topic of live signals, again and again."""
    producer = Producer(client_config(settings))
    while not stop.wait(0.2):
        producer.produce(settings.live_topic, b"{}", key="X")
        producer.poll(0)
    assert producer.flush(30) == 0


@dataclass(frozen=True)
class Place:
    """A deployment on a cluster of its own.

    Attributes:
        platform: with the version that is to run.
        namespace: it is in.
        operator: that carries it out.
        job_manager: of its job.
    """

    platform: Platform
    namespace: Namespace
    operator: PlayedOperator
    job_manager: PlayedJobManager

    @property
    def spec(self) -> dict[str, Any]:
        """Of its FlinkDeployment."""
        spec: dict[str, Any] = self.namespace.deployment(NAME)["spec"]
        return spec

    @property
    def current(self) -> Revision:
        """What is recorded as running."""
        found = RevisionStore(self.platform.settings).current()
        assert found is not None
        return found

    @property
    def job(self) -> PlayedJob:
        """The job that runs, as its JobManager has it."""
        (status,) = self.platform.job.status()
        assert status.state == "RUNNING"
        return self.job_manager.jobs[status.job_id]

    def log(self) -> str:
        """What the processes that carried rollouts out have said."""
        logs = sorted((self.platform.local.dir / "rollouts").glob("*.log"))
        return "\n".join(path.read_text(encoding="utf-8") for path in logs)


@contextlib.contextmanager
def placed(cluster: Cluster, around: Surroundings, name: str) -> Iterator[Place]:
    """A deployment in a namespace, with folders, a JobManager and an operator of its own, which is at work."""
    namespace, job_manager = new_namespace(cluster), StoringJobManager(store=around.settings)
    operator = PlayedOperator(cluster.administrator(), namespace.name, job_manager)
    own = {
        one: f"{getattr(around.settings, one)}/{namespace.name}"
        for one in ("checkpoint_dir", "savepoint_dir", "revision_dir", "replay_dir")
    }
    with job_manager.answering(), operator.running():
        settings = load_settings(**{
            **around.settings.model_dump(), **own, "runtime": "kubernetes", "image": IMAGE, "k8s_deployment": NAME,
            "k8s_namespace": namespace.name, "k8s_kubeconfig": str(namespace.kubeconfig("platform")),
            "flink_rest_url": job_manager.url,
        })  # fmt: skip
        local = around.local.model_copy(update={"dir": around.local.dir / name})
        yield Place(Platform.of(settings, local), namespace, operator, job_manager)
