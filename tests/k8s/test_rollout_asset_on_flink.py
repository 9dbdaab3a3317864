"""Dagster's asset on Kubernetes: the API server is real, the job and its Flink are, only the operator is played.

What goes wrong on a cluster the asset is run through without Flink: test_rollout_asset.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.defs.deployment.assets import flink_deployment
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.service import Rollouts
from tests.dagster_runs import failure, materialize
from tests.jobs import FAST
from tests.k8s.conftest import Namespace
from tests.k8s.operator import PlayedOperator
from tests.k8s.stack_flink import StackFlink
from tests.rollouts import changed, market, require_same_as_undisturbed, roll_out
from tests.stack import RunningStack

FIRST, SECOND = "registry.invalid/ta:1", "registry.invalid/ta:2"


@pytest.fixture
def operator(namespace: Namespace, stack: RunningStack) -> Iterator[PlayedOperator]:
    """An operator whose clusters are the stack's Flink."""
    played = PlayedOperator(namespace.cluster.administrator(), namespace.name, StackFlink(stack))
    with played.running():
        yield played


@pytest.fixture
def platform(namespace: Namespace, stack: RunningStack, operator: PlayedOperator) -> Iterator[Platform]:
    """A deployment on Kubernetes, whose job is ended with the test."""
    settings = stack.own_settings(
        schemas=True, startup_mode="earliest", clickhouse_url="", runtime="kubernetes", image=FIRST,
        k8s_namespace=namespace.name, k8s_deployment="torghut-ta",
        k8s_kubeconfig=str(namespace.kubeconfig("platform")), **FAST,
    )  # fmt: skip
    made = Platform.of(settings, stack.local)
    yield made
    made.job.cancel()
    assert operator.seen


@pytest.mark.timeout(900, func_only=True)
def test_a_market_survives_a_start_an_upgrade_a_version_that_cannot_start_and_a_stop(
    stack: RunningStack, platform: Platform, operator: PlayedOperator, tmp_path: Path
) -> None:
    store = RevisionStore(platform.settings)
    with market(platform.settings, seed=47) as going:
        started = roll_out(platform)
        assert (started["outcome"], started["kind"], started["revision"]) == ("done", "start", 1)
        assert roll_out(platform)["outcome"] == "unchanged"

        upgraded = roll_out(changed(platform, live_slice_ms=200))
        assert (upgraded["kind"], upgraded["revision"]) == ("upgrade", 2)
        (status,) = platform.job.status()
        assert platform.job.settings_of(status.job_id)["TA_LIVE_SLICE_MS"] == "200"
        current = store.current()
        assert current is not None
        assert (current.release, current.job_id) == (FIRST, status.job_id)

        operator.script.unpullable = SECOND
        newer = changed(platform, live_slice_ms=200, image=SECOND)
        refused = materialize(newer, [flink_deployment], {"flink_deployment": {"shadow_restore": False}})
        assert not refused.success
        assert "ImagePullBackOff" in failure(refused)
        assert "revision 2 runs again" in failure(refused)
        assert platform.job.release_of(platform.job.status()[0].job_id) == FIRST
        require_same_as_undisturbed(stack, platform.settings, tmp_path, going)

    rollouts = Rollouts(changed(platform, live_slice_ms=200))
    ended = rollouts.follow(rollouts.start_stop(lambda _text: None), lambda _text: None)
    assert ended.step == "done", ended.error
    assert not platform.job.status()
