from __future__ import annotations

import pytest

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_admin import (
    DAY_MS,
    Drift,
    LiveTopic,
    Topic,
    TopicPlan,
    declared_topics,
    plan_topics,
    require_no_drift,
)
from ta_pipeline.local.kafka import OFFSETS_RETENTION_MINUTES
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.settings import load_settings

BARS = Topic("bars", 30 * DAY_MS)
STATUS = Topic("status", 7 * DAY_MS, cleanup="compact,delete")


def live(topic: Topic, *, partitions: int = 1, **config: str) -> dict[str, LiveTopic]:
    changed = {name.replace("_", "."): value for name, value in config.items()}
    return {topic.name: LiveTopic(topic.name, partitions, {**topic.config, "segment.bytes": "1", **changed})}


def test_every_topic_of_the_platform_is_declared_once_and_with_its_retention() -> None:
    settings = load_settings(status_topic="ta.status.v1")
    days = {topic.name: topic.retention_ms // DAY_MS for topic in declared_topics(settings)}
    assert days == {
        "torghut.trades.v1": 7, "torghut.quotes.v1": 7, "torghut.bars.1m.v1": 7, "torghut.status.v1": 7,
        "ta.clock.v1": 1, "ta.bars.1s.v1": 30, "ta.signals.v1": 30, "ta.signals.live.v1": 1, "ta.rejects.v1": 7,
        "ta.late.v1": 7, "ta.status.v1": 7,
    }  # fmt: skip
    assert len(declared_topics(settings)) == len(days)
    assert [topic.name for topic in declared_topics(settings) if topic.cleanup != "delete"] == ["ta.status.v1"]


def test_a_position_is_kept_for_longer_than_any_topic_keeps_its_records() -> None:
    longest_ms = max(topic.retention_ms for topic in declared_topics(load_settings()))
    assert longest_ms < OFFSETS_RETENTION_MINUTES * 60_000
    for page in ("how-to/kafka.md", "kubernetes.md"):
        told = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
        assert "offsets.retention.minutes" in told
        assert str(OFFSETS_RETENTION_MINUTES) in told


def test_the_heartbeat_has_no_topic_when_it_is_off() -> None:
    assert "" not in {topic.name for topic in declared_topics(load_settings(status_topic=""))}


def test_what_is_missing_is_created_and_what_is_right_is_left() -> None:
    assert plan_topics([BARS, STATUS], live(BARS)) == TopicPlan(create=(STATUS,), unchanged=("bars",))


def test_a_topic_that_differs_is_drift_setting_by_setting() -> None:
    plan = plan_topics([BARS], live(BARS, retention_ms="1000", cleanup_policy="compact"))
    assert plan.drift == (
        Drift("bars", "cleanup.policy", "delete", "compact"),
        Drift("bars", "retention.ms", str(30 * DAY_MS), "1000"),
    )
    assert not plan.unchanged
    assert not plan.create


def test_the_order_of_cleanup_policies_is_no_drift() -> None:
    assert not plan_topics([STATUS], live(STATUS, cleanup_policy="delete, compact")).drift


def test_fewer_partitions_are_drift_and_more_are_not() -> None:
    wide = Topic("bars", 30 * DAY_MS, partitions=3)
    assert plan_topics([wide], live(wide, partitions=2)).drift == (Drift("bars", "partitions", "3", "2"),)
    assert not plan_topics([wide], live(wide, partitions=4)).drift


def test_drift_is_refused_by_naming_every_difference() -> None:
    plan = plan_topics([BARS], live(BARS, retention_ms="1000", cleanup_policy="compact"))
    with pytest.raises(KafkaSetupError) as raised:
        require_no_drift(plan)
    assert "bars: retention.ms is 1000, declared 2592000000" in str(raised.value)
    assert "bars: cleanup.policy is compact, declared delete" in str(raised.value)


def test_a_plan_without_drift_is_accepted() -> None:
    require_no_drift(plan_topics([BARS], {}))
