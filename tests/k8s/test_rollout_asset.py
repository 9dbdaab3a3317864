"""Dagster's asset on Kubernetes when something goes wrong: what its failure says, and what the objects are afterwards.

The API server, Kafka, the registry, S3 and the process that carries a rollout out are real; the operator, the
JobManagers and what the job gives out are played. One deployment for all: each test finds a version that runs, and
leaves one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.deployment.assets import flink_deployment
from ta_pipeline.revisions import Revision, RevisionStore
from tests.dagster_runs import failure, materialize
from tests.k8s.cluster import Cluster
from tests.k8s.conftest import IMAGE
from tests.k8s.operator import Script
from tests.k8s.places import NAME, Place, Surroundings, placed
from tests.rollouts import changed, roll_out

NEWER = "registry.invalid/ta:2"
PATIENT_SECONDS = 120.0
SHORT_SECONDS = 8.0
"""Of versions that will not come up in any time."""
pytestmark = pytest.mark.timeout(300, func_only=True)


@pytest.fixture(scope="module")
def common(cluster: Cluster, surroundings: Surroundings) -> Iterator[Place]:
    with placed(cluster, surroundings, "common") as made:
        yield made


@pytest.fixture
def place(common: Place) -> Place:
    """The same for all tests, and its first version runs."""
    common.operator.script = Script()
    assert roll_out(common.platform)["outcome"] in {"done", "unchanged"}
    return common


@contextlib.contextmanager
def meanwhile(place: Place, sign: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something once the log of the rollout within has a text; that it never had is a failure."""
    before, over, done = len(place.log()), threading.Event(), list[str]()

    def watch() -> None:
        while not over.is_set():
            if sign in place.log()[before:]:
                act()
                done.append(sign)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done, f"{sign!r} was not said: {place.log()[before:]}"


def upgrade(place: Place, seconds: float = PATIENT_SECONDS, **settings: Any) -> dg.ExecuteInProcessResult:
    """Materialize the deployment with other settings."""
    newer = changed(place.platform, **settings)
    config = {"shadow_restore": False, "verify_seconds": seconds}
    return materialize(newer, [flink_deployment], {"flink_deployment": config})


def require_back(place: Place, before: Revision) -> None:
    """The version before runs again, from the savepoint at its stop, and so it is recorded and declared."""
    newest = RevisionStore(place.platform.settings).all()[-1]
    assert (newest.outcome, newest.image, newest.back_to) == ("rolled back", NEWER, before.number)
    savepoint = newest.savepoint
    assert savepoint is not None
    assert savepoint.startswith(f"{place.platform.settings.savepoint_dir}/savepoint-")
    assert (place.current.number, place.spec["image"]) == (before.number, IMAGE)
    assert place.spec["job"]["state"] == "running"
    assert place.spec["job"]["upgradeMode"] == "savepoint"
    assert place.spec["job"]["initialSavepointPath"] == savepoint
    assert place.job.restored_from == savepoint


def require_new(place: Place, before: Revision, live_slice_ms: str) -> None:
    """A version runs that was not there before, from the savepoint at the stop of that one."""
    now = place.current
    assert now.number > before.number
    assert (now.outcome, now.settings["TA_LIVE_SLICE_MS"]) == ("running", live_slice_ms)
    assert now.savepoint is not None
    assert place.job.restored_from == place.spec["job"]["initialSavepointPath"] == now.savepoint


def test_an_image_that_cannot_be_pulled_is_named_and_the_version_before_comes_back(place: Place) -> None:
    before = place.current
    place.operator.script.unpullable = NEWER
    said = failure(upgrade(place, image=NEWER))
    assert "the new job did not start" in said
    assert "ImagePullBackOff: [flink-main-container] Back-off pulling image" in said
    assert "Failed: Back-off pulling image" in said
    assert f"revision {before.number} runs again" in said
    require_back(place, before)


def test_a_job_manager_in_a_crash_loop_is_told_with_its_last_words_and_the_version_before_comes_back(
    place: Place,
) -> None:
    before = place.current
    # Of a job that never came up there is no last state: the operator refuses to keep one.
    place.operator.script.crashing, place.operator.script.last_state = NEWER, False
    said = failure(upgrade(place, image=NEWER))
    assert "CrashLoopBackOff: [flink-main-container] back-off 40s restarting failed container" in said
    assert "ended as Error with exit code 1: Could not find a file system for s3a" in said
    assert f"revision {before.number} runs again" in said
    require_back(place, before)


def test_a_savepoint_that_fails_leaves_the_old_version_as_it_was(place: Place) -> None:
    before, job, spec = place.current, place.job, place.spec
    place.operator.script.savepoint = "fails"
    said = failure(upgrade(place, image=NEWER))
    assert "no savepoint could be taken, the old job runs on" in said
    assert "Could not stop with savepoint; caused by No space left on device" in said
    assert f"FlinkDeployment {NAME}: Error: Could not stop with savepoint: No space left on device" in said
    assert place.current == before
    assert place.job is job
    assert place.spec == spec, "the stop was taken back"


def test_without_an_operator_a_first_version_is_given_up_and_nothing_starts_when_one_comes(
    cluster: Cluster, surroundings: Surroundings
) -> None:
    with placed(cluster, surroundings, "lonely") as lonely:
        lonely.operator.script.is_away = True
        said = failure(upgrade(lonely, SHORT_SECONDS))
        assert f"the operator has not taken note of {NAME}: does it run, and watch this namespace?" in said
        assert "nothing ran before, so nothing runs now" in said
        assert (lonely.spec["job"]["state"], lonely.spec["image"]) == ("suspended", IMAGE)
        assert RevisionStore(lonely.platform.settings).current() is None
        lonely.operator.script.is_away = False
        time.sleep(1)
        assert lonely.job_manager.jobs == {}
        assert "status" not in lonely.namespace.deployment(NAME)


def test_an_operator_that_is_away_for_a_while_is_waited_for(place: Place) -> None:
    before = place.current
    place.operator.script.is_away = True

    def come_back() -> None:
        place.operator.script.is_away = False

    with meanwhile(place, "does it run?", come_back):
        result = upgrade(place, live_slice_ms=200)
    assert result.success, failure(result)
    require_new(place, before, "200")


def test_a_status_of_the_version_before_is_not_taken_for_the_new_one_and_that_comes_back(place: Place) -> None:
    before, generation = place.current, place.namespace.deployment(NAME)["metadata"]["generation"]
    # The stop it sees, and nothing after that.
    place.operator.script.blind_after = generation + 1

    def see_again() -> None:
        status = place.namespace.deployment(NAME)["status"]
        assert (status["observedGeneration"], status["lifecycleState"]) == (generation + 1, "SUSPENDED")
        place.operator.script.blind_after = None

    with meanwhile(place, "returning to the old version", see_again):
        said = failure(upgrade(place, SHORT_SECONDS, image=NEWER))
    assert f"the operator has not carried out generation {generation + 2} of {NAME}, its status is of" in said
    assert f"revision {before.number} runs again" in said
    require_back(place, before)
    assert NEWER not in {job.image for job in place.job_manager.jobs.values()}, "the new version was never started"


def test_an_api_server_that_restarts_in_the_middle_of_a_rollout_is_waited_for(place: Place) -> None:
    before = place.current

    def restart() -> None:
        place.namespace.cluster.stop_api_server()
        time.sleep(3)
        place.namespace.cluster.start_api_server()

    with meanwhile(place, "starting job ", restart):
        result = upgrade(place, live_slice_ms=300)
    assert result.success, failure(result)
    assert "does not answer" in place.log()
    require_new(place, before, "300")
