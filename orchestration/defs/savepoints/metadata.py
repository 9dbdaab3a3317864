"""Savepoints as tables in metadata."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

import dagster as dg

from orchestration.tables import table
from ta_pipeline.savepoints.retention import RetentionPlan
from ta_pipeline.savepoints.savepoint import Savepoint

_COLUMNS = ("taken at", "path", "bytes", "files", "revision", "kind", "verified at", "problem")


def when(moment: datetime | None) -> str | None:
    """A time as people read it, UTC; None stays None."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def catalog_table(savepoints: Iterable[Savepoint]) -> dg.TableMetadataValue:
    """One row for each savepoint, in the order given."""
    return table(_COLUMNS, [_row(one) for one in savepoints])


def plan_table(savepoints: Iterable[Savepoint], plan: RetentionPlan, deleted: Collection[str]) -> dg.TableMetadataValue:
    """The same, with what retention did to each and why."""
    rows = [(*_row(one), "deleted" if one.path in deleted else "kept", plan.why(one)) for one in savepoints]
    return table((*_COLUMNS, "retention", "kept because"), rows)


def _row(one: Savepoint) -> tuple[str | int | None, ...]:
    return (
        when(one.taken_at), one.path, one.bytes, one.files, one.revision, one.kind, when(one.verified_at), one.problem,
    )  # fmt: skip
