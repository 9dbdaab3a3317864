"""Savepoints and retained checkpoints as they lie in S3, for when nobody else remembers them.

Flink writes `_metadata` last: a folder that has it is complete. A savepoint's folder is named
`savepoint-<first six digits of the job's id>-<random>`, a checkpoint's `<job id>/chk-<number>`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ta_pipeline.errors import StateError
from ta_pipeline.runtime import SavedPoint
from ta_pipeline.s3 import bucket_exists, list_objects, s3_client, split_uri
from ta_pipeline.settings import Settings

_METADATA = "/_metadata"
_JOB_DIGITS = 6


def newest_checkpoint(settings: Settings, job_id: str) -> SavedPoint | None:
    """The newest complete checkpoint of a job; None when none was retained.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    folder = f"{settings.checkpoint_dir.rstrip('/')}/{job_id}/"
    return max(_points(settings, folder, is_savepoint=False), key=lambda point: point.at_ms, default=None)


def newest_savepoint(settings: Settings, job_id: str) -> SavedPoint | None:
    """The newest complete savepoint of a job; None when there is none.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    prefix = f"{settings.savepoint_dir.rstrip('/')}/savepoint-{job_id[:_JOB_DIGITS]}-"
    return max(_points(settings, prefix, is_savepoint=True), key=lambda point: point.at_ms, default=None)


def written_at_ms(settings: Settings, path: str) -> int:
    """When a savepoint or checkpoint was complete, epoch milliseconds; S3 tells whole seconds.

    Raises:
        StateError: it is not there.
        S3Error: the store refused, or cannot be reached.
    """
    found = next(_points(settings, f"{path.rstrip('/')}/", is_savepoint=True), None)
    if found is None:
        raise StateError(f"{path} is not a complete savepoint or checkpoint")
    return found.at_ms


def every_state(settings: Settings) -> list[SavedPoint]:
    """Every complete savepoint and retained checkpoint of whatever job, the newest first; none without the bucket.

    Raises:
        S3Error: the store refused, or cannot be reached: then nobody knows.
    """
    found: list[SavedPoint] = []
    for directory, is_savepoint in ((settings.checkpoint_dir, False), (settings.savepoint_dir, True)):
        if bucket_exists(s3_client(settings), split_uri(directory)[0]):
            found += _points(settings, f"{directory.rstrip('/')}/", is_savepoint=is_savepoint)
    return sorted(found, key=lambda point: point.at_ms, reverse=True)


def _points(settings: Settings, prefix: str, *, is_savepoint: bool) -> Iterator[SavedPoint]:
    bucket, _ = split_uri(prefix)
    scheme = prefix.partition("://")[0]
    for item in list_objects(s3_client(settings), prefix):
        if item.key.endswith(_METADATA):
            path = f"{scheme}://{bucket}/{item.key.removesuffix(_METADATA)}"
            yield SavedPoint(path, int(item.modified.timestamp() * 1_000), is_savepoint)
