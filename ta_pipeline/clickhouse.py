"""ClickHouse: numbered migrations from `schema/clickhouse`, applied once each, never changed afterwards.

A migration is recorded after its last statement. One that was interrupted before that runs again from its first, so
every statement has to be repeatable: `ta_pipeline.clickhouse_ddl`.

`{database}` and `{ttl}` in a migration are filled in, so that the same files make production's tables and the tables
of a replay (its own database, no TTL: old days must not vanish).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as DriverError
from clickhouse_connect.driver.exceptions import OperationalError

from ta_pipeline.clickhouse_ddl import ALLOWED, is_repeatable
from ta_pipeline.errors import ClickHouseError, ClickHouseNoAnswerError
from ta_pipeline.settings import Settings

DIRECTORY = Path(__file__).resolve().parents[1] / "schema" / "clickhouse"
DATABASE = "torghut"
TTL_DAYS = 30
JOURNAL_TABLE = "schema_migrations"
_FILE = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
# The driver raises what it logs.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
_SHOWN = 100
_AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
_ANSWER_SECONDS = 300
_JOURNAL = """\
CREATE TABLE IF NOT EXISTS {database}.schema_migrations
(number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = MergeTree ORDER BY number"""


@dataclass(frozen=True)
class Migration:
    """One file: its number, name and text, placeholders still in it."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, comments included."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def __str__(self) -> str:
        return f"migration {self.number:04d}_{self.name}"

    def statements(self, database: str, ttl: str) -> list[str]:
        """The statements for one database."""
        code = "\n".join(line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        filled = code.replace("{database}", database).replace("{ttl}", ttl)
        return [statement.strip() for statement in filled.split(";") if statement.strip()]


@dataclass(frozen=True)
class MigrationPlan:
    """What `apply_migrations` would do."""

    pending: tuple[Migration, ...]
    applied: tuple[Migration, ...]


def client_of(settings: Settings, timeout_seconds: int | None = None) -> Client:
    """A connected client for `TA_CLICKHOUSE_*`, to be closed.

    Args:
        settings: where it is, and who asks.
        timeout_seconds: longest wait for a connection, and for an answer; default: the setting's, and 5 min.

    Raises:
        ClickHouseError: there is no URL, or ClickHouse refuses or does not answer; never with the password in it.
    """
    url = urlsplit(settings.clickhouse_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ClickHouseError(
            f"TA_CLICKHOUSE_URL={settings.clickhouse_url!r} is not allowed: it is http://host:port or https://host:port"
        )
    try:
        return clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port or (8443 if url.scheme == "https" else 8123),
            username=settings.clickhouse_username,
            password=settings.clickhouse_password.get_secret_value(),
            secure=url.scheme == "https",
            connect_timeout=timeout_seconds or settings.clickhouse_conn_timeout_seconds,
            send_receive_timeout=timeout_seconds or _ANSWER_SECONDS,
            # Each statement stands alone: a session would allow one at a time.
            autogenerate_session_id=False,
        )
    except DriverError as error:
        raise kind_of(error)(
            f"ClickHouse at {settings.clickhouse_url} (TA_CLICKHOUSE_URL), user {settings.clickhouse_username!r}: "
            f"{_first_line(settings, error)}{_advice(error)}"
        ) from None


def read_migrations(directory: Path = DIRECTORY) -> tuple[Migration, ...]:
    """The migrations, in order.

    Raises:
        ClickHouseError: a file is named otherwise than NNNN_name.sql, or the numbers are not 1, 2, 3, ...
    """
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise ClickHouseError(f"{path} is not a migration: the name is NNNN_name.sql")
        found.append(Migration(int(match.group(1)), match.group(2), path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ClickHouseError(f"migrations in {directory} are numbered {numbers}; they must be 1, 2, 3, ...")
    return tuple(found)


def plan(migrations: Iterable[Migration], applied: Mapping[int, str]) -> MigrationPlan:
    """Compare the files with what was applied (number to checksum); pure.

    Raises:
        ClickHouseError: a file was changed after it was applied, or an applied one is missing.
    """
    files = {migration.number: migration for migration in migrations}
    if missing := sorted(set(applied) - set(files)):
        raise ClickHouseError(f"migration {missing[0]:04d} was applied, but its file is missing; bring it back")
    for number, checksum in applied.items():
        if files[number].checksum != checksum:
            raise ClickHouseError(
                f"{files[number]} was changed after it was applied; restore it and write the change as a new one"
            )
    done = tuple(files[number] for number in sorted(applied))
    return MigrationPlan(tuple(m for number, m in sorted(files.items()) if number not in applied), done)


def require_repeatable(migrations: Iterable[Migration]) -> None:
    """Refuse what could not be run again after an interruption; pure.

    Raises:
        ClickHouseError: a statement is not repeatable; the message has it, and how to write it.
    """
    for migration in migrations:
        for statement in migration.statements(DATABASE, ""):
            if not is_repeatable(statement):
                raise ClickHouseError(
                    f"{migration} could not be run again after an interruption: it is not known that "
                    f"{_shortened(statement)!r} may be repeated. Write it as one of these: {ALLOWED}; copy rows "
                    "outside of migrations"
                )


def plan_migrations(
    settings: Settings, database: str = DATABASE, *, timeout_seconds: int | None = None
) -> MigrationPlan:
    """What `apply_migrations` would do to `database` now.

    Args:
        settings: where ClickHouse is.
        database: its database.
        timeout_seconds: as of `client_of`.

    Raises:
        ClickHouseNoAnswerError: ClickHouse does not answer.
        ClickHouseError: ClickHouse refuses; the files do not fit what was applied; or one that is
            pending has a statement that is not repeatable.
    """
    name = _checked(database)
    with closing(client_of(settings, timeout_seconds=timeout_seconds)) as client:
        return _found(settings, client, name)


def apply_migrations(settings: Settings, database: str = DATABASE, *, ttl_days: int | None = TTL_DAYS) -> MigrationPlan:
    """Apply what is pending; returns what was found (`pending` has been applied).

    Interrupted at any point, it may be called again.

    Args:
        settings: where ClickHouse is.
        database: made when missing.
        ttl_days: rows older than this are dropped by ClickHouse; None keeps them.

    Raises:
        ClickHouseError: a migration failed, the message names it; those before it are applied. Nothing is when a
            pending one has a statement that is not repeatable.
    """
    name = _checked(database)
    with closing(client_of(settings)) as client:
        with _asking(settings, f"creating database {name}"):
            client.command(f"CREATE DATABASE IF NOT EXISTS {name}")
            client.command(_JOURNAL.format(database=name))
        found = _found(settings, client, name)
        ttl = f"TTL toDateTime(event_ts) + INTERVAL {int(ttl_days)} DAY" if ttl_days is not None else ""
        for migration in found.pending:
            with _asking(settings, str(migration)):
                for statement in migration.statements(name, ttl):
                    client.command(statement)
                row = [migration.number, migration.name, migration.checksum]
                client.insert(f"{name}.schema_migrations", [row], column_names=["number", "name", "checksum"])
    return found


def drop_database(settings: Settings, database: str) -> None:
    """Drop a replay's database.

    Raises:
        ClickHouseError: it is production's, or ClickHouse refuses.
    """
    if database == DATABASE:
        raise ClickHouseError(f"{database} is production's database and is never dropped")
    name = _checked(database)
    with closing(client_of(settings)) as client, _asking(settings, f"dropping database {name}"):
        client.command(f"DROP DATABASE IF EXISTS {name}")


def _found(settings: Settings, client: Client, database: str) -> MigrationPlan:
    found = plan(read_migrations(), _applied(settings, client, database))
    require_repeatable(found.pending)
    return found


def _applied(settings: Settings, client: Client, database: str) -> dict[int, str]:
    where = {"database": database}
    present = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'"
    if not rows_of(settings, client, present, where):
        return {}
    rows = rows_of(settings, client, "SELECT number, checksum FROM {database:Identifier}.schema_migrations", where)
    return {int(number): str(checksum) for number, checksum in rows}


def rows_of(settings: Settings, client: Client, query: str, parameters: Mapping[str, str]) -> list[Any]:
    """The rows of one query.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    with _asking(settings, "a query"):
        return list(client.query(query, parameters=dict(parameters)).result_rows)


def insert_rows(
    settings: Settings, client: Client, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows into `table` (`database.name`).

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    with _asking(settings, f"an insert into {table}"):
        client.insert(table, rows, column_names=columns)


@contextmanager
def _asking(settings: Settings, what: str) -> Iterator[None]:
    """Turn what the driver raises into our error."""
    try:
        yield
    except DriverError as error:
        raise kind_of(error)(f"{what} failed at {settings.clickhouse_url}: {_first_line(settings, error)}") from None


def kind_of(error: DriverError) -> type[ClickHouseError]:
    """A refusal, or no answer: what the driver could not send, or did not hear in time."""
    return ClickHouseNoAnswerError if isinstance(error, OperationalError) else ClickHouseError


def _checked(database: str) -> str:
    if not _NAME.match(database):
        raise ClickHouseError(f"{database!r} is not a database name: letters, digits and _ only")
    return database


def _shortened(statement: str) -> str:
    line = " ".join(statement.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "..."


def _advice(error: Exception) -> str:
    is_refused = _AUTHENTICATION_FAILED in str(error)
    return "; look at TA_CLICKHOUSE_USERNAME and TA_CLICKHOUSE_PASSWORD" if is_refused else ""


def _first_line(settings: Settings, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return settings.without_secrets(lines[0] if lines else type(error).__name__)
