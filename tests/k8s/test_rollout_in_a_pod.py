"""A rollout outlives the run that asked for it, and the pod it is carried out in, on Kubernetes too.

The API server, S3 and the program in the pod are real; the Job controller, the operator and Flink's REST API are
played. There is no broker: what was committed at a stop is then not known, which stops nobody.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ta_pipeline.errors import KubernetesError, RolloutError
from ta_pipeline.kubernetes.agent_job import ROLLOUT
from ta_pipeline.kubernetes.leases import LEASE, Leases, Times
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import load_local_settings, variables
from ta_pipeline.logs.lines import parse
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.job_agents import JobAgents
from ta_pipeline.rollout.journal import Journal, Rollout
from ta_pipeline.rollout.process_agents import ProcessAgents
from ta_pipeline.rollout.service import Rollouts
from ta_pipeline.rollout.stored_log import StoredLog, StoredTail
from ta_pipeline.rollout.tools import version_of
from ta_pipeline.settings import Settings, load_settings
from tests.k8s.conftest import IMAGE, Namespace
from tests.k8s.job_controller import PlayedJobController, wait_until
from tests.k8s.jobmanager import PlayedJobManager, StoringJobManager
from tests.k8s.operator import PlayedOperator

JOB_ID = "1" * 32
pytestmark = pytest.mark.timeout(300, func_only=True)
(TEMPLATE,) = (one for one in render("dagster") if one["kind"] == "PodTemplate")


@pytest.fixture
def job_manager(store: Settings) -> Iterator[PlayedJobManager]:
    played = StoringJobManager(store=store)
    with played.answering():
        yield played


@pytest.fixture
def platform(namespace: Namespace, store: Settings, job_manager: PlayedJobManager, tmp_path: Path) -> Platform:
    """A deployment on Kubernetes, with folders of its own."""
    own = {
        name: f"{getattr(store, name)}/{namespace.name}" for name in ("checkpoint_dir", "savepoint_dir", "revision_dir")
    }
    settings = load_settings(**{
        **store.model_dump(), **own, "runtime": "kubernetes", "image": IMAGE, "k8s_namespace": namespace.name,
        "k8s_kubeconfig": str(namespace.kubeconfig("platform")), "flink_rest_url": job_manager.url,
        "kafka_bootstrap": f"127.0.0.1:{free_port()}", "clickhouse_url": "",
    })  # fmt: skip
    return Platform.of(settings, load_local_settings(dir=tmp_path))


@pytest.fixture
def deployed(platform: Platform, idle_operator: PlayedOperator) -> Platform:
    """The same, with its job; the operator does not work any more."""
    with idle_operator.running():
        platform.job.deploy(job_id=JOB_ID)
    return platform


@pytest.fixture
def controller(namespace: Namespace, platform: Platform, tmp_path: Path) -> Iterator[PlayedJobController]:
    """The overlay's template, and a Job controller at work."""
    metadata = {"name": TEMPLATE["metadata"]["name"]}
    namespace.admin.call("POST", namespace.path("podtemplates", "v1"), {**TEMPLATE, "metadata": metadata})
    folder = tmp_path / "pods"
    folder.mkdir()
    given = {"TA_K8S_KUBECONFIG": platform.settings.k8s_kubeconfig, "TA_LOCAL_DIR": str(tmp_path / "pod")}
    played = PlayedJobController(namespace, variables(platform.settings), given, folder)
    with played.running():
        yield played


def silent(_text: str) -> None:
    """A report that nobody reads."""


def in_a_pod(platform: Platform, namespace: Namespace) -> Rollouts:
    """The rollouts as a run of Dagster has them, in a pod of its own."""
    rollouts = Rollouts(platform)
    api = namespace.as_account("platform")
    rollouts.agents = JobAgents(platform, ProcessAgents(platform), api, in_pod=True)
    return rollouts


def await_step(platform: Platform, wanted: str, seconds: float = 60.0) -> Rollout:
    found: list[Rollout] = []

    def is_there() -> bool:
        now = Journal(platform.settings).load()
        found[:] = [now] if now is not None and now.agent is not None and now.step == wanted else []
        return bool(found)

    wait_until(is_there, seconds)
    return found[0]


