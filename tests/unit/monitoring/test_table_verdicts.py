from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.monitoring.history import History, Position, Sample
from ta_pipeline.monitoring.table_verdicts import clickhouse_breaker, table_backlog
from ta_pipeline.monitoring.verdicts import AT_ONCE, Verdict
from tests.status import NOW_MS, TABLE_JOB, breaker, down, flink, job, kafka, no_job, revision, snapshot, store, unread

NONE = History()
OPEN = breaker(
    "ta_signals",
    state="open",
    since_ms=NOW_MS - 300_000,
    opened=1,
    failed_inserts=14,
    waiting_rows=500,
    last_error="java.net.ConnectException: Connection refused",
)


def breakers(*found: Any, **changes: Any) -> Verdict:
    return clickhouse_breaker(snapshot(flink=flink(table_job=job(TABLE_JOB, breakers=found)), **changes), NONE)


def test_a_breaker_that_is_closed_is_well_and_says_since_when() -> None:
    found = breakers(breaker("ta_microbars"), breaker("ta_signals", since_ms=NOW_MS - 90_000))
    assert (found.state, found.message) == (
        "ok",
        "ta_microbars is closed, for 60.0 min; ta_signals is closed, for 90.0 s",
    )


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_a_breaker_that_is_open_is_bad_and_names_what_waits_and_why(state: str) -> None:
    found = breakers(breaker("ta_microbars"), breaker(**{**vars(OPEN), "state": state}))
    assert (found.state, found.calls) == ("bad", True)
    assert found.message == (
        f"rows are not inserted: ta_signals is {state}, for 5.0 min, after 14 failed inserts; 500 rows are in the "
        "sink: java.net.ConnectException: Connection refused; at most 12 records wait in the topics"
    )
    assert found.figures["ta_signals_state"] == state
    assert found.figures["ta_microbars_state"] == "closed"
    assert found.figures["records_behind"] == 12


def test_a_clickhouse_that_does_not_answer_is_one_call() -> None:
    found = breakers(OPEN, clickhouse=down("clickhouse"))
    assert (found.state, found.caused_by) == ("bad", "clickhouse_reachable")
    assert breakers(breaker("ta_microbars"), clickhouse=down("clickhouse")).state == "ok"


def test_breakers_that_nobody_tells_of_are_unknown_and_never_well() -> None:
    assert (breakers().state, breakers().calls) == ("unknown", True)
    for asked, cause in ((down("flink"), "flink_reachable"), (flink(table_job=None), "table_job_state")):
        found = clickhouse_breaker(snapshot(flink=asked), NONE)
        assert (found.state, found.caused_by) == ("unknown", cause)


def test_breakers_sleep_when_no_job_should_run() -> None:
    asleep = snapshot(flink=no_job(), store=store(revision(outcome="stopped")))
    assert clickhouse_breaker(asleep, NONE).state == "asleep"
    assert clickhouse_breaker(snapshot(clickhouse=None), NONE).state == "ok"


def backlog(history: History = NONE, **changes: Any) -> Verdict:
    return table_backlog(snapshot(kafka=kafka(unread=(unread(**changes),))), history)


def test_a_backlog_that_is_young_is_well_however_long() -> None:
    found = backlog(committed=40, expiring=40, end=1_000_000)
    assert (found.state, found.figures["waiting"]) == ("ok", 999_960)


def test_records_that_will_be_gone_soon_are_told_before_they_are() -> None:
    found = backlog(committed=39, expiring=40)
    assert (found.state, found.ticks) == ("bad", AT_ONCE)
    assert "have spent 75% of the time that their topics keep them: ta.bars.1s.v1[0] from 39" in found.message


def test_old_records_that_were_taken_are_no_backlog() -> None:
    assert backlog(committed=100, expiring=100, end=100).state == "ok"


def test_records_that_left_their_topic_before_they_were_taken_are_named() -> None:
    found = backlog(committed=1_000, earliest=1_500, end=2_000)
    assert (found.state, found.ticks, found.figures["lost"]) == ("bad", AT_ONCE, 500)
    assert "at most 500 records left their topics before they were in ClickHouse" in found.message
    assert "(offsets ta.bars.1s.v1[0] 1,000 to 1,499)" in found.message


def test_a_loss_is_told_for_ten_minutes_after_the_table_job_went_on_behind_it() -> None:
    lost = Sample(NOW_MS - 540_000, "a1", 0, 0, 0, lost=50)
    found = backlog(History((lost,), (Position("ta.bars.1s.v1", 0, 88),)))
    assert (found.state, found.figures["lost"]) == ("bad", 50)
    assert "at most 50 records left their topics before they were in ClickHouse, in the last 10 min" in found.message
    assert backlog(History((lost._replace(at_ms=NOW_MS - 600_000),))).state == "ok"


def test_what_is_not_known_of_a_backlog_is_not_well() -> None:
    found = table_backlog(snapshot(kafka=down("kafka")), NONE)
    assert (found.state, found.caused_by) == ("unknown", "kafka_reachable")
    assert table_backlog(snapshot(kafka=kafka(unread=None)), NONE).state == "asleep"
    assert table_backlog(snapshot(clickhouse=None), NONE).state == "ok"


def test_a_position_that_kafka_has_forgotten_is_bad_and_not_one_that_never_was() -> None:
    known = History(positions=(Position("ta.bars.1s.v1", 0, 88),))
    found = table_backlog(snapshot(kafka=kafka(unread=None)), known)
    assert (found.state, found.calls) == ("bad", True)
    assert "offsets.retention.minutes" in found.message
