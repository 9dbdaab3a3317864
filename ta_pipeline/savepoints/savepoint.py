"""One savepoint, and what of it can be told from the objects in S3.

The truth is what lies under `TA_SAVEPOINT_DIR`: Flink writes each savepoint into a folder of its own,
`savepoint-<first 6 digits of the job's id>-<12 random digits>`, and its `_metadata` last. A folder without one is no
savepoint: it is still being written, was given up, or is half deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ta_pipeline.s3 import StoredObject, list_objects, s3_client, split_uri
from ta_pipeline.settings import Settings

METADATA = "_metadata"
INCOMPLETE = f"it has no {METADATA}: it is still being written, was given up, or is half deleted"
_FOLDER = re.compile(r"savepoint-([0-9a-f]{6})-[0-9a-f]{12}")

Kind = Literal["scheduled", "rollout", "manual"]


@dataclass(frozen=True)
class Savepoint:
    """A folder of one savepoint, and what is known of it.

    Attributes:
        path: what a job restores, `s3a://bucket/.../savepoint-...`.
        taken_at: when its metadata was written; of an incomplete one, when its newest object was. UTC.
        bytes: of all its objects.
        files: how many objects it has, its metadata included.
        complete: it has its metadata.
        job_id: Flink's id of the job that took it, or the first 6 digits of it.
        revision: the number of the revision that ran as this job; None when no revision is known to have.
        kind: `rollout`: a revision names it as taken at its stop; `manual`: any other that nobody announced.
        verified_at: when it was last found whole and readable, UTC; None: never.
        problem: what is wrong with it, as far as is known; None when nothing is.
    """

    path: str
    taken_at: datetime
    bytes: int
    files: int
    complete: bool = True
    job_id: str = ""
    revision: int | None = None
    kind: Kind = "manual"
    verified_at: datetime | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def usable(self) -> bool:
        """Complete, and nothing is known against it."""
        return self.complete and self.problem is None


def list_savepoints(settings: Settings) -> list[Savepoint]:
    """Every savepoint under `TA_SAVEPOINT_DIR`, the newest first; incomplete ones too.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    directory = settings.savepoint_dir.rstrip("/")
    return savepoints_of(list_objects(s3_client(settings), f"{directory}/"), directory)


def savepoints_of(objects: Iterable[StoredObject], directory: str) -> list[Savepoint]:
    """The savepoints these objects are, the newest first; pure.

    Only folders directly in `directory` that are named as Flink names them: whatever else lies there is not ours.
    """
    _, prefix = split_uri(directory)
    folders: dict[str, list[StoredObject]] = {}
    for stored in objects:
        folder, _, name = stored.key.removeprefix(f"{prefix.rstrip('/')}/").partition("/")
        # A key that ends with a slash stands for an empty folder, which some stores list.
        if name and not name.endswith("/") and _FOLDER.fullmatch(folder):
            folders.setdefault(folder, []).append(stored)
    found = [_savepoint(f"{directory.rstrip('/')}/{folder}", stored) for folder, stored in folders.items()]
    return sorted(found, key=lambda one: (one.taken_at, one.path), reverse=True)


def is_savepoint_in(path: str, directory: str) -> bool:
    """Whether `path` is a savepoint directly in `directory`: the only ones that are ever deleted."""
    parent, _, folder = path.rstrip("/").rpartition("/")
    return split_uri(parent or path) == split_uri(directory.rstrip("/")) and _FOLDER.fullmatch(folder) is not None


def same_path(path: str) -> str:
    """A savepoint's path without what does not matter: `s3://` or `s3a://`, a slash or `/_metadata` at its end."""
    scheme, separator, rest = path.partition("://")
    rest = rest if separator else scheme
    return rest.rstrip("/").removesuffix(f"/{METADATA}").rstrip("/")


def to_milliseconds(moment: datetime) -> datetime:
    """As the table keeps it."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _savepoint(path: str, objects: list[StoredObject]) -> Savepoint:
    metadata = next((stored for stored in objects if stored.key.endswith(f"/{METADATA}")), None)
    folder = _FOLDER.fullmatch(path.rsplit("/", 1)[-1])
    return Savepoint(
        path=path,
        taken_at=to_milliseconds(metadata.modified if metadata else max(stored.modified for stored in objects)),
        bytes=sum(stored.bytes for stored in objects),
        files=len(objects),
        complete=metadata is not None,
        job_id=folder.group(1) if folder else "",
        problem=None if metadata else INCOMPLETE,
    )
