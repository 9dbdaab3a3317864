from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import requests
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as DriverError
from pydantic import SecretStr

from ta_pipeline import clickhouse
from ta_pipeline.clickhouse import Migration, apply_migrations, client_of, drop_database, plan_migrations
from ta_pipeline.clickhouse_ddl import is_repeatable
from ta_pipeline.errors import ClickHouseError, ClickHouseNoAnswerError
from ta_pipeline.local.clickhouse_codec import decode_blocks, encode_blocks
from ta_pipeline.settings import Settings
from tests.stack import CLICKHOUSE_PASSWORD, RunningStack

ROWS = 100_000
NOW = datetime.now(UTC).replace(microsecond=0)
NUMBERS = [migration.number for migration in clickhouse.read_migrations()]
REPEATABLE = [
    "CREATE TABLE IF NOT EXISTS more (n Int8) ENGINE = Memory",
    "CREATE TABLE IF NOT EXISTS more AS kept",
    "CREATE VIEW IF NOT EXISTS more AS SELECT 1",
    "CREATE OR REPLACE VIEW latest AS SELECT max(n) FROM kept",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS more TO others AS SELECT n FROM kept",
    "DROP VIEW IF EXISTS latest",
    "RENAME TABLE IF EXISTS others TO more",
    "alter table kept add column if not exists d Decimal(9, 2), comment column m 'first, ''last'' (name)'",
    "ALTER TABLE kept ADD COLUMN IF NOT EXISTS d Int8, MODIFY ORDER BY (n, d)",
    "ALTER TABLE kept ADD INDEX IF NOT EXISTS by_name m TYPE minmax /* small, cheap */ GRANULARITY 1",
    "ALTER TABLE kept DROP COLUMN IF EXISTS p, RENAME COLUMN IF EXISTS m TO `the, name`",
    "ALTER TABLE kept MODIFY COLUMN m LowCardinality(String)",
    "ALTER TABLE kept MODIFY TTL at + INTERVAL 60 DAY",
]
NOT_REPEATABLE = [
    "CREATE TABLE more (n Int8) ENGINE = Memory",
    "CREATE VIEW more AS SELECT 1",
    "INSERT INTO others SELECT n FROM kept",
    "DROP VIEW latest",
    "RENAME TABLE others TO more",
    "EXCHANGE TABLES kept AND others",
    "ALTER TABLE kept ADD COLUMN d Int8",
    "ALTER TABLE kept COMMENT COLUMN m 'name', ADD COLUMN d Int8",
    "ALTER TABLE kept DROP COLUMN p",
    "ALTER TABLE kept UPDATE p = p + 1 WHERE 1 SETTINGS mutations_sync = 2",
    "ALTER TABLE kept REMOVE TTL",
]