def require_stopped_once(platform: Platform, ended: Rollout, job_manager: PlayedJobManager) -> None:
    """It did what it should, and is recorded, once."""
    assert (ended.step, ended.error) == ("done", None)
    assert str(ended.savepoint).startswith(f"{platform.settings.savepoint_dir}/savepoint-111111-")
    assert job_manager.jobs[JOB_ID].state == "FINISHED"
    (revision,) = RevisionStore(platform.settings).all()
    assert (revision.outcome, revision.rollout, revision.savepoint) == ("stopped", ended.id, ended.savepoint)
    assert platform.job.status() == []


def test_a_rollout_is_carried_out_by_a_job_whose_log_is_followed_from_another_pod(
    deployed: Platform, namespace: Namespace, controller: PlayedJobController, idle_operator: PlayedOperator,
    job_manager: PlayedJobManager,
) -> None:  # fmt: skip
    rollouts, told = in_a_pod(deployed, namespace), list[str]()
    with idle_operator.running():
        begun = rollouts.start_stop(silent)
        ended = rollouts.follow(begun, told.append)
    require_stopped_once(deployed, ended, job_manager)
    assert any(f"stopping job {JOB_ID} with a savepoint" in line for line in told), told
    (job,) = controller.jobs()
    assert ended.agent is not None
    assert ended.agent.host == f"job/{job['metadata']['name']}"
    wait_until(lambda: bool(controller.jobs()[0].get("status", {}).get("succeeded")), 20)
    assert job["metadata"]["labels"][ROLLOUT] == ended.id
    # Both locks are free.
    for name in ("planning", "agent"):
        lease = namespace.api.get(LEASE, Leases(namespace.api, deployed.settings.revision_dir).name_of(name))
        assert lease is not None
        assert "holderIdentity" not in lease["spec"]
    # Nothing that is secret was handed on but by its name.
    assert deployed.settings.s3_secret_key.get_secret_value() not in str(job)


def test_a_run_whose_pod_is_killed_changes_nothing_and_the_next_one_joins(
    deployed: Platform, namespace: Namespace, controller: PlayedJobController, idle_operator: PlayedOperator,
    job_manager: PlayedJobManager,
) -> None:  # fmt: skip
    killed = in_a_pod(deployed, namespace)
    begun = killed.start_stop(silent)
    await_step(deployed, "stopping")
    # Nobody follows it any more; another pod's run asks for the same.
    told: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(in_a_pod(deployed, namespace).start_stop, told.append)
        time.sleep(2)
        with idle_operator.running(), pytest.raises(RolloutError, match="does not run: there is nothing to stop"):
            second.result(120)
    assert told[0] == f"joining the stop {begun.id}, which is stopping"
    assert told[-1] == f"the stop {begun.id} that was under way is done"
    assert any(": done" in line for line in told[1:-1]), told
    ended = Journal(deployed.settings).ended(begun.id)
    assert ended is not None
    require_stopped_once(deployed, ended, job_manager)
    assert len(controller.pods) == 1


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("when", ["asked", "stopped"])
def test_a_pod_that_is_lost_is_followed_by_another_that_finishes_its_work(  # noqa: PLR0917 - fixtures
    deployed: Platform, namespace: Namespace, controller: PlayedJobController, idle_operator: PlayedOperator,
    job_manager: PlayedJobManager, kind: signal.Signals, when: str,
) -> None:  # fmt: skip
    """Lost when the stop was asked for, which the operator then does for nobody; or when that was done and noted."""
    rollouts = in_a_pod(deployed, namespace)
    begun = rollouts.start_stop(silent)
    lost = controller.running_pod()
    assert lost.process is not None
    await_step(deployed, "stopping")
    wait_until(lambda: namespace.deployment()["spec"]["job"]["state"] == "suspended", 30)
    if when == "asked":
        lost.process.send_signal(kind)
        assert lost.process.wait(30) != 0
    with idle_operator.running():
        if when == "stopped":
            await_step(deployed, "stopped", 60)
            lost.process.send_signal(kind)
            assert lost.process.wait(30) != 0
        lost_at = time.monotonic()
        ended = rollouts.follow(begun, silent)
    seconds = time.monotonic() - lost_at
    require_stopped_once(deployed, ended, job_manager)
    assert len(controller.pods) == 2
    assert len(controller.jobs()) == 1
    # Who is ended lets go of what it holds; whoever is killed holds it until it has run out.
    first = (controller.folder / controller.pods[1].name).read_bytes().splitlines()[0]
    began = parse("rollout", first).at
    assert began is not None, first
    waited = began - (time.time() - seconds)
    assert (waited > Times().duration - 5) == (kind == signal.SIGKILL), (waited, first)


