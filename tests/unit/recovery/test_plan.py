"""What `ta recover` would do, by what it has found."""

from __future__ import annotations

from dataclasses import replace

from ta_pipeline.recovery.plan import Facts, plan
from ta_pipeline.recovery.retention import Extent
from ta_pipeline.runtime import JobStatus, SavedPoint
from ta_pipeline.signals.published import Published

FIRST_MS = 1_784_642_400_000
TRADES = "torghut.trades.v1"
GONE = JobStatus("a" * 32, "ta", "RESTARTING", 60.0, 7, 3, 9, None, None, "no such key chk-3")


def published(newest_ms: int = FIRST_MS + 60_000) -> Published:
    found = Published(60_000)
    found.add_bar("AAA", newest_ms, 0)
    return found


FACTS = Facts(
    running=None, states=(), missing_buckets=(), inputs=(Extent(TRADES, 0, 100, 1_100, 1_100, FIRST_MS),),
    outputs=(Extent("ta.bars.1s.v1", 0, 0, 50, 50, FIRST_MS),), published=published(), start_ms=None, parallelism=1,
    trades_topic=TRADES,
)  # fmt: skip


def test_without_any_state_the_job_starts_from_the_earliest_input_that_is_retained() -> None:
    found = plan(FACTS)
    assert found.blockers == ()
    assert found.steps[0] == "start the job without state: it reads its inputs from 2026-07-21 14:00:00 UTC on"
    text = str(found)
    assert "S3: no savepoint and no checkpoint" in text
    assert f"input {TRADES}[0]: 1,000 offsets, since 2026-07-21 14:00:00 UTC" in text
    assert "final topics: 1 symbols, the newest second ends 2026-07-21 14:01:00 UTC" in text
    later = plan(replace(FACTS, start_ms=FIRST_MS + 30_000))
    assert "from 2026-07-21 14:00:30 UTC on" in later.steps[0]


def test_a_state_that_is_there_is_better_than_a_rebuild_unless_it_is_known_to_be_of_no_use() -> None:
    facts = replace(FACTS, states=(SavedPoint("s3a://b/checkpoints/1/chk-7", FIRST_MS, is_savepoint=False),))
    (blocker,) = plan(facts).blockers
    assert "there is state to go on from, which loses nothing: s3a://b/checkpoints/1/chk-7; " in blocker
    assert "to do:" not in str(plan(facts))
    assert plan(replace(facts, ignore_states=True)).blockers == ()


def test_a_job_that_works_holds_its_state_and_one_that_cannot_restore_it_is_cancelled() -> None:
    works = plan(replace(FACTS, running=replace(GONE, state="RUNNING"), is_working=True))
    assert "its state is in its memory; take a savepoint" in works.blockers[0]
    fails = plan(replace(FACTS, running=GONE))
    assert fails.blockers == ()
    assert fails.steps[0] == f"cancel job {GONE.job_id}: it has no state to go on from"
    assert f"job {GONE.job_id} is RESTARTING: no such key chk-3" in fails.found


def test_without_trades_there_is_nothing_to_rebuild_from() -> None:
    (blocker,) = plan(replace(FACTS, inputs=(Extent(TRADES, 0, 7, 7, 7, None),))).blockers
    assert blocker == f"{TRADES} holds no record: there is nothing to rebuild the job from"


def test_what_retention_has_deleted_before_it_was_given_out_is_named() -> None:
    notes = plan(replace(FACTS, published=published(FIRST_MS - 5_000))).notes
    assert any("what lies between cannot be computed any more, and is missing" in note for note in notes)
    assert not any("cannot be computed" in note for note in plan(FACTS).notes)


def test_open_transactions_are_told_and_waited_for_where_they_may_hide_what_is_committed() -> None:
    hidden = replace(FACTS, outputs=(Extent("ta.bars.1s.v1", 0, 0, 50, 20, FIRST_MS),))
    assert plan(hidden).notes[0].startswith("30 offsets of the final topics are behind transactions")
    wait = "wait until Kafka has aborted the transactions that are open"
    assert wait not in plan(hidden).steps
    assert wait in plan(replace(hidden, parallelism=2)).steps


def test_a_rollout_that_was_left_comes_first() -> None:
    (blocker,) = plan(replace(FACTS, unfinished="the upgrade 7, which is stopped,")).blockers
    assert blocker.startswith("the upgrade 7, which is stopped, has not ended: let it end, or give it up with")


def test_a_bucket_that_is_gone_is_made_again() -> None:
    found = plan(replace(FACTS, missing_buckets=("flink-checkpoints",)))
    assert found.steps[0] == "make bucket flink-checkpoints"
    assert "S3: there is no bucket flink-checkpoints" in found.found
