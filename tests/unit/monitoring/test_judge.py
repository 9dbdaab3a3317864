from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.judge import JUDGES, QUESTIONS, judge
from ta_pipeline.monitoring.kafka_source import PartitionEnd, is_overdue
from ta_pipeline.monitoring.reach_verdicts import PROBE_HANGS_MS, probe_reachable, stable_offset
from ta_pipeline.monitoring.verdicts import AT_ONCE
from tests.status import NOW_MS, down, kafka, no_job, probe, quiet, revision, snapshot, store

COMPONENTS = {"flink": "flink", "kafka": "kafka", "store": "s3", "clickhouse": "clickhouse", "probe": "probe"}


def states(**changes: Any) -> dict[str, str]:
    return {verdict.name: verdict.state for verdict in judge(snapshot(**changes))}


def test_a_platform_that_is_well_is_well_in_every_respect() -> None:
    assert states() == dict.fromkeys(QUESTIONS, "ok")


def test_every_question_says_what_has_to_hold() -> None:
    assert len(QUESTIONS) == len(JUDGES) == 23
    assert all(text.endswith(".") or ";" in text for text in QUESTIONS.values())


@pytest.mark.parametrize("gone", COMPONENTS)
def test_an_unreachable_component_is_one_call_and_what_depends_on_it_is_unknown_and_never_well(gone: str) -> None:
    component = COMPONENTS[gone]
    verdicts = judge(snapshot(**{gone: down(component)}))
    assert [verdict.name for verdict in verdicts if verdict.calls] == [f"{component}_reachable"]
    others = {verdict.name: verdict for verdict in verdicts if verdict.state == "unknown"}
    assert {verdict.caused_by for verdict in others.values()} <= {f"{component}_reachable"}
    assert all("does not answer" in verdict.message or "not known" in verdict.message for verdict in others.values())


def test_when_everything_is_down_each_component_calls_and_nothing_is_well() -> None:
    verdicts = judge(snapshot(**{field: down(component) for field, component in COMPONENTS.items()}))
    assert {verdict.name for verdict in verdicts if verdict.calls} == {
        f"{component}_reachable" for component in COMPONENTS.values()
    }
    assert not [verdict.name for verdict in verdicts if verdict.is_well]


def test_a_stopped_platform_on_a_closed_market_is_quiet() -> None:
    stopped = snapshot(
        flink=no_job(("torghut-ta", "FINISHED")),
        store=store(revision(outcome="stopped")),
        probe=probe(quiet()),
        kafka=kafka(newest_trade_ms=NOW_MS - 86_400_000),
        session_open=False,
    )
    assert {verdict.name for verdict in judge(stopped) if not verdict.is_well} == set()


def test_a_missing_topic_is_bad_though_the_broker_answers() -> None:
    assert states(kafka=kafka(missing=("ta.bars.1s.v1",)))["kafka_reachable"] == "bad"


@pytest.mark.parametrize(("silent_ms", "state"), [(PROBE_HANGS_MS, "ok"), (PROBE_HANGS_MS + 1, "bad")])
def test_a_probe_that_answers_but_does_not_read_hangs(silent_ms: int, state: str) -> None:
    assert probe_reachable(snapshot(probe=probe(alive_ms=NOW_MS - silent_ms)), History()).state == state


def test_a_probe_that_cannot_read_is_bad_and_explained_by_a_broker_that_is_away() -> None:
    blind = dataclasses.replace(probe(trouble="no such topic"), seen=None)
    assert probe_reachable(snapshot(probe=blind), History()).calls
    assert not probe_reachable(snapshot(probe=blind, kafka=down("kafka")), History()).calls
    assert probe_reachable(snapshot(probe=probe(trouble="timed out")), History()).state == "warn"


@pytest.mark.parametrize(
    ("end", "stable", "first_young", "overdue"),
    [
        (100, 100, 90, False),  # nothing is open
        (100, 100, -1, False),  # nothing is open, and nothing is young
        (120, 100, 90, False),  # what is open is young
        (120, 100, 100, False),
        (120, 100, 101, True),  # the record at which readers stand is old
        (120, 100, -1, True),  # everything is
    ],
)
def test_readers_stand_still_behind_a_transaction_whose_first_record_is_old(
    end: int, stable: int, first_young: int, overdue: bool
) -> None:
    assert is_overdue(end, stable, first_young) is overdue


def test_partitions_whose_readers_stand_still_are_named_with_their_offsets() -> None:
    stuck = kafka(ends=(PartitionEnd("ta.signals.v1", 2, 1_300, 1_234, overdue=True),))
    found = stable_offset(snapshot(kafka=stuck), History())
    assert (found.state, found.ticks) == ("bad", AT_ONCE)
    assert found.message == (
        "committed readers stand still behind a transaction open for more than 30 s: ta.signals.v1[2] at 1,234 of 1,300"
    )
