from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
import requests
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from ta_pipeline import clickhouse
from ta_pipeline.clickhouse import Migration, apply_migrations, client_of, drop_database, plan_migrations
from ta_pipeline.errors import ClickHouseError
from ta_pipeline.local.clickhouse_codec import decode_blocks, encode_blocks
from ta_pipeline.settings import Settings
from tests.stack import CLICKHOUSE_PASSWORD, RunningStack

ROWS = 100_000
NOW = datetime.now(UTC).replace(microsecond=0)


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
    assert [migration.number for migration in first.pending] == [1, 2, 3]
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
    bad = Migration(len(good) + 1, "broken", "CREATE TABLE {database}.broken (n NoSuchType) ENGINE = Memory")
    monkeypatch.setattr(clickhouse, "read_migrations", lambda: (*good, bad))
    with pytest.raises(ClickHouseError, match=r"migration 0004_broken failed at http://.*NoSuchType"):
        apply_migrations(stack.settings, database)
    plan = plan_migrations(stack.settings, database)
    assert [migration.number for migration in plan.applied] == [1, 2, 3]
    assert plan.pending == (bad,)


def test_nobody_there_is_an_error_that_names_the_address(stack: RunningStack) -> None:
    settings: Settings = stack.settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    with pytest.raises(ClickHouseError, match=r"http://127\.0\.0\.1:9"):
        client_of(settings)
