"""State across versions of the code and degrees of parallelism, under a market: the results stay those of one run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from orchestration.defs.deployment.assets import flink_deployment
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from tests.dagster_runs import failure, materialize
from tests.proofs import Say
from tests.rollouts import changed, code_with, market, require_same_as_undisturbed, roll_out
from tests.stack import RunningStack

PACK = '    return b"%d" % version + orjson.dumps(values)\n'
PREVIOUS = {
    "ta_pipeline/signals/layouts.py": [(PACK, "    return orjson.dumps(values)\n")],
    "ta_pipeline/signals/second.py": [("VERSION = 2", "VERSION = 1"), ("{1: unchanged}", "{}")],
    "ta_pipeline/signals/held.py": [("VERSION = 2", "VERSION = 1"), ("{1: unchanged}", "{}")],
}
"""Seconds and held rows as they were saved before they said their version."""
NEWER = {
    "ta_pipeline/signals/second.py": [
        ("VERSION = 2", "VERSION = 3"),
        ("{1: unchanged}", "{1: unchanged, 2: unchanged}"),
    ],
}
"""A version this code has never heard of, which reads what this code saves."""


@pytest.mark.kills
@pytest.mark.timeout(900, func_only=True)
def test_state_goes_up_a_version_and_through_another_parallelism_and_a_newer_one_is_refused(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    store = RevisionStore(platform.settings)
    previous = dataclasses.replace(platform, code=code_with(tmp_path / "previous", PREVIOUS))
    newer = dataclasses.replace(platform, code=code_with(tmp_path / "newer", NEWER))
    with market(platform.settings, seed=41) as going:
        roll_out(previous)
        stack.consume(platform.settings.signals_topic, lambda records: len(records) >= 20)
        assert _versions(store) == {"signals/seconds": 1, "signals/held": 1}

        # Up a version and to another parallelism at once, and the same again on the way back to one.
        for target, version in ((changed(platform, parallelism=2), 2), (newer, 3)):
            done = roll_out(target)
            parallelism = target.settings.parallelism
            assert _parallelisms(platform) == {parallelism}
            assert _versions(store) == {"signals/seconds": version, "signals/held": 2}
            say(f"to parallelism {parallelism}: stream interrupted for {done.get('downtime_seconds', 'unknown')} s")

        (before,) = platform.job.status()
        refused = materialize(platform, [flink_deployment])
        assert not refused.success
        reason = failure(refused)
        say(f"unknown newer version: {reason[:300]}")
        assert "the rollout is blocked, and nothing was changed" in reason
        assert "signals/seconds has version 3" in reason
        assert "writes version 2 and reads 1, 2" in reason
        (after,) = platform.job.status()
        assert (after.job_id, after.state, after.restarts) == (before.job_id, "RUNNING", before.restarts)
        assert [revision.outcome for revision in store.all()] == ["running"] * 3

        say(f"{require_same_as_undisturbed(stack, platform.settings, tmp_path, going)} bars as in an undisturbed run")


def _parallelisms(platform: Platform) -> set[int]:
    """Of the tasks with the function, and with the sink of the signals."""
    (status,) = platform.job.status()
    tasks = FlinkRest(platform.settings.flink_rest_url).vertices(status.job_id)
    return {task.parallelism for task in tasks if "signals" in task.name}


def _versions(store: RevisionStore) -> dict[str, int]:
    """Of the states that have a version of their own since then, as the current revision recorded them."""
    current = store.current()
    assert current is not None
    return {name: current.states[name] for name in ("signals/seconds", "signals/held")}
