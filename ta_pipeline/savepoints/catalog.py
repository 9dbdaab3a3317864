"""The catalog: the savepoints in S3, joined with the table in ClickHouse and with the record of revisions.

S3 decides what there is; the others say who took it, for which revision, and whether it was verified. S3 that cannot
be read is an error; anything else that cannot be read is told in `Catalog.unknown`, so that nobody takes what is not
known for what is not there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ta_pipeline.errors import S3Error
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.savepoints.records import OFF, Records, read_records, write_records
from ta_pipeline.savepoints.savepoint import Savepoint, list_savepoints, same_path
from ta_pipeline.settings import Settings


@dataclass(frozen=True)
class Catalog:
    """What is known of the savepoints under `TA_SAVEPOINT_DIR`.

    Attributes:
        savepoints: the newest first; incomplete ones too.
        revisions: the oldest first.
        records: what the table had of them.
        unknown: what could not be read, and why: until it can be, nothing is deleted.
        notes: what is missing by choice.
    """

    savepoints: tuple[Savepoint, ...] = ()
    revisions: tuple[Revision, ...] = ()
    records: Records = field(default_factory=Records)
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def newest(self) -> Savepoint | None:
        """The newest complete one."""
        return next((one for one in self.savepoints if one.complete), None)

    @property
    def newest_verified(self) -> Savepoint | None:
        """The newest that was verified and has had no problem since."""
        return next((one for one in self.savepoints if one.usable and one.verified_at is not None), None)

    def find(self, path: str) -> Savepoint | None:
        """The savepoint at `path`; its folder's name is enough."""
        wanted = same_path(path)
        return next((one for one in self.savepoints if wanted in {same_path(one.path), one.name}), None)

    def replaced(self, changed: Savepoint) -> Catalog:
        """The same catalog with what is newly known of one savepoint."""
        known = tuple(changed if one.path == changed.path else one for one in self.savepoints)
        return dataclasses.replace(self, savepoints=known)


def read_catalog(settings: Settings) -> Catalog:
    """The catalog as it is now.

    Raises:
        S3Error: the savepoints cannot be listed.
    """
    found = list_savepoints(settings)
    records = read_records(settings)
    unknown = [records.trouble] if records.trouble else []
    revisions: list[Revision] = []
    try:
        revisions = RevisionStore(settings).all()
    except (S3Error, ValueError) as error:  # ValueError: a record that is not JSON
        unknown.append(f"the revisions could not be read: {error}")
    return Catalog(
        savepoints=tuple(joined(found, records, revisions)),
        revisions=tuple(revisions),
        records=records,
        unknown=tuple(unknown),
        notes=(OFF,) if records.off else (),
    )


def joined(found: Iterable[Savepoint], records: Records, revisions: Sequence[Revision]) -> list[Savepoint]:
    """The savepoints found in S3 with what the table and the revisions know of them; pure.

    What the table records of a path that is not in S3 does not count: it is gone.
    """
    by_path = {same_path(path): row for path, row in records.rows.items()}
    rollouts = {same_path(one.savepoint) for one in revisions if one.savepoint}
    result = []
    for savepoint in found:
        known = by_path.get(same_path(savepoint.path), savepoint)
        job_id = known.job_id or savepoint.job_id
        of_job = next((one for one in reversed(revisions) if job_id and one.job_id.startswith(job_id)), None)
        result.append(
            dataclasses.replace(
                savepoint,
                job_id=of_job.job_id if of_job else job_id,
                revision=of_job.number if of_job else known.revision,
                kind="rollout" if same_path(savepoint.path) in rollouts else known.kind,
                verified_at=known.verified_at,
                problem=savepoint.problem or known.problem,
            )
        )
    return result


def save_catalog(settings: Settings, catalog: Catalog, now: datetime) -> str | None:
    """Bring the table up to date with the catalog; returns why it could not be, None when it could.

    Savepoints that the table has and S3 no longer does are recorded as deleted at `now`. A table that could not be
    read is not written either: what it knows of a savepoint would be replaced by what S3 alone can tell.
    """
    if catalog.records.off or catalog.records.trouble:
        return catalog.records.trouble or OFF
    recorded = catalog.records.rows
    there = {one.path for one in catalog.savepoints}
    changed = [one for one in catalog.savepoints if recorded.get(one.path) != one]
    gone = [one for path, one in recorded.items() if path not in there]
    return write_records(settings, changed, now, deleted=gone)
