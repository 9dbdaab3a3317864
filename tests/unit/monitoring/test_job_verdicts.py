from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.flink_answers import JobSummary
from ta_pipeline.monitoring.flink_source import Backpressured
from ta_pipeline.monitoring.history import History, Sample
from ta_pipeline.monitoring.job_verdicts import (
    BACKPRESSURE_BAD,
    BACKPRESSURE_WARN,
    RESTARTS,
    ROLLOUT_TICKS,
    backpressure,
    job_state,
    restarts,
    settings_drift,
    sink_transactions,
    table_job_state,
)
from ta_pipeline.monitoring.verdicts import AT_ONCE, ONCE_MORE, Verdict
from tests.status import (
    JOB,
    NOW_MS,
    TABLE_JOB,
    down,
    failure,
    flink,
    job,
    no_job,
    revision,
    settings,
    snapshot,
    store,
)

NONE = History()
STOPPED = revision(outcome="stopped", savepoint="s3a://b/savepoint-1")


def state_of(**changes: Any) -> Verdict:
    return job_state(snapshot(**changes), NONE)


def test_a_running_job_that_should_run_is_well() -> None:
    found = state_of()
    assert (found.state, found.message) == ("ok", "torghut-ta (a1) is RUNNING, started 60 min ago")


def test_no_job_though_a_revision_should_run_calls_when_it_is_seen_again() -> None:
    found = state_of(flink=no_job())
    assert (found.state, found.ticks) == ("bad", ONCE_MORE)
    assert found.message == "no job runs, but revision 3 should"
    assert state_of(flink=no_job((JOB, "CANCELED"))).state == "bad"


def test_a_job_that_was_stopped_on_purpose_is_well() -> None:
    found = state_of(flink=no_job((JOB, "FINISHED")), store=store(STOPPED))
    assert found.state == "ok"
    assert "stopped on purpose: revision 3, savepoint s3a://b/savepoint-1" in found.message


def test_a_job_that_runs_though_it_was_stopped_is_worth_a_look() -> None:
    assert state_of(store=store(STOPPED)).state == "warn"


def test_after_a_rollback_it_is_the_earlier_revision_that_should_run() -> None:
    rolled_back = revision(number=4, outcome="rolled back", back_to=3)
    found = state_of(flink=no_job(), store=store(rolled_back, current=revision()))
    assert (found.state, found.message) == ("bad", "no job runs, but revision 3 should")


def test_a_failed_job_calls_at_once_with_the_reason_whatever_is_declared() -> None:
    for declared in (store(revision()), store(None), down("s3")):
        found = state_of(flink=no_job((JOB, "FAILED"), failed_by="java.io.IOException: disk full"), store=declared)
        assert (found.state, found.ticks, found.calls) == ("bad", AT_ONCE, True)
        assert "FAILED: java.io.IOException: disk full" in found.message


@pytest.mark.parametrize("state", ["RESTARTING", "FAILING"])
def test_a_restarting_job_calls_when_it_lasts(state: str) -> None:
    found = state_of(flink=flink(job(state=state, failures=(failure(5, "TaskManager lost"),))))
    assert (found.state, found.ticks) == ("bad", ONCE_MORE)
    assert found.message.endswith(f"is {state}, started 60 min ago: TaskManager lost")


def test_a_job_whose_tasks_are_still_being_deployed_is_worth_a_look() -> None:
    assert state_of(flink=flink(job(tasks_running=False))).state == "warn"
    assert state_of(flink=flink(job(state="INITIALIZING"))).state == "warn"


def test_two_jobs_of_one_name_are_bad_because_both_write() -> None:
    twice = flink()
    second = JobSummary("c3", JOB, "RUNNING", NOW_MS)
    found = state_of(flink=flink(jobs=(second, *twice.jobs)))
    assert (found.state, found.message) == ("bad", "2 jobs of this name write the same topics: c3, a1")


def test_no_job_and_no_rollout_is_nothing_to_judge() -> None:
    assert state_of(flink=no_job(), store=store(None)).state == "asleep"


def test_an_unreachable_cluster_does_not_mean_that_no_job_runs() -> None:
    found = state_of(flink=down("flink"))
    assert (found.state, found.caused_by, found.calls) == ("unknown", "flink_reachable", False)


