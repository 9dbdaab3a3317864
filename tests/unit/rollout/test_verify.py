from __future__ import annotations

import dataclasses

from ta_pipeline.rollout.verify import Evidence, judge, moved, verify
from ta_pipeline.runtime import JobStatus

WELL = JobStatus("a" * 32, "torghut-ta", "RUNNING", 10.0, 0, 1, 0, 1.0, "s3a://b/chk-1", None)
BUDGET = 60.0


def evidence(status: JobStatus | None = WELL, inputs: int = 100, outputs: int = 0, seconds: float = 1.0) -> Evidence:
    return Evidence(status, inputs, outputs, seconds)


def test_a_running_job_with_a_checkpoint_and_fresh_records_is_proved() -> None:
    assert judge(evidence(outputs=3), BUDGET).proved


def test_without_records_it_is_not_proved_before_and_refuted_after_the_budget() -> None:
    early = judge(evidence(), BUDGET)
    assert not early.proved
    assert not early.refuted
    late = judge(evidence(seconds=60.0), BUDGET)
    assert late.refuted
    assert late.text == "100 records came in, and none went out within 60 s"


def test_a_quiet_market_does_not_refute_a_version() -> None:
    assert not judge(evidence(inputs=0, seconds=19.0), BUDGET).proved
    found = judge(evidence(inputs=0, seconds=20.0), BUDGET)
    assert found.proved
    assert "no market data" in found.text


def test_a_job_that_has_failed_or_is_gone_is_refuted_at_once_with_its_exception() -> None:
    failed = dataclasses.replace(WELL, state="FAILED", exception="java.lang.IllegalStateException: no")
    found = judge(evidence(failed), BUDGET)
    assert found.refuted
    assert "IllegalStateException" in found.text
    assert judge(evidence(None), BUDGET).refuted


def test_a_job_that_restarts_is_given_its_budget_and_not_more() -> None:
    restarting = dataclasses.replace(WELL, state="RESTARTING", restarts=2, checkpoints_completed=0)
    assert not judge(evidence(restarting), BUDGET).refuted
    assert judge(evidence(restarting, seconds=61.0), BUDGET).refuted


def test_records_of_a_job_that_was_restarted_on_the_way_prove_it_all_the_same() -> None:
    assert judge(evidence(dataclasses.replace(WELL, restarts=1), outputs=5), BUDGET).proved


def test_verification_reports_what_changes_and_ends_with_the_proof() -> None:
    flows = iter([(0, 0), (10, 0), (20, 0), (30, 4)])
    now = [0.0]
    told: list[str] = []

    def pause(seconds: float) -> None:
        now[0] += seconds

    found = verify(lambda: WELL, lambda: next(flows), BUDGET, told.append, clock=lambda: now[0], pause=pause)
    assert found.proved
    assert len(told) == 2, "that 20 came in after 10 is not news"
    assert told[1].startswith("10 records came in")


def test_moved_counts_what_came_on_each_topic_and_nothing_backwards() -> None:
    assert moved({"a": 12, "b": 5}, {"a": 10, "b": 7}) == 2
    assert moved({"a": 12}, {}) == 12