@pytest.fixture
def database(stack: RunningStack) -> Iterator[str]:
    """A database of the test's own; it does not exist yet."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    yield name
    drop_database(stack.settings, name)


@contextmanager
def connected(stack: RunningStack, database: str, compress: str | bool = True) -> Iterator[Client]:
    client = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=stack.local.clickhouse_port,
        username=stack.settings.clickhouse_username,
        password=CLICKHOUSE_PASSWORD,
        database=database,
        compress=compress,
    )
    with closing(client):
        yield client


def bar(close: float, *, revision: int = 0, at: datetime = NOW, ingest: datetime = NOW) -> dict[str, Any]:
    return {
        "symbol": "AAA", "event_ts": at, "seq": int(at.timestamp()), "revision": revision, "o": close, "h": close,
        "l": close, "c": close, "v": 100.0, "vwap": close, "count": 1, "feed": "sip", "source": "ta",
        "last_event_ts": at, "ingest_ts": ingest,
    }  # fmt: skip


def insert(client: Client, table: str, *rows: dict[str, Any]) -> None:
    client.insert(table, [list(row.values()) for row in rows], column_names=list(rows[0]))


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
def test_a_large_compressed_insert_keeps_every_row(stack: RunningStack, database: str, compression: str | bool) -> None:
    with closing(client_of(stack.settings)) as client:
        client.command(f"CREATE DATABASE {database}")
    rows = [[n, f"row {n}"] for n in range(ROWS)]
    with connected(stack, database, compression) as client:
        client.command("CREATE TABLE rows (n UInt64, text String) ENGINE = MergeTree ORDER BY n")
        client.insert("rows", rows, column_names=["n", "text"])
        found = client.query("SELECT count(), uniqExact(n), uniqExact(text), sum(n) FROM rows").result_rows
    assert found == [(ROWS, ROWS, ROWS, ROWS * (ROWS - 1) // 2)]


def test_blocks_that_the_engine_wrote_are_read_with_their_checksums(stack: RunningStack, database: str) -> None:
    with closing(client_of(stack.settings)) as client:
        client.command(f"CREATE DATABASE {database}")
    with connected(stack, database) as client:
        client.command(
            "CREATE TABLE rows (n UInt64, text String CODEC(ZSTD)) ENGINE = MergeTree ORDER BY n "
            "SETTINGS min_bytes_for_wide_part = 0"
        )
        client.insert("rows", [[n, f"row {n}"] for n in range(ROWS)], column_names=["n", "text"])
        (part,) = client.query(
            "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = 'rows' AND active"
        ).result_rows[0]
    numbers = decode_blocks(Path(part, "n.bin").read_bytes())
    assert numbers == b"".join(n.to_bytes(8, "little") for n in range(ROWS))
    assert b"row 99999" in decode_blocks(Path(part, "text.bin").read_bytes())


def test_statements_and_answers_in_clickhouses_own_blocks(stack: RunningStack) -> None:
    answer = requests.post(
        stack.settings.clickhouse_url,
        params={"compress": "1", "decompress": "1", "default_format": "TSV", "param_n": "3", "max_threads": "1"},
        data=encode_blocks(b"SELECT number, getSetting('max_threads') FROM numbers({n:UInt8})"),
        auth=(stack.settings.clickhouse_username, CLICKHOUSE_PASSWORD),
        timeout=10,
    )
    assert answer.ok, answer.text
    assert decode_blocks(answer.content) == b"0\t1\n1\t1\n2\t1\n"


def test_a_refused_statement_has_clickhouses_code_and_status(stack: RunningStack) -> None:
    answer = requests.post(
        stack.settings.clickhouse_url,
        data="SELECT * FROM no_such_table",
        headers={"X-ClickHouse-User": stack.settings.clickhouse_username, "X-ClickHouse-Key": CLICKHOUSE_PASSWORD},
        timeout=10,
    )
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (404, "60")
    assert "UNKNOWN_TABLE" in answer.text


@pytest.mark.parametrize(
    ("username", "password"), [("default", "wrong"), ("default", ""), ("nobody", CLICKHOUSE_PASSWORD)]
)
def test_wrong_credentials_are_refused_and_the_password_is_not_in_the_error(
    stack: RunningStack, username: str, password: str
) -> None:
    settings = stack.settings.model_copy(
        update={"clickhouse_username": username, "clickhouse_password": SecretStr(password)}
    )
    with pytest.raises(ClickHouseError, match="Authentication failed") as raised:
        client_of(settings)
    assert CLICKHOUSE_PASSWORD not in str(raised.value)
    assert "wrong" not in str(raised.value)


def test_the_highest_revision_of_a_bar_wins_whatever_the_order_of_the_inserts(
    stack: RunningStack, database: str
) -> None:
    apply_migrations(stack.settings, database)
    later = NOW + timedelta(seconds=5)
    with connected(stack, database) as client:
        insert(client, "ta_microbars", bar(2.0, revision=1))
        insert(client, "ta_microbars", bar(1.0, revision=0, ingest=later))
        insert(client, "ta_microbars", bar(3.0, revision=1, ingest=later))
        insert(client, "ta_microbars", bar(2.0, revision=1))
        assert client.query("SELECT count() FROM ta_microbars").result_rows == [(4,)]
        assert client.query("SELECT revision, c FROM ta_microbars_latest").result_rows == [(1, 3.0)]
        client.command("OPTIMIZE TABLE ta_microbars FINAL")
        assert client.query("SELECT revision, c FROM ta_microbars").result_rows == [(1, 3.0)]


def test_signals_of_a_second_and_of_a_minute_that_end_together_are_both_kept(
    stack: RunningStack, database: str
) -> None:
    apply_migrations(stack.settings, database)
    minute = NOW.replace(second=0)
    key = {"symbol": "AAA", "event_ts": minute, "revision": 0, "c": 1.0, "ingest_ts": NOW, "last_event_ts": minute}
    end = int(minute.timestamp())
    with connected(stack, database) as client:
        insert(client, "ta_signals", {**key, "seq": end, "window_size": "PT1S"})
        insert(client, "ta_signals", {**key, "seq": end // 60, "window_size": "PT1M"})
        query = "SELECT window_size, rsi14 FROM ta_signals_latest ORDER BY window_size"
        assert client.query(query).result_rows == [("PT1M", None), ("PT1S", None)]


def test_old_days_expire_in_production_and_stay_in_a_replay(stack: RunningStack, database: str) -> None:
    twin = f"{database}_replay"
    apply_migrations(stack.settings, database)
    apply_migrations(stack.settings, twin, ttl_days=None)
    old = NOW - timedelta(days=31)
    kept = {}
    try:
        for name in (database, twin):
            with connected(stack, name) as client:
                insert(client, "ta_microbars", bar(1.0, at=old), bar(2.0))
                client.command("OPTIMIZE TABLE ta_microbars FINAL")
                kept[name] = client.query("SELECT c FROM ta_microbars_latest ORDER BY event_ts").result_rows
    finally:
        drop_database(stack.settings, twin)
    assert kept == {database: [(2.0,)], twin: [(1.0,), (2.0,)]}


def test_migrations_are_applied_once(stack: RunningStack, database: str) -> None:
    first = apply_migrations(stack.settings, database)
    assert [migration.number for migration in first.pending] == NUMBERS
    with connected(stack, database) as client:
        insert(client, "ta_microbars", bar(1.0))
    second = apply_migrations(stack.settings, database)
    assert not second.pending
    assert second.applied == first.pending
    assert not plan_migrations(stack.settings, database).pending
    with connected(stack, database) as client:
        assert client.query("SELECT count() FROM ta_microbars").result_rows == [(1,)]


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(
    stack: RunningStack, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_migrations(stack.settings, database)
    changed = [
        Migration(m.number, m.name, m.text + ("\n-- changed\n" if m.number == 2 else ""))
        for m in clickhouse.read_migrations()
    ]
    monkeypatch.setattr(clickhouse, "read_migrations", lambda: tuple(changed))
    with pytest.raises(ClickHouseError, match=r"migration 0002_signals was changed after it was applied"):
        apply_migrations(stack.settings, database)


def test_a_failing_migration_is_named_and_those_before_it_stay(
    stack: RunningStack, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = clickhouse.read_migrations()
    bad = Migration(len(good) + 1, "broken", "CREATE TABLE IF NOT EXISTS {database}.broken (n NoSuchType)")
    monkeypatch.setattr(clickhouse, "read_migrations", lambda: (*good, bad))
    with pytest.raises(ClickHouseError, match=rf"migration {bad.number:04d}_broken failed at http://.*NoSuchType"):
        apply_migrations(stack.settings, database)
    plan = plan_migrations(stack.settings, database)
    assert [migration.number for migration in plan.applied] == NUMBERS
    assert plan.pending == (bad,)


WRITES = 11
"""Database, journal; table and record; table and record; two views and record; table and record."""


@pytest.mark.parametrize("done", range(1, WRITES + 2))
def test_an_interrupted_run_is_run_again_and_loses_nothing(
    stack: RunningStack, database: str, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) if done <= WRITES else nullcontext():
        patch.setattr(clickhouse, "client_of", lambda settings: interrupted_after(done, client_of(settings)))
        apply_migrations(stack.settings, database)
    with connected(stack, database) as client:
        has_table = client.query("EXISTS TABLE ta_microbars").result_rows == [(1,)]
        if has_table:
            insert(client, "ta_microbars", bar(1.0))
    assert has_table == (done >= 3)

    apply_migrations(stack.settings, database)
    assert not plan_migrations(stack.settings, database).pending
    with connected(stack, database) as client:
        assert client.query("SELECT number FROM schema_migrations ORDER BY number").result_rows == [
            (number,) for number in NUMBERS
        ]
        assert client.query("SELECT c FROM ta_microbars_latest").result_rows == [(1.0,)] * has_table
        assert client.query("SELECT count() FROM ta_signals_latest").result_rows == [(0,)]


def interrupted_after(writes: int, client: Client) -> Client:
    """The real client; Ctrl-C comes as soon as it has done so many writes."""
    left = writes

    def then_interrupted(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            answer = write(*arguments, **options)
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return answer

        return call

    client.command = then_interrupted(client.command)  # type: ignore[method-assign]
    client.insert = then_interrupted(client.insert)  # type: ignore[method-assign]
    return client


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {database}.ta_microbars_copy SELECT * FROM {database}.ta_microbars",
        "CREATE TABLE {database}.later (n Int8) ENGINE = Memory",
        "CREATE TABLE IF NOT EXISTS {database}.later ENGINE = Memory AS SELECT * FROM {database}.ta_microbars",
        "ALTER TABLE {database}.ta_microbars ADD COLUMN IF NOT EXISTS n Int8, DROP COLUMN o",
    ],
)
def test_a_migration_that_could_not_be_repeated_is_refused_before_anything_is_applied(
    stack: RunningStack, database: str, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    good = clickhouse.read_migrations()
    bad = Migration(len(good) + 1, "later", statement)
    monkeypatch.setattr(clickhouse, "read_migrations", lambda: (*good, bad))
    for attempt in (plan_migrations, apply_migrations):
        with pytest.raises(
            ClickHouseError, match=rf"{bad.number:04d}_later could not be run again .* IF NOT EXISTS"
        ) as raised:
            attempt(stack.settings, database)
        assert statement.partition("{")[0] in str(raised.value)
    with connected(stack, database) as client:
        assert client.query("SHOW TABLES").result_rows == [("schema_migrations",)]


@pytest.mark.parametrize("statement", REPEATABLE)
def test_the_engine_agrees_that_a_statement_may_be_repeated(stack: RunningStack, database: str, statement: str) -> None:
    assert is_repeatable(statement)
    with with_tables(stack, database) as client:
        client.command(statement)
        once = contents(client)
        client.command(statement)
        assert contents(client) == once


@pytest.mark.parametrize("statement", NOT_REPEATABLE)
def test_the_engine_agrees_that_a_statement_may_not_be_repeated(
    stack: RunningStack, database: str, statement: str
) -> None:
    assert not is_repeatable(statement)
    with with_tables(stack, database) as client:
        client.command(statement)
        once = contents(client)
        try:
            client.command(statement)
        except DriverError:
            return
        assert contents(client) != once


@contextmanager
def with_tables(stack: RunningStack, database: str) -> Iterator[Client]:
    """Two tables and a view to make changes to."""
    with closing(client_of(stack.settings)) as client:
        client.command(f"CREATE DATABASE {database}")
    with connected(stack, database) as client:
        columns = "n Int64, m String, p Float64, at DateTime"
        client.command(f"CREATE TABLE kept ({columns}) ENGINE = MergeTree ORDER BY n TTL at + INTERVAL 30 DAY")
        client.command("CREATE TABLE others (n Int64) ENGINE = MergeTree ORDER BY n")
        client.command("CREATE VIEW latest AS SELECT n FROM kept")
        client.insert("kept", [[1, "one", 1.5, NOW], [2, "two", 2.5, NOW]], column_names=["n", "m", "p", "at"])
        yield client


def contents(client: Client) -> dict[str, tuple[str, list[Any]]]:
    """How each table is made and what is in it."""
    found = {}
    for (name,) in client.query("SHOW TABLES").result_rows:
        made = client.query(f"SHOW CREATE TABLE {name}").result_rows[0][0]
        rows = client.query(f"SELECT * FROM {name} ORDER BY ALL").result_rows  # noqa: S608 - our own tables
        found[name] = (made, list(rows))
    return found


def test_nobody_there_is_an_error_that_names_the_address(stack: RunningStack) -> None:
    settings: Settings = stack.settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    with pytest.raises(ClickHouseNoAnswerError, match=r"http://127\.0\.0\.1:9"):
        client_of(settings)
