"""The table `savepoints` in ClickHouse: who took a savepoint, and whether it was verified, which S3 cannot tell.

Savepoints have to go on while ClickHouse is down, so not having read the table is an answer here, not an exception:
`Records.trouble` says it. What is missing then is not known; it is not absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.clickhouse import DATABASE, client_of, insert_rows, rows_of
from ta_pipeline.errors import ClickHouseError
from ta_pipeline.savepoints.savepoint import Savepoint
from ta_pipeline.settings import Settings

TABLE = f"{DATABASE}.savepoints"
OFF = "TA_CLICKHOUSE_URL is empty: it is not kept who took a savepoint, and when it was verified"
_COLUMNS = (
    "path", "taken_at", "bytes", "files", "job_id", "revision", "kind", "verified_at", "problem", "deleted_at",
    "recorded_at",
)  # fmt: skip
_QUERY = (
    f"SELECT path, taken_at, bytes, files, job_id, revision, kind, verified_at, problem FROM {TABLE} FINAL "  # noqa: S608 - a constant
    "WHERE startsWith(path, {directory:String}) AND deleted_at IS NULL"
)


@dataclass(frozen=True)
class Records:
    """What the table says of the savepoints that were not seen to be gone.

    Attributes:
        rows: by path.
        off: there is no ClickHouse.
        trouble: why the table could not be read; None when it was, or when there is none.
    """

    rows: Mapping[str, Savepoint] = field(default_factory=dict)
    off: bool = False
    trouble: str | None = None


def read_records(settings: Settings) -> Records:
    """The records of the savepoints under `TA_SAVEPOINT_DIR`; never raises for ClickHouse."""
    if not settings.clickhouse_url:
        return Records(off=True)
    where = {"directory": f"{settings.savepoint_dir.rstrip('/')}/"}
    try:
        with closing(client_of(settings)) as client:
            rows = rows_of(settings, client, _QUERY, where)
    except ClickHouseError as error:
        return Records(trouble=f"the table {TABLE} could not be read: {error}")
    return Records({row[0]: _savepoint(row) for row in rows})


def write_records(
    settings: Settings, savepoints: Iterable[Savepoint], now: datetime, *, deleted: Iterable[Savepoint] = ()
) -> str | None:
    """Record savepoints as they are now, and those that are gone; returns why it could not be done, else None.

    Args:
        settings: where ClickHouse is.
        savepoints: those that are there.
        now: of two records of a savepoint, the later one counts.
        deleted: those that are gone.
    """
    rows = [_row(one, None, now) for one in savepoints if one.complete]
    rows += [_row(one, now, now) for one in deleted]
    if not rows:
        return None
    try:
        with closing(client_of(settings)) as client:
            insert_rows(settings, client, TABLE, _COLUMNS, rows)
    except ClickHouseError as error:
        return f"the table {TABLE} could not be written: {error}"
    return None


def _row(one: Savepoint, deleted_at: datetime | None, now: datetime) -> list[Any]:
    return [
        one.path, one.taken_at, one.bytes, one.files, one.job_id, one.revision, one.kind, one.verified_at, one.problem,
        deleted_at, now,
    ]  # fmt: skip


def _savepoint(row: Any) -> Savepoint:
    path, taken_at, size, files, job_id, revision, kind, verified_at, problem = row
    return Savepoint(
        path=path,
        taken_at=_utc(taken_at),
        bytes=int(size),
        files=int(files),
        job_id=job_id,
        revision=revision,
        kind=kind,
        verified_at=None if verified_at is None else _utc(verified_at),
        problem=problem,
    )


def _utc(moment: datetime) -> datetime:
    # The driver gives UTC columns without a zone.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
