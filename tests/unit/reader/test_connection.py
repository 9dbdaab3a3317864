"""When a reader says that Kafka does not answer, and when that it is back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ta_pipeline.reader.connection import Connection, trouble_in

AWAY = {"kafka:9092/bootstrap": {"nodeid": -1, "source": "configured", "state": "INIT"}}


def statistics(
    state: str = "UP", idle_us: int = 400_000, leader: int = 1, fetch_state: str = "active", waiting: int = 1
) -> Any:
    partition = {"desired": True, "fetch_state": fetch_state, "leader": leader}
    other = {"desired": False, "fetch_state": "none", "leader": -1}
    idle = {"rxidle": idle_us, "txidle": idle_us, "waitresp_cnt": waiting}
    return {
        "brokers": {
            "kafka:9092/1": {"nodeid": 1, "source": "learned", "state": state, **idle},
            "kafka:9092/bootstrap": {"nodeid": -1, "source": "configured", "state": "DOWN", "rxidle": -1},
            "GroupCoordinator": {"nodeid": -1, "source": "logical", "state": "UP", "rxidle": 400_000},
        },
        "cgrp": {"state": "up", "stateage": 5_000, "join_state": "steady"},
        "topics": {"ta.signals.v1": {"partitions": {"0": partition, "-1": other}}},
    }


def without_partitions(join_state: str = "init", *, group: str = "up", age_ms: int = 1_000, **others: Any) -> Any:
    """Of a reader that the group has given nothing."""
    cgrp = {"state": group, "stateage": age_ms, "join_state": join_state}
    return {**statistics(fetch_state="stopped"), "cgrp": cgrp, **others}


def told_of(*stats: Any) -> list[str | None]:
    """What is told while librdkafka says this, once a second."""
    connection, found = Connection(), []
    for second, one in enumerate(stats):
        connection.take(json.dumps({**one, "time": 100 + second}), 100.0 + second)
        found.append(connection.trouble)
    return found


def test_a_broker_that_answers_fetches_is_no_trouble() -> None:
    assert trouble_in(statistics()) is None


@pytest.mark.parametrize(
    ("stats", "told"),
    [
        (statistics(state="DOWN"), "kafka:9092/1 is DOWN"),
        (statistics(idle_us=12_000_000), "kafka:9092/1 has sent nothing for 12 s"),
        (statistics(leader=-1), "ta.signals.v1 partition 0 has no leader"),
    ],
)
def test_a_broker_that_is_away_or_hangs_is_told_by_name(stats: Any, told: str) -> None:
    assert trouble_in(stats) == told


def test_a_broker_that_is_asked_for_nothing_does_not_hang() -> None:
    assert trouble_in(statistics(idle_us=60_000_000, waiting=0)) is None
    just_asked = statistics(idle_us=60_000_000)
    just_asked["brokers"]["kafka:9092/1"]["txidle"] = 100_000
    assert trouble_in(just_asked) is None


def test_trouble_is_told_when_it_lasts_and_forgotten_at_once() -> None:
    no_leader, down = statistics(leader=-1), statistics(state="DOWN")
    found = told_of(statistics(), no_leader, statistics(), down, down, statistics())
    assert found == [None, None, None, None, "kafka:9092/1 is DOWN", None]


def test_statistics_that_nobody_listened_to_are_left_out() -> None:
    connection = Connection()
    for second in (100, 101):
        connection.take(json.dumps({**statistics(state="DOWN"), "time": second}), 160.0)
    assert connection.trouble is None


def test_kafka_is_not_back_because_the_group_is_lost() -> None:
    down, lost = statistics(state="DOWN"), without_partitions(group="query-coord", brokers=AWAY)
    found = told_of(down, down, lost, without_partitions(group="wait-coord"), without_partitions("wait-join"))
    assert found[1] == "kafka:9092/1 is DOWN"
    assert None not in found[1:]
    assert told_of(down, down, lost, statistics())[-1] is None


def test_kafka_is_back_for_a_reader_to_whom_the_group_gives_nothing() -> None:
    away = without_partitions(brokers=AWAY)
    assert told_of(away, away, without_partitions("steady"))[1:] == ["kafka:9092/bootstrap is INIT", None]


def test_kafka_is_back_when_it_has_said_where_to_read() -> None:
    connection = Connection()
    for second in (100, 101):
        connection.take(json.dumps({**without_partitions(brokers=AWAY), "time": second}), second)
    connection.asks()
    connection.take(json.dumps({**without_partitions("steady"), "time": 102}), 102.0)
    assert connection.trouble is not None
    connection.works()
    assert connection.trouble is None


def test_whoever_waits_for_a_group_is_told_that_nobody_answers() -> None:
    assert trouble_in(without_partitions("wait-join")) is None
    assert trouble_in(without_partitions(brokers=AWAY)) == "kafka:9092/bootstrap is INIT"
    assert trouble_in(without_partitions(group="wait-coord", age_ms=2_000)) is None
    silent = without_partitions(group="wait-coord", age_ms=11_000)
    assert trouble_in(silent) == "the group has no coordinator (wait-coord)"