def test_without_the_record_nobody_knows_whether_an_absent_job_is_a_fault() -> None:
    found = state_of(flink=no_job(), store=down("s3"))
    assert (found.state, found.caused_by) == ("unknown", "s3_reachable")
    assert state_of(store=down("s3")).state == "ok"


def table_state(**changes: Any) -> Verdict:
    return table_job_state(snapshot(**changes), NONE)


def test_the_table_job_has_to_run_when_the_job_does() -> None:
    assert table_state().state == "ok"
    found = table_state(flink=flink(table_job=None, jobs=flink().jobs[:1]))
    assert (found.state, found.message) == ("bad", "torghut-ta-table does not run, but the job runs")
    assert table_state(flink=no_job(), store=store(STOPPED)).state == "asleep"
    assert table_state(flink=no_job()).caused_by == "job_state"
    assert table_state(flink=down("flink")).caused_by == "flink_reachable"


def test_a_table_job_whose_cluster_does_not_answer_is_not_taken_for_one_that_does_not_run() -> None:
    found = table_state(flink=flink(table_job=None, table_unknown="Flink cannot be reached at x"))
    assert (found.state, found.message, found.calls) == ("unknown", "Flink cannot be reached at x", True)


def test_a_clickhouse_that_is_away_does_not_explain_a_table_job_that_restarts() -> None:
    restarting = flink(table_job=job(TABLE_JOB, state="RESTARTING"))
    for changes in ({}, {"clickhouse": down("clickhouse")}):
        found = table_state(flink=restarting, **changes)
        assert (found.state, found.calls) == ("bad", True)


def test_without_a_table_path_there_is_nothing_to_run() -> None:
    assert table_state(clickhouse=None).state == "ok"


def samples(*restarted: int, job_id: str = "a1", failed: int = 0, every_ms: int = 60_000) -> History:
    begin = NOW_MS - (len(restarted) - 1) * every_ms
    return History(
        tuple(Sample(begin + number * every_ms, job_id, count, failed, 0) for number, count in enumerate(restarted))
    )


@pytest.mark.parametrize(("number", "state"), [(0, "ok"), (1, "warn"), (RESTARTS, "warn"), (RESTARTS + 1, "bad")])
def test_more_than_three_restarts_in_ten_minutes_are_bad(number: int, state: str) -> None:
    found = restarts(snapshot(flink=flink(job(restarts=5 + number))), samples(5, 5 + number))
    assert (found.state, found.figures["in_10_min"]) == (state, number)
    assert f"{number} restarts in 10 min, 3 are allowed" in found.message


def test_restarts_are_known_without_a_history_from_the_failures_flink_remembers() -> None:
    failures = tuple(failure(seconds, "TaskManager lost") for seconds in (10, 100, 300, 599, 601))
    found = restarts(snapshot(flink=flink(job(restarts=5, failures=failures))), NONE)
    assert (found.state, found.figures["in_10_min"]) == ("bad", 4)
    assert found.message.endswith("the newest: TaskManager lost")


def test_a_failed_commit_is_bad_at_once() -> None:
    history = History((Sample(NOW_MS - 30_000, "a1", 0, 0, 0), Sample(NOW_MS, "a1", 0, 1, 0)))
    found = sink_transactions(snapshot(flink=flink(job(failed_commits=1))), history)
    assert (found.state, found.ticks) == ("bad", AT_ONCE)
    assert "1 failed commits" in found.message


def test_a_failed_commit_is_forgotten_after_five_minutes() -> None:
    history = History((Sample(NOW_MS - 400_000, "a1", 0, 0, 0), Sample(NOW_MS - 330_000, "a1", 0, 1, 0)))
    history = History((*history.samples, Sample(NOW_MS, "a1", 0, 1, 0)))
    assert sink_transactions(snapshot(), history).state == "ok"


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        ("org.apache.kafka.common.errors.ProducerFencedException: there is a newer producer", "bad"),
        ("org.apache.kafka.common.errors.TimeoutException: Timeout expired while awaiting InitProducerId", "bad"),
        ("org.apache.kafka.common.errors.InvalidTxnStateException: invalid", "bad"),
        ("java.net.ConnectException: refused", "ok"),
    ],
)
def test_a_failure_that_speaks_of_transactions_is_one_of_the_sink(cause: str, state: str) -> None:
    found = sink_transactions(snapshot(flink=flink(job(failures=(failure(299, cause),)))), NONE)
    assert found.state == state
    assert sink_transactions(snapshot(flink=flink(job(failures=(failure(301, cause),)))), NONE).state == "ok"


