"""Tables that are not as the migrations declare them, on the real engine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from clickhouse_connect.driver.client import Client

from ta_pipeline.clickhouse import apply_migrations, client_of, drop_database
from ta_pipeline.clickhouse_drift import TWIN_SECONDS, shapes, table_drift
from tests.stack import RunningStack


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    with closing(client_of(stack.settings)) as connected:
        yield connected


@pytest.fixture
def database(stack: RunningStack) -> Iterator[str]:
    """A database of the test's own, as declared."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    apply_migrations(stack.settings, name)
    yield name
    drop_database(stack.settings, name)


def test_a_column_with_another_codec_is_named_with_both(stack: RunningStack, client: Client, database: str) -> None:
    assert table_drift(stack.settings, database) == []
    client.command(f"ALTER TABLE {database}.ta_microbars MODIFY COLUMN c Float64 CODEC(Gorilla, LZ4)")
    (found,) = table_drift(stack.settings, database)
    assert found == "ta_microbars.c is Float64 CODEC(Gorilla(8), LZ4), declared Float64"


@pytest.mark.parametrize(
    ("engine", "shown"),
    [
        ("ReplacingMergeTree", "ReplacingMergeTree"),
        ("ReplacingMergeTree(row_version, is_deleted)", "ReplacingMergeTree(row_version, is_deleted)"),
        ("CollapsingMergeTree(sign)", "CollapsingMergeTree(sign)"),
    ],
)
def test_an_engine_with_other_arguments_is_named_with_both_in_full(
    stack: RunningStack, client: Client, database: str, engine: str, shown: str
) -> None:
    client.command(f"DROP TABLE {database}.ta_microbars")
    client.command(
        f"CREATE TABLE {database}.ta_microbars (symbol LowCardinality(String), event_ts DateTime64(3, 'UTC'), "
        "seq UInt64, row_version UInt64, is_deleted UInt8, sign Int8) "
        f"ENGINE = {engine} PARTITION BY toDate(event_ts) ORDER BY (symbol, event_ts, seq)"
    )
    found = [line for line in table_drift(stack.settings, database) if "engine" in line]
    assert found == [f"ta_microbars: engine is {shown}, declared ReplacingMergeTree(row_version)"]


def test_an_argument_may_hold_commas_parentheses_and_quotes(stack: RunningStack, client: Client, database: str) -> None:
    client.command(
        f"CREATE TABLE {database}.more (n UInt8, m UInt8) ENGINE = SummingMergeTree((n, m)) ORDER BY tuple()"
    )
    client.command(f"CREATE TABLE {database}.text (n String) ENGINE = Buffer('other', 'a)(''b', 1, 1, 2, 3, 4, 5, 6)")
    found = shapes(stack.settings, database)
    assert found["more"].engine == "SummingMergeTree((n, m))"
    assert found["text"].engine == r"Buffer('other', 'a)(\'b', 1, 1, 2, 3, 4, 5, 6)"


def test_what_killed_comparisons_left_is_swept_and_a_comparison_at_work_is_left_alone(
    stack: RunningStack, client: Client, database: str
) -> None:
    old, now = int(time.time()) - TWIN_SECONDS - 60, int(time.time())
    left = {f"torghut_declared_{old}_0123456789ab", "torghut_declared_0123456789ab"}
    others = {f"torghut_declared_{now}_0123456789ab", "torghut_declared_by_hand"}
    for name in left | others:
        client.command(f"CREATE DATABASE {name}")
    try:
        assert table_drift(stack.settings, database) == []
        there = {name for (name,) in client.query("SELECT name FROM system.databases").result_rows}
        assert others <= there
        assert not left & there
        assert {name for name in there if name.startswith("torghut_declared")} == others
    finally:
        for name in left | others:
            drop_database(stack.settings, name)
