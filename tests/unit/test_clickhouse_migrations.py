from __future__ import annotations

from pathlib import Path

import pytest

from ta_pipeline.clickhouse import (
    DIRECTORY,
    Migration,
    MigrationPlan,
    apply_migrations,
    client_of,
    drop_database,
    plan,
    read_migrations,
)
from ta_pipeline.errors import ClickHouseError
from ta_pipeline.settings import load_settings

FIRST, SECOND = Migration(1, "first", "SELECT 1"), Migration(2, "second", "SELECT 2")


def written(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("SELECT 1")
    return folder


def test_the_migrations_of_the_repository_are_in_order_and_name_no_database_of_their_own() -> None:
    migrations = read_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert len(migrations) == len(list(DIRECTORY.iterdir()))
    for migration in migrations:
        for statement in migration.statements("some_replay", ""):
            assert "some_replay." in statement
            assert "torghut" not in statement
            assert "{" not in statement


def test_a_replay_has_the_tables_of_production_without_their_ttl() -> None:
    ttl = "TTL toDateTime(event_ts) + INTERVAL 30 DAY"
    for migration in read_migrations():
        production = migration.statements("torghut", ttl)
        replay = migration.statements("torghut_replay", "")
        assert [text.replace("torghut.", "torghut_replay.").replace(ttl, "").strip() for text in production] == replay
        # What has no event_ts is a record of ours, and stays.
        assert all((ttl in text) == ("ReplacingMergeTree" in text and "event_ts" in text) for text in production)


def test_comments_are_no_statements_and_a_trailing_semicolon_adds_none() -> None:
    text = "-- why; it is so\nCREATE TABLE {database}.a (n Int8)\n{ttl};\n\n-- and\nDROP TABLE {database}.b;\n"
    assert Migration(1, "x", text).statements("d", "TTL n") == ["CREATE TABLE d.a (n Int8)\nTTL n", "DROP TABLE d.b"]


@pytest.mark.parametrize("names", [("0001_a.sql", "0003_b.sql"), ("0002_a.sql",), ("0001_a.sql", "0001_b.sql")])
def test_numbers_with_a_gap_or_twice_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ClickHouseError, match=r"must be 1, 2, 3"):
        read_migrations(written(tmp_path, *names))


@pytest.mark.parametrize("name", ["1_a.sql", "0001-a.sql", "0001_A.sql", "a.sql"])
def test_a_file_that_is_named_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClickHouseError, match=r"the name is NNNN_name\.sql"):
        read_migrations(written(tmp_path, name))


def test_only_what_was_not_applied_is_pending() -> None:
    assert plan([FIRST, SECOND], {}) == MigrationPlan(pending=(FIRST, SECOND), applied=())
    assert plan([SECOND, FIRST], {1: FIRST.checksum}) == MigrationPlan(pending=(SECOND,), applied=(FIRST,))
    assert plan([FIRST], {1: FIRST.checksum}) == MigrationPlan(pending=(), applied=(FIRST,))


def test_any_change_of_a_file_changes_its_checksum() -> None:
    assert Migration(1, "first", "SELECT 1 ").checksum != FIRST.checksum
    assert Migration(1, "renamed", "SELECT 1").checksum == FIRST.checksum


def test_a_changed_file_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="migration 0001_first was changed after it was applied"):
        plan([FIRST, SECOND], {1: SECOND.checksum})


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(ClickHouseError, match="migration 0002 was applied, but its file is missing"):
        plan([FIRST], {1: FIRST.checksum, 2: SECOND.checksum})


@pytest.mark.parametrize("url", ["", "localhost:8123", "tcp://localhost:9000", "http://"])
def test_an_address_that_is_none_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(ClickHouseError, match=r"TA_CLICKHOUSE_URL=.* is not allowed"):
        client_of(load_settings(clickhouse_url=url))


@pytest.mark.parametrize("name", ["", "a-b", "a.b", "a;DROP DATABASE b", "1a"])
def test_a_database_name_that_is_none_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(ClickHouseError, match="is not a database name"):
        apply_migrations(load_settings(clickhouse_url="http://127.0.0.1:9"), name)


def test_the_database_of_production_is_never_dropped() -> None:
    with pytest.raises(ClickHouseError, match="never dropped"):
        drop_database(load_settings(clickhouse_url="http://127.0.0.1:9"), "torghut")
