"""Verification: a savepoint is listed, its objects have content, and Flink's own code can read all that it names.

That it can also be restored is for the drill to show (`ta_pipeline.savepoints.drill`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime

from ta_pipeline.errors import S3Error, StackError, TaError
from ta_pipeline.s3 import StoredObject, list_objects, s3_client
from ta_pipeline.savepoints.savepoint import INCOMPLETE, METADATA, Savepoint, to_milliseconds
from ta_pipeline.settings import Settings

ReadState = Callable[[str], object]
"""Reads the savepoint at a path: a `TaError` when it is not whole or cannot be read."""


def verify(settings: Settings, savepoint: Savepoint, read_state: ReadState) -> list[str]:
    """What is wrong with a savepoint; empty: it is verified.

    Args:
        settings: where S3 is.
        savepoint: as it was listed.
        read_state: asked when nothing is wrong with the listing; it finds files that the metadata names and that are
            missing or short.

    Raises:
        S3Error: S3 cannot be reached or refuses, which says nothing about the savepoint.
        StackError: what reads the metadata could not be started, which neither does.
    """
    found = object_problems(list_objects(s3_client(settings), f"{savepoint.path}/"))
    if found:
        return found
    try:
        read_state(savepoint.path)
    except (S3Error, StackError):
        raise
    except TaError as error:
        return [str(error)]
    return []


def object_problems(objects: Sequence[StoredObject]) -> list[str]:
    """What can be told from the listing of a savepoint's folder; pure."""
    files = [stored for stored in objects if not stored.key.endswith("/")]
    if not files:
        return ["it is not in S3"]
    if not any(stored.key.endswith(f"/{METADATA}") for stored in files):
        return [INCOMPLETE]
    return [f"{stored.key.rpartition('/')[2]} is empty" for stored in files if stored.bytes == 0]


def judged(savepoint: Savepoint, problems: Sequence[str], now: datetime) -> Savepoint:
    """The savepoint with what a verification at `now` found.

    With a problem, `verified_at` stays: when it was last whole tells since when it has not been.
    """
    if problems:
        return dataclasses.replace(savepoint, problem="; ".join(problems))
    return dataclasses.replace(savepoint, verified_at=to_milliseconds(now), problem=None)
