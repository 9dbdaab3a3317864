"""The runtime against the real operator and a job that really runs: the job itself tells what became of its state."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from ta_pipeline.errors import FlinkError, KubernetesError
from ta_pipeline.kubernetes.status import parse_deployment
from tests.k8s_operator.conftest import IMAGES, NAME, Lab
from tests.k8s_operator.counting import PER_SECOND, Job, wait_for
from tests.proofs import Say

FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32
ON = 10 * PER_SECOND
"""Elements that a job counts on, so that one state is not to be taken for another."""
JOB_MANAGER = "KubernetesApplicationClusterEntrypoint"
BACK_SECONDS = 240.0


def test_created_it_runs_and_is_taken_down_with_nothing_left(lab: Lab, job: Job, say: Say) -> None:
    with timed(say, f"operator {lab.operator.version}: created, until a first checkpoint"):
        found = job.runtime.deploy(job_id=FIRST)
    assert (found.job_id, found.restored_from) == (FIRST, None)
    (status,) = job.runtime.status()
    assert (status.job_id, status.state) == (FIRST, "RUNNING")
    assert status.checkpoints_completed >= 1
    assert job.runtime.release_of(FIRST) == IMAGES[0]
    assert job.runtime.newest_job_id() == FIRST
    told = job.counted(FIRST, more_than=PER_SECOND)
    assert (told.began, told.breaks, told.version) == (0, 0, 1)
    until_stable(lab)
    with pytest.raises(KubernetesError, match=f"is RUNNING already \\(job {FIRST}"):
        job.runtime.deploy(job_id=SECOND)
    with timed(say, "deleted"):
        job.runtime.remove()
    assert (job.runtime.status(), job.runtime.find(FIRST), job.runtime.newest_job_id()) == ([], None, None)
    wait_for("its pods are gone", 60, lambda: not lab.pods())
    assert lab.namespace.admin.call("GET", lab.namespace.path("deployments", "apps/v1"))["items"] == []


def test_a_savepoint_is_taken_of_a_running_job_which_runs_on(lab: Lab, job: Job, say: Say) -> None:
    job.runtime.deploy(job_id=FIRST)
    until_stable(lab)
    least = job.counted(FIRST, more_than=PER_SECOND).count
    with timed(say, "savepoint of a running job"):
        path = job.runtime.savepoint()
    assert path.startswith(f"{job.settings.savepoint_dir}/savepoint-111111-")
    most = job.counted(FIRST).count
    assert job.counted(FIRST, more_than=most).began == 0
    again = job.runtime.savepoint()
    assert again != path
    job.runtime.remove()

    with timed(say, "made anew from a savepoint"):
        found = job.runtime.deploy(job_id=SECOND, restore_from=path)
    assert found.restored_from == path == job.rest.restored_from(SECOND)
    told = job.counted(SECOND)
    assert least <= told.began <= most + 2 * PER_SECOND
    assert told.breaks == 0


def test_stopped_with_a_savepoint_it_is_resumed_from_it(lab: Lab, job: Job, say: Say) -> None:
    job.runtime.deploy(job_id=FIRST)
    least = job.counted(FIRST, more_than=PER_SECOND).count
    with timed(say, "stopped with a savepoint"):
        path = job.runtime.stop()
    assert path.startswith(f"{job.settings.savepoint_dir}/savepoint-111111-")
    assert job.runtime.status() == []
    assert job.runtime.stop() == path, "asked for again it is the same stop"
    state = job.runtime.last_state(FIRST)
    assert state is not None
    assert (state.path, state.is_savepoint) == (path, True)
    wait_for("its TaskManager is gone", 60, lambda: not [one for one in lab.pods() if is_task_manager(one)])
    with timed(say, "resumed from a savepoint"):
        found = job.runtime.resume()
    assert (found.job_id, found.restored_from) == (FIRST, path)
    assert job.rest.restored_from(FIRST) == path
    told = job.counted(FIRST)
    assert told.began >= least
    assert told.breaks == 0


def test_suspended_with_its_last_state_it_goes_on_as_the_same_one(lab: Lab, job: Job, say: Say) -> None:
    job.runtime.deploy(job_id=FIRST)
    least = job.checkpointed(FIRST)
    with timed(say, "suspended with its last state"):
        view = job.runtime.suspend("last-state")
    assert (view.lifecycle, view.upgrade_mode, view.savepoint_at_stop) == ("SUSPENDED", "last-state", None)
    assert job.runtime.status() == []
    state = job.runtime.last_state(FIRST)
    assert state is not None
    assert state.path.startswith(f"{job.settings.checkpoint_dir}/{FIRST}/chk-")
    with timed(say, "resumed from its last state"):
        found = job.runtime.resume()
    assert (found.job_id, found.restored_from) == (FIRST, None)
    assert job.rest.restored_from(FIRST) == state.path
    told = job.counted(FIRST)
    assert told.began >= least
    assert told.breaks == 0


@pytest.mark.parametrize("mode", ["savepoint", "last-state"])
def test_the_operator_upgrades_in_place_and_the_new_version_goes_on(lab: Lab, job: Job, say: Say, mode: str) -> None:
    job.runtime.deploy(job_id=FIRST)
    until_stable(lab)
    least = job.checkpointed(FIRST)
    new = lab.job(2, image=IMAGES[1], k8s_upgrade_mode=mode)
    with timed(say, f"upgraded in place, {mode}"):
        new.runtime.start(None, FIRST)
        new.runtime.await_checkpoint(FIRST)
    told = new.counted(FIRST)
    assert (told.version, told.breaks) == (2, 0)
    assert told.began >= least
    restored = new.rest.restored_from(FIRST) or ""
    assert restored.startswith(
        f"{job.settings.savepoint_dir}/savepoint-" if mode == "savepoint" else f"{job.settings.checkpoint_dir}/{FIRST}/"
    )
    assert new.runtime.release_of(FIRST) == IMAGES[1]
    assert {
        one["spec"]["containers"][0]["image"] for one in lab.pods() if not one["metadata"].get("deletionTimestamp")
    } == {IMAGES[1]}


@pytest.mark.parametrize("way", ["process", "pod"])
def test_a_job_manager_that_is_killed_comes_back_with_its_state(lab: Lab, job: Job, say: Say, way: str) -> None:
    job.runtime.deploy(job_id=FIRST)
    until_stable(lab)
    least = job.checkpointed(FIRST)
    (manager,) = job_managers()
    with timed(say, f"JobManager killed ({way}), until it runs with a new checkpoint"):
        if way == "process":
            manager.kill()
        else:
            (pod,) = [one["metadata"]["name"] for one in lab.pods() if not is_task_manager(one)]
            lab.namespace.admin.call("DELETE", f"{lab.namespace.path('pods', 'v1')}/{pod}", {"gracePeriodSeconds": 0})
        wait_for(
            "another JobManager runs",
            BACK_SECONDS,
            lambda: [one.pid for one in job_managers()] not in ([], [manager.pid]),
        )
        job.runtime.await_checkpoint(FIRST)
    assert (job.rest.restored_from(FIRST) or "").startswith(f"{job.settings.checkpoint_dir}/{FIRST}/chk-")
    told = job.counted(FIRST)
    assert told.began >= least
    assert told.breaks == 0
    (status,) = job.runtime.status()
    assert (status.job_id, status.state) == (FIRST, "RUNNING")
    with timed(say, f"JobManager killed ({way}), until the operator says STABLE"):
        until_stable(lab)


def test_an_upgrade_of_a_rollout_and_the_way_back(lab: Lab, job: Job, say: Say) -> None:
    if not lab.operator.knows("spec", "job", "savepointRedeployNonce"):
        pytest.skip(f"operator {lab.operator.version} has no savepointRedeployNonce, which came with 1.8")
    job.runtime.deploy(job_id=FIRST)
    least = job.counted(FIRST, more_than=PER_SECOND).count
    with timed(say, "upgrade of a rollout: stopped"):
        path = job.runtime.stop()
    new = lab.job(2, image=IMAGES[1])
    with timed(say, "upgrade of a rollout: deployed"):
        new.runtime.deploy(job_id=SECOND, restore_from=path)
    assert new.rest.restored_from(SECOND) == path
    told = new.counted(SECOND)
    assert (told.version, told.breaks) == (2, 0)
    assert told.began >= least
    most = new.counted(SECOND, more_than=told.began + ON).count
    with timed(say, "rolled back over a job that runs"):
        found = job.runtime.rollback(path)
    assert found.restored_from == path == job.rest.restored_from(found.job_id)
    back = job.counted(found.job_id)
    assert (back.version, back.breaks, back.began) == (1, 0, told.began)
    assert back.began < most - ON / 2
    assert job.runtime.release_of(found.job_id) == IMAGES[0]


def test_what_the_new_version_left_at_its_last_checkpoint_is_restored_by_the_old_one(
    lab: Lab, job: Job, say: Say
) -> None:
    if not lab.operator.knows("spec", "job", "savepointRedeployNonce"):
        pytest.skip(f"operator {lab.operator.version} has no savepointRedeployNonce, which came with 1.8")
    new = lab.job(2, image=IMAGES[1])
    new.runtime.deploy(job_id=FIRST)
    least = new.checkpointed(FIRST)
    new.runtime.cancel()
    state = new.runtime.last_state(FIRST)
    assert state is not None
    assert not state.is_savepoint
    with timed(say, "deployed from the last checkpoint of another job"):
        job.runtime.deploy(job_id=SECOND, restore_from=state.path)
    assert job.rest.restored_from(SECOND) == state.path
    told = job.counted(SECOND)
    assert (told.version, told.breaks) == (1, 0)
    assert told.began >= least


def test_an_operator_that_cannot_go_back_is_told_of_before_anything_is_done(lab: Lab, job: Job) -> None:
    if lab.operator.knows("spec", "job", "savepointRedeployNonce"):
        pytest.skip(f"operator {lab.operator.version} has savepointRedeployNonce")
    job.runtime.deploy(job_id=FIRST)
    path = job.runtime.savepoint()
    before = lab.namespace.deployment()["metadata"]["generation"]
    with pytest.raises(KubernetesError, match="savepointRedeployNonce: field not declared in schema"):
        job.runtime.rollback(path)
    assert lab.namespace.deployment()["metadata"]["generation"] == before
    assert [one.state for one in job.runtime.status()] == ["RUNNING"]


def test_an_image_that_cannot_be_pulled_is_told_of_and_the_job_is_taken_down(lab: Lab, job: Job, say: Say) -> None:
    wrong = lab.job(2, image="ta.local/nowhere:1")
    with timed(say, "an image that cannot be pulled, until it is said"), pytest.raises(FlinkError, match="nowhere:1"):
        wrong.runtime.deploy(job_id=FIRST)
    assert job.runtime.status() == []
    wait_for("its pods are gone", 120, lambda: not lab.pods())


def until_stable(lab: Lab) -> None:
    """The operator says that all is as it was asked for."""

    def is_stable() -> bool:
        view = parse_deployment(lab.namespace.deployment())
        return (view.lifecycle, view.job_manager, view.job_state) == ("STABLE", "READY", "RUNNING") and view.is_current

    wait_for(f"FlinkDeployment {NAME} is STABLE", BACK_SECONDS, is_stable)


def is_task_manager(pod: Mapping[str, Any]) -> bool:
    """Of the two kinds of pod that a job has."""
    return bool(pod["metadata"]["labels"]["component"] == "taskmanager")


def job_managers() -> list[psutil.Process]:
    """The processes themselves, as this machine sees them."""
    found = [(one, one.info["cmdline"] or [""]) for one in psutil.process_iter(["cmdline"])]
    return [one for one, words in found if words[0].endswith("java") and any(JOB_MANAGER in word for word in words)]


@contextmanager
def timed(say: Say, what: str) -> Iterator[None]:
    """Say how long it took."""
    begin = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begin:.0f} s")
