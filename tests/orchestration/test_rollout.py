"""Rollouts under a market that goes on: no record lost, none doubled, whatever becomes of the rollout."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestration.defs.deployment.assets import flink_deployment
from ta_pipeline.kafka_admin import topic_names
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.service import Rollouts
from tests.dagster_runs import failure, materialize
from tests.proofs import Say
from tests.rollouts import changed, code_with, market, require_same_as_undisturbed, roll_out
from tests.stack import RunningStack

DOWNTIME_SECONDS = 30.0
"""The bar: an upgrade interrupts the stream for no longer."""


BROKEN = {"flink/signals.py": [("        now_ms = _now_ms()\n", '        raise RuntimeError("broken on purpose")\n')]}
"""The signal function fails at its first row."""


@pytest.mark.timeout(600, func_only=True)
def test_a_market_survives_a_start_an_upgrade_a_bad_version_and_a_stop(
    stack: RunningStack, platform: Platform, tmp_path: Path, say: Say
) -> None:
    store = RevisionStore(platform.settings)
    with market(platform.settings, seed=31) as going:
        started = roll_out(platform)
        assert (started["outcome"], started["kind"], started["revision"]) == ("done", "start", 1)
        assert roll_out(platform)["outcome"] == "unchanged"

        upgraded = roll_out(changed(platform, live_slice_ms=200), shadow_restore=True)
        assert (upgraded["kind"], upgraded["revision"]) == ("upgrade", 2)
        assert {"what": "TA_LIVE_SLICE_MS", "before": "100", "after": "200"} in upgraded["changes"]
        say(f"upgrade: stream interrupted for {upgraded['downtime_seconds']:.1f} s")
        assert upgraded["downtime_seconds"] <= DOWNTIME_SECONDS
        say(upgraded["note"])
        assert "Shadow restore: first checkpoint after" in upgraded["note"]
        assert "first committed bar" in upgraded["note"]
        (status,) = platform.job.status()
        assert platform.job.settings_of(status.job_id)["TA_LIVE_SLICE_MS"] == "200"

        bad = changed(platform, live_slice_ms=200)
        bad = Platform(bad.settings, bad.local, code_with(tmp_path / "code", BROKEN))
        begun = time.monotonic()
        refused = materialize(bad, [flink_deployment])
        assert not refused.success
        reason = failure(refused)
        say(f"bad version: refused after {time.monotonic() - begun:.1f} s: {reason[:200]}")
        assert "nothing was changed: the shadow restore of" in reason
        assert "broken on purpose" in reason
        assert platform.job.status()[0].job_id == status.job_id
        twins = [topic for topic in topic_names(platform.settings) if ".replay.shadow-" in topic]
        assert not [topic for topic in twins if topic.startswith(platform.settings.bars_topic)]

        begun = time.monotonic()
        unseen = {"verify_seconds": 60.0, "shadow_restore": False}
        refused = materialize(bad, [flink_deployment], {"flink_deployment": unseen})
        assert not refused.success
        reason = failure(refused)
        say(f"bad version: rolled back after {time.monotonic() - begun:.1f} s: {reason[:200]}")
        assert "revision 2 runs again" in reason
        assert "broken on purpose" in reason
        newest = store.newest()
        assert newest is not None
        assert (newest.outcome, newest.back_to) == ("rolled back", 2)
        current = store.current()
        assert current is not None
        assert (current.number, current.job_id) == (2, platform.job.status()[0].job_id)

        bars = require_same_as_undisturbed(stack, platform.settings, tmp_path, going)
        say(f"{bars} bars as in an undisturbed run")

    rollouts = Rollouts(changed(platform, live_slice_ms=200))
    ended = rollouts.follow(rollouts.start_stop(lambda _text: None), lambda _text: None)
    assert ended.step == "done", ended.error
    assert not platform.job.status()
    assert store.current() is None
    stopped = store.newest()
    assert stopped is not None
    plan = rollouts.plan(Options())
    assert (plan.kind, plan.restore_from, plan.blockers) == ("start", stopped.savepoint, ())
