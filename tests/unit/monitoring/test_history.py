from __future__ import annotations

import dataclasses

import orjson
import pytest

from ta_pipeline.monitoring.history import KEPT_MS, MOST, History, Sample
from ta_pipeline.monitoring.snapshot import StatusSnapshot
from tests.status import NOW_MS, down, flink, job, kafka, no_job, snapshot, unread

MINUTE_MS = 60_000


def history(*samples: tuple[int, str, int]) -> History:
    """Minutes before now, job, restarts."""
    return History(
        tuple(Sample(NOW_MS - minutes * MINUTE_MS, job_id, number, 0, 0) for minutes, job_id, number in samples)
    )


def grown(found: History, minutes: int = 10) -> int:
    return found.increase("restarts", minutes * MINUTE_MS, NOW_MS)


def test_growth_is_the_difference_within_the_time() -> None:
    found = history((9, "a", 2), (5, "a", 3), (0, "a", 5))
    assert grown(found) == 3
    assert grown(found, minutes=6) == 3  # from the sample before: it has grown after that
    assert grown(found, minutes=1) == 2


def test_a_counter_that_fell_and_one_of_a_new_job_begin_at_zero() -> None:
    assert grown(history((3, "a", 7), (2, "a", 1))) == 1
    assert grown(history((3, "a", 7), (2, "b", 2), (1, "b", 2))) == 2


def test_one_sample_or_none_says_nothing_of_growth() -> None:
    assert grown(History()) == 0
    assert grown(history((0, "a", 9))) == 0


def test_what_lies_behind_the_time_does_not_count() -> None:
    assert grown(history((30, "a", 0), (20, "a", 9))) == 0


def test_a_snapshot_adds_a_sample_and_lets_go_of_old_ones_but_one() -> None:
    found = history((12, "a1", 0), (11, "a1", 1), (5, "a1", 2)).extended(snapshot(flink=flink(job(restarts=4))))
    assert [sample.restarts for sample in found.samples] == [1, 2, 4]
    assert grown(found) == 3


def test_a_cluster_that_does_not_answer_and_a_job_that_does_not_run_add_nothing() -> None:
    before = history((1, "a1", 2))
    assert before.extended(snapshot(flink=down("flink"))) == before
    assert before.extended(snapshot(flink=no_job())) == before


def test_it_stays_small_however_often_it_is_extended() -> None:
    found = History()
    for number in range(3 * MOST):
        found = found.extended(dataclasses.replace(snapshot(), at_ms=NOW_MS + number * 100))
    assert len(found.samples) == MOST
    later = found.extended(dataclasses.replace(snapshot(), at_ms=NOW_MS + 10 * KEPT_MS))
    assert len(later.samples) == 2


def at(committed: int, earliest: int, minutes_ago: int = 0) -> StatusSnapshot:
    """What the table job has, and what the topic still has."""
    where = kafka(unread=(unread(committed=committed, earliest=earliest, end=1_000),))
    return dataclasses.replace(snapshot(kafka=where), at_ms=NOW_MS - minutes_ago * MINUTE_MS)


def test_records_that_left_their_topic_before_they_were_taken_are_lost_once() -> None:
    found = History().extended(at(100, 40, 6))
    assert found.lost(KEPT_MS, NOW_MS) == 0
    found = found.extended(at(100, 150, 4)).extended(at(100, 150, 3)).extended(at(100, 170, 2))
    assert found.lost(KEPT_MS, NOW_MS) == 70
    assert found.lost(3 * MINUTE_MS, NOW_MS) == 20


def test_records_are_lost_too_when_the_job_went_on_behind_them_before_anybody_looked() -> None:
    found = History().extended(at(100, 40, 1)).extended(at(400, 150))
    assert found.lost(KEPT_MS, NOW_MS) == 50


def test_records_that_were_taken_before_they_left_are_not_lost() -> None:
    assert History().extended(at(100, 40, 1)).extended(at(400, 100)).lost(KEPT_MS, NOW_MS) == 0


def test_a_broker_that_does_not_answer_makes_nobody_forget_where_the_table_job_was() -> None:
    silent = dataclasses.replace(snapshot(kafka=down("kafka")), at_ms=NOW_MS - MINUTE_MS)
    found = History().extended(at(100, 40, 2)).extended(silent).extended(at(400, 150))
    assert found.lost(KEPT_MS, NOW_MS) == 50


def test_it_is_json_and_back() -> None:
    found = history((5, "a", 3), (0, "a", 5)).extended(at(100, 150))
    assert found.positions
    assert History.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found


@pytest.mark.parametrize("broken", [None, {}, [[1]], [3], "text"])
def test_something_else_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match=r"history"):
        History.from_json(broken)
