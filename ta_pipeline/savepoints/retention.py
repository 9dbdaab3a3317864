"""Retention: which savepoints may go. A plan that is pure, and a shell that carries it out, with or without a job.

Nothing is deleted while anything that could speak for a savepoint cannot be read: an error is not absence. Retained
checkpoints lie elsewhere (`TA_CHECKPOINT_DIR`) and are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.revisions import Revision, RevisionStore, needed_savepoints
from ta_pipeline.s3 import delete_object, list_objects, s3_client, split_uri
from ta_pipeline.savepoints.catalog import Catalog, read_catalog, save_catalog
from ta_pipeline.savepoints.savepoint import METADATA, Savepoint, is_savepoint_in, same_path
from ta_pipeline.settings import Settings

GRACE = timedelta(hours=1)
"""What is younger may still be being written, or be about to be recorded by a rollout."""
INCOMPLETE_FOR = timedelta(days=1)
"""A folder without metadata that nothing was written to for this long will never have any."""

NEEDED = "the running job or a rollback needs it"
RESTORED = "a running job was restored from it"
VERIFIED = "the newest that was verified"
YOUNG = f"younger than {GRACE // timedelta(hours=1)} h"


@dataclass(frozen=True)
class Kept:
    """A savepoint that stays, and every reason for it."""

    savepoint: Savepoint
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class RetentionPlan:
    """What `apply_retention` would do.

    Attributes:
        keep: the newest first.
        delete: the oldest first.
        unknown: what could not be read; then nothing is deleted.
    """

    keep: tuple[Kept, ...] = ()
    delete: tuple[Savepoint, ...] = ()
    unknown: tuple[str, ...] = ()

    def why(self, savepoint: Savepoint) -> str:
        """Why a savepoint is kept; empty: it is not."""
        return next(("; ".join(kept.reasons) for kept in self.keep if kept.savepoint.path == savepoint.path), "")


def plan_retention(
    savepoints: Iterable[Savepoint],
    revisions: Sequence[Revision],
    keep_newest: int,
    now: datetime,
    *,
    directory: str,
    restored: Collection[str] = (),
    unknown: Sequence[str] = (),
) -> RetentionPlan:
    """Decide; pure.

    Kept are: the newest `keep_newest` usable ones and whatever is no older than them; what the running job and the
    next rollbacks need; the newest verified one; what is younger than `GRACE`; incomplete ones younger than
    `INCOMPLETE_FOR`; and anything that is not a savepoint directly in `directory`.

    Args:
        savepoints: in any order.
        revisions: the oldest first.
        keep_newest: at least 1.
        now: the age of a savepoint is taken from it.
        directory: `TA_SAVEPOINT_DIR`.
        restored: paths that running jobs were restored from.
        unknown: what could not be read; with any of these, nothing is deleted.
    """
    newest_first = sorted(savepoints, key=lambda one: one.taken_at, reverse=True)
    usable = [one for one in newest_first if one.usable]
    # One that is damaged does not count as one of them: it would take the place of one that is not.
    oldest_counted = usable[keep_newest - 1].taken_at if len(usable) >= keep_newest else None
    verified = next((one.path for one in usable if one.verified_at is not None), None)
    needed = {same_path(path) for path in needed_savepoints(list(revisions))}
    in_use = {same_path(path) for path in restored}

    def reasons(one: Savepoint) -> list[str]:
        age = now - one.taken_at
        checked = (
            (same_path(one.path) in needed, NEEDED),
            (same_path(one.path) in in_use, RESTORED),
            (one.path == verified, VERIFIED),
            (one.complete and (oldest_counted is None or one.taken_at >= oldest_counted), _newest(keep_newest)),
            (age < GRACE, YOUNG),
            (not one.complete and GRACE <= age < INCOMPLETE_FOR, "incomplete, but may still be being written"),
            (not is_savepoint_in(one.path, directory), f"not a savepoint in {directory}"),
        )
        return [reason for holds, reason in checked if holds]

    kept, delete = [], []
    for one in newest_first:
        found = reasons(one)
        if not found and unknown:
            found = ["what could need it is not known"]
        if found:
            kept.append(Kept(one, tuple(found)))
        else:
            delete.append(one)
    return RetentionPlan(tuple(kept), tuple(reversed(delete)), tuple(unknown))


def retention_of(settings: Settings, catalog: Catalog, now: datetime) -> RetentionPlan:
    """The plan for a catalog; asks Flink what its jobs were restored from, and goes on without when there is no Flink.

    A cluster that is down runs no job: what its job needs when it comes back, the revisions say.
    """
    return plan_retention(
        catalog.savepoints, catalog.revisions, settings.savepoints_kept, now,
        directory=settings.savepoint_dir, restored=_restored(settings), unknown=catalog.unknown,
    )  # fmt: skip


def apply_retention(
    settings: Settings, plan: RetentionPlan, now: datetime, report: Callable[[str], None] = lambda _text: None
) -> list[str]:
    """Delete what the plan says; returns the paths that are gone.

    The metadata goes first. Interrupted after that, the rest is a folder without metadata: nobody can restore it, the
    catalog says that it is incomplete, and a later run deletes it. The other way round, an interruption would leave
    what looks like a savepoint until somebody needs it.

    The revisions are read again: what a rollout has recorded since the plan was made stays.

    Args:
        settings: where S3 is.
        plan: as it was made from a catalog.
        now: when the catalog's table says they were deleted.
        report: told of each savepoint.

    Raises:
        S3Error: S3 refused or cannot be reached; some may be deleted.
    """
    if plan.unknown or not plan.delete:
        return []
    needed = {same_path(path) for path in needed_savepoints(RevisionStore(settings).all())}
    deleted = []
    for savepoint in plan.delete:
        if same_path(savepoint.path) in needed:
            report(f"kept {savepoint.path}: {NEEDED} by now")
            continue
        delete_savepoint(settings, savepoint.path)
        report(f"deleted {savepoint.path}: {savepoint.bytes} bytes of {savepoint.taken_at:%Y-%m-%d %H:%M} UTC")
        deleted.append(savepoint.path)
    if trouble := save_catalog(settings, read_catalog(settings), now):
        report(trouble)
    return deleted


def delete_savepoint(settings: Settings, path: str) -> None:
    """Delete one savepoint, its metadata first.

    Raises:
        S3Error: S3 refused or cannot be reached.
        ValueError: `path` is not a savepoint in `TA_SAVEPOINT_DIR`.
    """
    if not is_savepoint_in(path, settings.savepoint_dir):
        raise ValueError(f"{path} is not a savepoint in TA_SAVEPOINT_DIR={settings.savepoint_dir}")
    client = s3_client(settings)
    bucket, prefix = split_uri(path)
    delete_object(client, f"s3a://{bucket}/{prefix}/{METADATA}")
    for stored in list_objects(client, f"{path}/"):
        delete_object(client, f"s3a://{bucket}/{stored.key}")


def _restored(settings: Settings) -> set[str]:
    rest = FlinkRest(settings.flink_rest_url)
    try:
        running = [job.id for job in rest.jobs() if not job.is_ended]
        return {path for job_id in running if (path := rest.restored_from(job_id)) is not None}
    except FlinkError:
        return set()


def _newest(count: int) -> str:
    return f"one of the newest {count}" if count > 1 else "the newest"