@pytest.mark.parametrize(
    ("share", "state"),
    [(BACKPRESSURE_WARN, "ok"), (BACKPRESSURE_WARN + 0.01, "warn"), (BACKPRESSURE_BAD, "warn"),
     (BACKPRESSURE_BAD + 0.01, "bad")],
)  # fmt: skip
def test_a_task_that_waits_for_the_next_one_is_named_with_its_share(share: float, state: str) -> None:
    found = backpressure(snapshot(flink=flink(job(backpressure=Backpressured("windows", share)))), NONE)
    assert found.state == state
    assert f"waits {share:.0%} of its time" in found.message
    assert found.message.endswith("windows")


def test_without_a_measurement_backpressure_is_unknown_and_not_well() -> None:
    found = backpressure(snapshot(flink=flink(job(backpressure=None))), NONE)
    assert (found.state, found.calls) == ("unknown", True)


def test_each_edited_setting_is_named_with_both_values() -> None:
    edited = {**job().settings, "TA_STARTUP_MODE": "earliest", "TA_DEDUP": "false"}
    found = settings_drift(snapshot(flink=flink(job(settings=edited))), NONE)
    assert (found.state, found.ticks) == ("bad", ONCE_MORE)
    assert "2 settings are not those of revision 3" in found.message
    assert "TA_DEDUP is 'false', declared 'true'" in found.message
    assert "TA_STARTUP_MODE is 'earliest', declared 'latest'" in found.message


def test_a_setting_that_only_one_side_has_is_a_difference() -> None:
    fewer = {name: value for name, value in job().settings.items() if name != "TA_DEDUP"}
    found = settings_drift(snapshot(flink=flink(job(settings=fewer))), NONE)
    assert "TA_DEDUP is '(unset)', declared 'true'" in found.message


def test_a_setting_that_the_job_does_not_read_is_no_difference_though_older_code_told_it() -> None:
    older = {**job().settings, "TA_SAVEPOINTS_KEPT": "3"}
    assert settings_drift(snapshot(flink=flink(job(settings=older))), NONE).state == "ok"


def test_a_job_that_is_not_the_one_recorded_may_be_a_rollout_under_way() -> None:
    edited = {**job().settings, "TA_DEDUP": "false"}
    found = settings_drift(snapshot(flink=flink(job(id="d4", settings=edited))), NONE)
    assert (found.state, found.ticks) == ("bad", ROLLOUT_TICKS)


def test_what_flink_does_counts_whatever_the_job_says() -> None:
    found = settings_drift(snapshot(flink=flink(job(checkpoint_interval_ms=60_000))), NONE)
    assert found.state == "bad"
    assert "TA_CHECKPOINT_INTERVAL_MS in force is 60000, though the job says 10000" in found.message


def test_without_a_rollout_the_job_is_compared_with_the_environment() -> None:
    assert settings_drift(snapshot(store=store(None)), NONE).state == "ok"
    found = settings_drift(snapshot(store=store(None), settings=settings(dedup=False)), NONE)
    assert "TA_DEDUP is 'true', declared 'false'" in found.message


def test_without_the_record_drift_is_unknown() -> None:
    found = settings_drift(snapshot(store=down("s3")), NONE)
    assert (found.state, found.caused_by) == ("unknown", "s3_reachable")


@pytest.mark.parametrize("judged", [restarts, sink_transactions, backpressure, settings_drift])
def test_of_a_job_that_does_not_run_nothing_else_is_said(judged: Any) -> None:
    assert judged(snapshot(flink=no_job()), NONE).caused_by == "job_state"
    assert judged(snapshot(flink=no_job(), store=store(STOPPED)), NONE).state == "asleep"
    assert judged(snapshot(flink=no_job(), store=down("s3")), NONE).caused_by == "s3_reachable"
    assert judged(snapshot(flink=down("flink")), NONE).caused_by == "flink_reachable"
