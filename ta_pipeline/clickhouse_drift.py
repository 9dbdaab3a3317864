"""Tables as they are against tables as the migrations declare them.

What is declared is asked of ClickHouse itself: the applied migrations make their tables in a database of their own,
the catalog describes both, and the descriptions are compared. So types, codecs and expressions are compared in the
server's own spelling, and nothing here has to understand SQL.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from ta_pipeline.clickhouse import (
    DATABASE,
    JOURNAL_TABLE,
    TTL_DAYS,
    apply_migrations,
    client_of,
    drop_database,
    rows_of,
)
from ta_pipeline.settings import Settings

GIB = 2**30
TWIN_SECONDS = 3_600
"""A comparison takes seconds: what is left of one that began so long ago is nobody's."""
_COLUMNS = (
    "SELECT table, name, type, default_kind, default_expression, compression_codec FROM system.columns "
    "WHERE database = {database:String}"
)
_TABLES = (
    "SELECT name, engine, sorting_key, partition_key, engine_full, as_select FROM system.tables "
    "WHERE database = {database:String}"
)
_TTL = re.compile(r" TTL (.*?)(?= SETTINGS |$)")
_TWIN = re.compile(rf"{DATABASE}_declared_(?:(\d+)_)?[0-9a-f]{{12}}")
_QUOTED_OR_PARENTHESIS = re.compile(r"'(?:[^'\\]|\\.)*'|[()]")


@dataclass(frozen=True)
class TableShape:
    """What a table or view is, in the server's spelling."""

    engine: str
    """With its arguments."""
    order_key: str
    partition_key: str
    ttl: str
    """Empty: rows stay."""
    select: str
    """A view's query, without its database."""
    columns: Mapping[str, str]
    """Name to type, with the default or materialized expression and the codec behind it."""


@dataclass(frozen=True)
class Space:
    """Free and total bytes of one disk."""

    disk: str
    free: int
    total: int


@dataclass(frozen=True)
class Parts:
    """Active parts of a table's fullest partition, and of all."""

    table: str
    most_in_partition: int
    active: int
    rows: int
    bytes: int


def drift(declared: Mapping[str, TableShape], live: Mapping[str, TableShape]) -> list[str]:
    """Every difference, as text that names table, what differs, how it is and how it is declared; pure."""
    found: list[str] = []
    for name, want in sorted(declared.items()):
        have = live.get(name)
        if have is None:
            found.append(f"{name} does not exist; materialize clickhouse_tables")
            continue
        for label, wanted, had in (
            ("engine", want.engine, have.engine),
            ("order key", want.order_key, have.order_key),
            ("partition key", want.partition_key, have.partition_key),
            ("TTL", want.ttl, have.ttl),
            ("query", want.select, have.select),
        ):
            if wanted != had:
                found.append(f"{name}: {label} is {had or 'none'}, declared {wanted or 'none'}")
        found += _columns(name, want.columns, have.columns)
    return found


def table_drift(settings: Settings, database: str = DATABASE, *, ttl_days: int | None = TTL_DAYS) -> list[str]:
    """Compare `database` with what the migrations declare; changes nothing in it. Empty: as declared.

    What comparisons that were killed have left on the server is removed first.

    Args:
        settings: where ClickHouse is.
        database: what is compared.
        ttl_days: as it was given to `apply_migrations`.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer, or the files do not fit what was applied.
    """
    now = time.time()
    for left in left_over(_databases(settings), now):
        drop_database(settings, left)
    twin = f"{DATABASE}_declared_{int(now)}_{uuid.uuid4().hex[:12]}"
    try:
        apply_migrations(settings, twin, ttl_days=ttl_days)
        declared = shapes(settings, twin)
    finally:
        drop_database(settings, twin)
    return drift(declared, shapes(settings, database))


def left_over(databases: Iterable[str], now: float) -> list[str]:
    """Databases that a comparison made and did not drop; pure.

    Args:
        databases: names.
        now: epoch seconds; a name says when its comparison began, and one that does not is of older code.
    """
    found = ((name, _TWIN.fullmatch(name)) for name in databases)
    return [name for name, twin in found if twin and now - float(twin.group(1) or 0) > TWIN_SECONDS]


