from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_admin import (
    Topic,
    create_topics,
    declared_topics,
    ensure_topics,
    live_topics,
    plan_topics,
    require_no_drift,
)
from ta_pipeline.kafka_config import client_config
from tests.stack import RunningStack, wait_for


@pytest.fixture
def name() -> str:
    return f"test.{uuid.uuid4().hex[:8]}"


@pytest.fixture
def admin(stack: RunningStack) -> AdminClient:
    return AdminClient(client_config(stack.settings))


def test_missing_topics_are_created_as_declared_and_only_once(stack: RunningStack, name: str) -> None:
    wanted = Topic(name, 7_200_000, cleanup="compact,delete", partitions=3)
    assert ensure_topics(stack.settings, [wanted]).create == (wanted,)
    live = live_topics(stack.settings, [name])[name]
    assert live.partitions == 3
    assert live.config["retention.ms"] == "7200000"
    assert set(live.config["cleanup.policy"].split(",")) == {"compact", "delete"}
    again = ensure_topics(stack.settings, [wanted])
    assert not again.create
    assert name in again.unchanged


def test_creating_a_topic_that_exists_is_fine(stack: RunningStack, name: str) -> None:
    topic = Topic(name, 3_600_000)
    create_topics(stack.settings, [topic])
    create_topics(stack.settings, [topic])
    assert set(live_topics(stack.settings, [name])) == {name}


def test_many_topics_are_created_in_one_call(stack: RunningStack, name: str) -> None:
    topics = [Topic(f"{name}.{number}", 3_600_000) for number in range(30)]
    create_topics(stack.settings, topics)
    assert set(live_topics(stack.settings, [topic.name for topic in topics])) == {topic.name for topic in topics}


def test_drift_is_reported_and_the_topic_is_left_alone(stack: RunningStack, admin: AdminClient, name: str) -> None:
    wanted = Topic(name, 7_200_000)
    create_topics(stack.settings, [wanted])
    change = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])
    admin.incremental_alter_configs([resource])[resource].result(timeout=10)
    wait_for("the change is visible", lambda: bool(ensure_topics(stack.settings, [wanted]).drift))
    plan = ensure_topics(stack.settings, [wanted])
    assert [str(drift) for drift in plan.drift] == [f"{name}: retention.ms is 1000, declared 7200000"]
    with pytest.raises(KafkaSetupError, match=rf"{name}: retention\.ms is 1000, declared 7200000"):
        require_no_drift(plan)
    assert live_topics(stack.settings, [name])[name].config["retention.ms"] == "1000"


def test_a_topic_that_was_scaled_out_has_not_drifted(stack: RunningStack, admin: AdminClient, name: str) -> None:
    wanted = Topic(name, 7_200_000)
    create_topics(stack.settings, [wanted])
    admin.create_partitions([NewPartitions(name, 4)])[name].result(timeout=10)
    wait_for("four partitions", lambda: live_topics(stack.settings, [name])[name].partitions == 4)
    assert not plan_topics([wanted], live_topics(stack.settings, [name])).drift


def test_a_topic_the_broker_refuses_is_named(stack: RunningStack, name: str) -> None:
    with pytest.raises(KafkaSetupError, match=rf"refused topic {name}"):
        create_topics(stack.settings, [Topic(name, 1, cleanup="no such policy")])


def test_a_test_has_topics_of_its_own(stack: RunningStack) -> None:
    one, other = stack.own_settings(), stack.own_settings()
    shared = {topic.name for topic in declared_topics(one)} & {topic.name for topic in declared_topics(other)}
    assert shared == {stack.settings.clock_topic}
    stack.produce(one.trades_topic, [("AAA", b"1"), ("BBB", b"2")])
    records = stack.consume(one.trades_topic, lambda records: len(records) == 2)
    assert [(record.key, record.value) for record in records] == [("AAA", b"1"), ("BBB", b"2")]


def test_a_broker_that_is_not_there_is_an_error_that_names_its_address(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ta_pipeline.kafka_admin.TIMEOUT_SECONDS", 1.0)
    settings = stack.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    with pytest.raises(KafkaSetupError, match=r"cannot be reached at 127\.0\.0\.1:9"):
        live_topics(settings, ["anything"])
