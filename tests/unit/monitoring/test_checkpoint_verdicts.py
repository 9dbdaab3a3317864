from __future__ import annotations

import pytest

from ta_pipeline.metrics.limits import CHECKPOINT_MARGIN_MS, CHECKPOINT_STARTING_MS
from ta_pipeline.monitoring.checkpoint_verdicts import (
    checkpoint_age,
    checkpoint_duration,
    checkpoint_stored,
)
from ta_pipeline.monitoring.history import History, Sample
from ta_pipeline.monitoring.verdicts import AT_ONCE
from tests.status import INTERVAL_MS, NOW_MS, checkpoints, down, flink, job, no_job, revision, snapshot, store

NONE = History()
LIMIT_MS = 2 * INTERVAL_MS + CHECKPOINT_MARGIN_MS


@pytest.mark.parametrize(("age_ms", "state"), [(LIMIT_MS - 1, "ok"), (LIMIT_MS, "ok"), (LIMIT_MS + 1, "bad")])
def test_a_checkpoint_older_than_twice_the_interval_is_bad(age_ms: int, state: str) -> None:
    found = checkpoint_age(snapshot(flink=flink(job(checkpoints=checkpoints(latest_ms=NOW_MS - age_ms)))), NONE)
    assert (found.state, found.ticks) == (state, AT_ONCE)
    assert found.message == (
        "the newest completed checkpoint was triggered 23.0 s ago; 23 s are allowed, at an interval of 10 s"
    )


FIRST_MS = 2 * INTERVAL_MS + CHECKPOINT_STARTING_MS


@pytest.mark.parametrize(("uptime_ms", "state"), [(FIRST_MS - 1, "ok"), (FIRST_MS, "ok"), (FIRST_MS + 1, "bad")])
def test_before_the_first_checkpoint_the_uptime_counts(uptime_ms: int, state: str) -> None:
    none_yet = checkpoints(completed=0, latest_ms=None, latest_path=None, latest_duration_ms=None)
    found = checkpoint_age(snapshot(flink=flink(job(start_ms=NOW_MS - uptime_ms, checkpoints=none_yet))), NONE)
    assert found.state == state
    assert found.message.startswith("no checkpoint has completed since the job was submitted 40.0 s ago")


def test_the_interval_in_force_counts_and_not_the_one_declared_here() -> None:
    old = checkpoints(latest_ms=NOW_MS - 30_000)
    assert (
        checkpoint_age(snapshot(flink=flink(job(checkpoints=old, checkpoint_interval_ms=20_000))), NONE).state == "ok"
    )


def test_a_job_without_checkpoints_is_bad() -> None:
    assert checkpoint_age(snapshot(flink=flink(job(checkpoint_interval_ms=None))), NONE).state == "bad"


def test_the_age_is_judged_while_the_job_restarts_and_while_the_market_is_closed() -> None:
    stalled = job(state="RESTARTING", checkpoints=checkpoints(latest_ms=NOW_MS - 60_000))
    found = checkpoint_age(snapshot(flink=flink(stalled), session_open=False), NONE)
    assert (found.state, found.calls) == ("bad", True)


def test_of_a_job_that_does_not_run_no_age_is_known() -> None:
    assert checkpoint_age(snapshot(flink=down("flink")), NONE).caused_by == "flink_reachable"
    assert checkpoint_age(snapshot(flink=no_job()), NONE).caused_by == "job_state"
    assert checkpoint_age(snapshot(flink=no_job(), store=store(revision(outcome="stopped"))), NONE).state == "asleep"


@pytest.mark.parametrize(
    ("took_ms", "state"), [(INTERVAL_MS, "ok"), (INTERVAL_MS + 1, "warn"), (30_000, "warn"), (30_001, "bad")]
)
def test_a_checkpoint_longer_than_its_interval_is_worth_a_look_and_half_its_timeout_is_bad(
    took_ms: int, state: str
) -> None:
    found = checkpoint_duration(snapshot(flink=flink(job(checkpoints=checkpoints(latest_duration_ms=took_ms)))), NONE)
    assert found.state == state
    assert f"took {took_ms / 1_000:.2f} s" in found.message


def test_a_checkpoint_that_failed_lately_is_worth_a_look() -> None:
    history = History((Sample(NOW_MS - 30_000, "a1", 0, 0, 2), Sample(NOW_MS, "a1", 0, 0, 3)))
    found = checkpoint_duration(snapshot(), history)
    assert (found.state, found.figures["failed_in_5_min"]) == ("warn", 1)


def test_before_the_first_checkpoint_there_is_no_duration() -> None:
    assert checkpoint_duration(snapshot(flink=flink(job(checkpoints=checkpoints(latest_duration_ms=None)))), NONE)


def test_a_checkpoint_that_is_not_in_s3_is_bad_and_one_nobody_could_look_for_is_unknown() -> None:
    assert checkpoint_stored(snapshot(), NONE).state == "ok"
    found = checkpoint_stored(snapshot(checkpoint_stored=False), NONE)
    assert (found.state, found.message) == ("bad", "s3a://b/c/chk-360 is complete for Flink, but not in S3")
    assert checkpoint_stored(snapshot(checkpoint_stored=None), NONE).state == "asleep"
    found = checkpoint_stored(snapshot(checkpoint_stored=None, store=down("s3")), NONE)
    assert (found.state, found.caused_by) == ("unknown", "s3_reachable")