def shapes(settings: Settings, database: str) -> dict[str, TableShape]:
    """Every table and view of `database` but the migrations' own.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    where = {"database": database}
    with closing(client_of(settings)) as client:
        tables = rows_of(settings, client, _TABLES, where)
        columns = rows_of(settings, client, _COLUMNS, where)
    by_table: dict[str, dict[str, str]] = {}
    for table, name, *described in columns:
        by_table.setdefault(table, {})[name] = " ".join(part for part in described if part)
    return {
        name: TableShape(
            engine=_engine(engine, engine_full),
            order_key=order_key,
            partition_key=partition_key,
            ttl=_ttl(engine_full),
            select=select.replace(f"{database}.", ""),
            columns=by_table.get(name, {}),
        )
        for name, engine, order_key, partition_key, engine_full, select in tables
        if name != JOURNAL_TABLE
    }


def spaces(settings: Settings) -> list[Space]:
    """Free space of each disk ClickHouse writes to.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    query = "SELECT name, free_space, total_space FROM system.disks ORDER BY name"
    with closing(client_of(settings)) as client:
        return [Space(name, int(free), int(total)) for name, free, total in rows_of(settings, client, query, {})]


def space_problems(found: Iterable[Space], least_bytes: int, least_share: float) -> list[str]:
    """Disks with less free space than either bound asks for, as text; pure."""
    return [
        f"disk {space.disk}: {space.free / GIB:.1f} GiB free of {space.total / GIB:.1f} GiB; at least "
        f"{least_bytes / GIB:g} GiB and {least_share:.0%} have to be: inserts fail when it is full"
        for space in found
        if space.free < least_bytes or space.free < least_share * space.total
    ]


def parts(settings: Settings, database: str = DATABASE) -> list[Parts]:
    """Active parts of each table that has any.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    query = (
        "SELECT table, max(parts), sum(parts), sum(part_rows), sum(part_bytes) FROM ("
        "SELECT table, partition, count() AS parts, sum(rows) AS part_rows, sum(bytes_on_disk) AS part_bytes "
        "FROM system.parts WHERE active AND database = {database:String} GROUP BY table, partition"
        ") GROUP BY table ORDER BY table"
    )
    with closing(client_of(settings)) as client:
        found = rows_of(settings, client, query, {"database": database})
    return [
        Parts(str(table), int(most), int(active), int(rows), int(size)) for table, most, active, rows, size in found
    ]


def part_problems(found: Iterable[Parts], most: int) -> list[str]:
    """Tables with too many parts in one partition, as text; pure."""
    return [
        f"{part.table}: {part.most_in_partition} active parts in one partition, at most {most} are healthy: inserts "
        "come in batches that are too small (TA_CLICKHOUSE_BATCH_SIZE, TA_CLICKHOUSE_FLUSH_MS), or merges stand still"
        for part in found
        if part.most_in_partition > most
    ]


def _columns(table: str, declared: Mapping[str, str], live: Mapping[str, str]) -> list[str]:
    found = [f"{table}.{name} is missing, declared {kind}" for name, kind in declared.items() if name not in live]
    found += [f"{table}.{name} is {kind}, not declared" for name, kind in live.items() if name not in declared]
    found += [
        f"{table}.{name} is {live[name]}, declared {kind}"
        for name, kind in declared.items()
        if name in live and live[name] != kind
    ]
    return found


def _databases(settings: Settings) -> list[str]:
    with closing(client_of(settings)) as client:
        return [name for (name,) in rows_of(settings, client, "SELECT name FROM system.databases", {})]


def _engine(name: str, engine_full: str) -> str:
    """The engine with its arguments, without the clauses behind them."""
    depth = 0
    if not engine_full.startswith(f"{name}("):
        return name
    for found in _QUOTED_OR_PARENTHESIS.finditer(engine_full):
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
        if depth == 0 and found.group() == ")":
            return engine_full[: found.end()]
    return engine_full


def _ttl(engine_full: str) -> str:
    found = _TTL.search(engine_full)
    return found.group(1) if found else ""
