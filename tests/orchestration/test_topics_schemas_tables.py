"""Topics, schemas and tables as Dagster makes and judges them, on the real broker, registry and engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from orchestration.defs.clickhouse.assets import clickhouse_tables
from orchestration.defs.clickhouse.checks import (
    LEAST_FREE_BYTES,
    LEAST_FREE_SHARE,
    disk_has_room,
    parts_are_few,
    tables_as_declared,
)
from orchestration.defs.schemas.assets import registered_schemas
from orchestration.defs.schemas.checks import schemas_compatible
from orchestration.defs.topics.assets import kafka_topics
from orchestration.defs.topics.checks import topics_as_declared, transactions_allowed
from ta_pipeline import schema_registry
from ta_pipeline.clickhouse import client_of
from ta_pipeline.clickhouse_drift import GIB
from ta_pipeline.kafka_config import client_config
from ta_pipeline.platform import Platform
from ta_pipeline.settings import load_settings
from tests.dagster_runs import check, failure, materialize, metadata
from tests.stack import RunningStack

TOPICS = [kafka_topics, topics_as_declared, transactions_allowed]
SCHEMAS = [registered_schemas, schemas_compatible]
TABLES = [clickhouse_tables, tables_as_declared, disk_has_room, parts_are_few]


@pytest.fixture
def platform(stack: RunningStack) -> Platform:
    return Platform.of(stack.own_settings(topics=False), stack.local)


def test_topics_are_created_once_and_then_found_as_declared(platform: Platform) -> None:
    first = materialize(platform, TOPICS)
    assert first.success
    made = metadata(first, "kafka_topics")
    assert made["created"] == len(made["topics"]) - 1, "the clock's topic is the stack's"
    row = next(row for row in made["topics"] if row["topic"] == platform.settings.trades_topic)
    assert (row["partitions"], row["retention"], row["cleanup"], row["state"]) == (1, "7 d", "delete", "created")
    second = materialize(platform, TOPICS)
    assert metadata(second, "kafka_topics")["created"] == 0
    assert check(second, "topics_as_declared").passed
    assert check(second, "transactions_allowed").passed


def test_a_topic_that_was_changed_by_hand_is_named_and_fails_its_check(platform: Platform) -> None:
    assert materialize(platform, TOPICS).success
    topic = platform.settings.bars_topic
    admin = AdminClient(client_config(platform.settings))
    entry = ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    found = check(materialize(platform, TOPICS), "topics_as_declared")
    assert not found.passed
    assert found.blocking
    assert found.description == f"topic {topic}: retention.ms is 3600000, declared {30 * 86_400_000}"


def test_a_transaction_timeout_that_the_broker_would_refuse_fails_its_check(stack: RunningStack) -> None:
    settings = stack.own_settings(topics=False, transaction_timeout_ms=900_001)
    found = check(materialize(Platform.of(settings, stack.local), TOPICS), "transactions_allowed")
    assert not found.passed
    assert "TA_TRANSACTION_TIMEOUT_MS is 900001, but the broker allows at most 900000" in (found.description or "")


def test_schemas_are_registered_once_and_a_compatible_change_is_a_new_version(
    platform: Platform, tmp_path: Path
) -> None:
    first = metadata(materialize(platform, SCHEMAS), "registered_schemas")
    assert {row["change"] for row in first["subjects"]} <= {"registered", "unchanged"}
    assert metadata(materialize(platform, SCHEMAS), "registered_schemas")["changed"] == 0
    additive = _with_field(platform, tmp_path, "TaBar1s", {"name": "note", "type": ["null", "string"], "default": None})
    evolved = materialize(additive, SCHEMAS)
    assert evolved.success
    rows = metadata(evolved, "registered_schemas")["subjects"]
    (row,) = [row for row in rows if row["change"] == "new version"]
    assert (row["subject"], row["version"]) == (f"{platform.settings.bars_topic}-value", 2)
    assert check(evolved, "schemas_compatible").passed
    back = materialize(platform, SCHEMAS)
    assert check(back, "schemas_compatible").passed, "each of the two reads what the other writes"
    assert metadata(back, "registered_schemas")["changed"] == 0
    changes = {row["subject"]: row["change"] for row in metadata(back, "registered_schemas")["subjects"]}
    assert changes[f"{platform.settings.bars_topic}-value"] == "unchanged, though version 2 is newer"


def test_an_incompatible_schema_fails_before_anything_is_registered_and_names_the_field(
    platform: Platform, tmp_path: Path
) -> None:
    assert materialize(platform, SCHEMAS).success
    before = _versions(platform)
    breaking = _with_field(platform, tmp_path, "TaBar1s", {"name": "note", "type": "string"})
    refused = materialize(breaking, SCHEMAS)
    assert not refused.success
    reason = failure(refused)
    assert f"{platform.settings.bars_topic}-value" in reason
    assert "note" in reason
    assert "nothing was registered" in reason
    assert _versions(platform) == before
    alone = check(materialize(breaking, [schemas_compatible]), "schemas_compatible")
    assert not alone.passed
    assert alone.blocking
    assert "note" in (alone.description or "")


def test_a_subject_whose_compatibility_was_loosened_fails_its_check_and_is_mended(platform: Platform) -> None:
    assert materialize(platform, SCHEMAS).success
    subject = f"{platform.settings.signals_topic}-value"
    with schema_registry.registry_client(platform.settings) as client:
        client.set_compatibility(subject, "NONE")
    found = check(materialize(platform, [schemas_compatible]), "schemas_compatible")
    assert not found.passed
    assert found.description == f"{subject}: its compatibility is NONE, declared BACKWARD"
    mended = materialize(platform, SCHEMAS)
    assert check(mended, "schemas_compatible").passed
    told = metadata(mended, "registered_schemas")
    assert told["changed"] == 1
    (row,) = [row for row in told["subjects"] if row["subject"] == subject]
    assert (row["change"], row["compatibility"]) == ("unchanged", "BACKWARD again, it was NONE")


def test_migrations_that_were_applied_are_not_applied_again_and_the_tables_are_as_declared(platform: Platform) -> None:
    result = materialize(platform, TABLES)
    assert result.success
    assert metadata(result, "clickhouse_tables")["applied"] == 0, "`ta up` has applied them"
    for name in ("tables_as_declared", "parts_are_few"):
        assert check(result, name).passed, check(result, name).description


def test_the_check_of_the_disk_knows_the_room_there_is(platform: Platform, stack: RunningStack) -> None:
    found = check(materialize(platform, TABLES), "disk_has_room")
    there = shutil.disk_usage(stack.local.dir)
    assert found.passed == (there.free >= max(LEAST_FREE_BYTES, LEAST_FREE_SHARE * there.total)), found.description
    disks = found.metadata["disks"]
    assert isinstance(disks, dg.TableMetadataValue)
    (row,) = [record.data for record in disks.records]
    assert row["total GiB"] == pytest.approx(there.total / GIB, rel=0.01)
    assert row["free GiB"] == pytest.approx(there.free / GIB, abs=1.0)


@pytest.fixture
def altered(platform: Platform) -> Iterator[None]:
    """A column of another type, one too many, another TTL, one view that shows less."""
    with closing(client_of(platform.settings)) as client:
        (view,) = client.query(
            "SELECT create_table_query FROM system.tables WHERE database = 'torghut' AND name = 'ta_signals_latest'"
        ).result_rows[0]
        for statement in (
            "ALTER TABLE torghut.ta_microbars ADD COLUMN IF NOT EXISTS extra String",
            "ALTER TABLE torghut.ta_microbars MODIFY COLUMN count UInt32",
            "ALTER TABLE torghut.ta_microbars MODIFY TTL toDateTime(event_ts) + INTERVAL 3 DAY",
            "DROP VIEW torghut.ta_signals_latest",
        ):
            client.command(statement)
        yield
        for statement in (
            "ALTER TABLE torghut.ta_microbars DROP COLUMN IF EXISTS extra",
            "ALTER TABLE torghut.ta_microbars MODIFY COLUMN count UInt64",
            "ALTER TABLE torghut.ta_microbars MODIFY TTL toDateTime(event_ts) + INTERVAL 30 DAY",
            view.replace("CREATE VIEW", "CREATE VIEW IF NOT EXISTS"),
        ):
            client.command(statement)


@pytest.mark.usefixtures("altered")
def test_a_table_that_was_changed_by_hand_fails_its_check_which_names_every_difference(platform: Platform) -> None:
    found = check(materialize(platform, [tables_as_declared]), "tables_as_declared")
    assert not found.passed
    assert found.blocking
    lines = (found.description or "").splitlines()
    assert "ta_microbars.extra is String, not declared" in lines
    assert "ta_microbars.count is UInt32, declared UInt64" in lines
    assert any(line.startswith("ta_microbars: TTL is ") and "toIntervalDay(3)" in line for line in lines)
    assert any(line.startswith("ta_signals_latest does not exist") for line in lines)
    with closing(client_of(platform.settings)) as client:
        left = client.query("SELECT name FROM system.databases WHERE name LIKE 'torghut_declared%'").result_rows
    assert not left


def test_what_cannot_be_reached_fails_with_the_address_and_what_to_do(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ta_pipeline.kafka_admin.TIMEOUT_SECONDS", 1.0)
    settings = stack.own_settings(topics=False, kafka_bootstrap="127.0.0.1:1", clickhouse_url="http://127.0.0.1:1")
    platform = Platform.of(settings, stack.local)
    assert "Kafka cannot be reached at 127.0.0.1:1 (TA_KAFKA_BOOTSTRAP" in failure(
        materialize(platform, [kafka_topics])
    )
    reason = failure(materialize(platform, [clickhouse_tables]))
    assert "ClickHouse at http://127.0.0.1:1 (TA_CLICKHOUSE_URL)" in reason
    assert settings.clickhouse_password.get_secret_value() not in reason


def _with_field(platform: Platform, folder: Path, name: str, field: dict[str, object]) -> Platform:
    """The deployment with schemas of its own, one of which has one more field."""
    shutil.copytree(schema_registry.DIRECTORY, folder / "avro")
    path = folder / "avro" / f"{name}.avsc"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["fields"].append(field)
    path.write_text(json.dumps(schema), encoding="utf-8")
    settings = load_settings(**{**platform.settings.model_dump(), "schema_dir": str(folder / "avro")})
    return Platform.of(settings, platform.local)


def _versions(platform: Platform) -> dict[str, int | None]:
    with schema_registry.registry_client(platform.settings) as client:
        subjects = [subject.name for subject in schema_registry.declared_subjects(platform.settings)]
        return {name: client.get_latest_version(name).version for name in subjects}