def test_a_job_that_has_used_up_its_pods_leaves_a_rollout_that_the_next_run_finishes(
    deployed: Platform, namespace: Namespace, controller: PlayedJobController, idle_operator: PlayedOperator,
    job_manager: PlayedJobManager,
) -> None:  # fmt: skip
    rollouts = in_a_pod(deployed, namespace)
    begun = rollouts.start_stop(silent)
    await_step(deployed, "stopping")
    while not (controller.jobs()[0].get("status") or {}).get("conditions"):
        running = [pod for pod in controller.pods if pod.process is not None and pod.process.poll() is None]
        for pod in running:
            assert pod.process is not None
            pod.process.kill()
        time.sleep(0.05)
    assert len(controller.pods) == 7
    left = rollouts.unfinished()
    assert left is not None
    assert rollouts.is_alone(left)
    with idle_operator.running():
        ended = rollouts.follow(rollouts.resume(left, silent), silent)
    require_stopped_once(deployed, ended, job_manager)
    assert [one["metadata"]["name"] for one in controller.jobs()] == [
        f"ta-rollout-{begun.id}-1", f"ta-rollout-{begun.id}-2",
    ]  # fmt: skip


def test_of_many_runs_that_go_on_at_once_one_job_comes(
    deployed: Platform, namespace: Namespace, controller: PlayedJobController, idle_operator: PlayedOperator
) -> None:
    rollouts = in_a_pod(deployed, namespace)
    left = rollouts.journal.save(
        Rollout(
            id="20260102-030405-abcdef", kind="stop", started_at=time.time(), target=version_of(deployed),
            step="stopping", old_job_id=JOB_ID, stopped_at=time.time(),
        )
    )  # fmt: skip
    each = [in_a_pod(deployed, namespace) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.agents.start(left), each))
    assert len(controller.jobs()) == 1
    with idle_operator.running():
        assert rollouts.follow(left, silent).step == "done"


def test_what_keeps_a_pod_from_running_is_told_to_whoever_follows(
    deployed: Platform, namespace: Namespace, controller: PlayedJobController
) -> None:
    controller.pulls = False
    rollouts = in_a_pod(deployed, namespace)
    begun = rollouts.start_stop(silent)
    wait_until(lambda: bool(rollouts.agents.troubles(begun)), 20)
    (text,) = rollouts.agents.troubles(begun)
    assert "container rollout: ImagePullBackOff: Back-off pulling lab/torghut-ta-platform:" in text
    assert not rollouts.is_alone(begun), "the pod may come up"


def test_without_a_template_the_error_says_what_is_to_be_applied_and_nothing_was_changed(
    deployed: Platform, namespace: Namespace
) -> None:
    rollouts = in_a_pod(deployed, namespace)
    with pytest.raises(KubernetesError, match=r"no PodTemplate .*torghut-ta-rollout.*overlay dagster"):
        rollouts.start_stop(silent)
    left = rollouts.unfinished()
    assert left is not None
    assert left.step == "planned"
    (status,) = deployed.job.status()
    assert status.state == "RUNNING"


def test_a_log_that_another_pod_goes_on_with_is_one(store: Settings) -> None:
    here = store.model_copy(update={"revision_dir": f"{store.revision_dir}/{time.time_ns()}"})
    first = StoredLog(here, "one")
    first.add("1")
    tail, whole = StoredTail(here, "one"), StoredTail(here, "other")
    first.add("2")
    assert list(tail) == ["2"]
    second = StoredLog(here, "one")
    second.add("3")
    second.add("4")
    assert list(tail) == ["3", "4"]
    assert list(tail) == list(whole) == []


def test_a_store_that_is_away_keeps_nobody_from_anything(store: Settings) -> None:
    away = store.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_port()}"})
    StoredLog(away, "one").add("1")
    assert list(StoredTail(away, "one")) == []
