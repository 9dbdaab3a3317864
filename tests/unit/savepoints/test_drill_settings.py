from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ta_pipeline.errors import KafkaSetupError, SettingsError
from ta_pipeline.kafka_admin import delete_topics
from ta_pipeline.replay.isolation import isolation_problems, replay_settings
from ta_pipeline.savepoints.drill_settings import drill_folders, drill_id, drill_settings, drills_of
from ta_pipeline.settings import load_settings

PRODUCTION = load_settings(status_topic="ta.status.v1", output_format="avro-confluent", clickhouse_url="http://ch:8123")
NUMBER = drill_id(datetime(2026, 7, 22, 12, 30, 5, tzinfo=UTC))


SETTINGS = drill_settings(PRODUCTION, NUMBER, replay_settings)


def test_a_drill_reads_what_production_reads_and_writes_topics_of_its_own() -> None:
    assert NUMBER == "drill-20260722-123005"
    assert SETTINGS.input_topics == PRODUCTION.input_topics
    assert SETTINGS.clock_topic == PRODUCTION.clock_topic
    assert set(SETTINGS.output_topics) == {f"{topic}.replay.{NUMBER}" for topic in PRODUCTION.output_topics}


def test_a_drill_is_apart_from_production() -> None:
    assert isolation_problems(PRODUCTION, SETTINGS) == []
    assert SETTINGS.k8s_deployment == f"{PRODUCTION.k8s_deployment}-{NUMBER}"
    assert (SETTINGS.clickhouse_url, SETTINGS.output_format) == ("", "json")


def test_only_folders_of_the_drill_are_emptied_after_it() -> None:
    assert all(NUMBER in folder for folder in drill_folders(SETTINGS, NUMBER))
    for mistaken in (PRODUCTION, SETTINGS.model_copy(update={"savepoint_dir": PRODUCTION.savepoint_dir})):
        with pytest.raises(SettingsError, match="is not a folder of drill-20260722-123005"):
            drill_folders(mistaken, NUMBER)


def test_drills_are_found_by_the_topics_they_left() -> None:
    topics = [
        "ta.bars.1s.v1", "ta.bars.1s.v1.replay.drill-20260722-123005", "ta.signals.v1.replay.drill-20260722-123005",
        "ta.signals.v1.replay.drill-20260729-123005", "ta.bars.1s.v1.replay.2026-07-22",
        "other.bars.v1.replay.drill-20260722-123005", "ta.bars.1s.v1.replay.drill-yesterday",
    ]  # fmt: skip
    assert drills_of(PRODUCTION, topics) == {
        "drill-20260722-123005": [topics[1], topics[2]],
        "drill-20260729-123005": [topics[3]],
    }


def test_a_topic_of_production_is_never_deleted() -> None:
    with pytest.raises(KafkaSetupError, match=r"ta\.bars\.1s\.v1 is no topic of a replay"):
        delete_topics(load_settings(kafka_bootstrap="127.0.0.1:9"), ["a.replay.x", "ta.bars.1s.v1"])
