"""What is said of a rollout, kept beside its journal: whoever follows it may be in another pod, or come later.

One object, `<TA_REVISION_DIR>/rollouts/<id>.log`, in UTF-8. It is a convenience: the journal is what counts, so a store
that does not answer keeps nobody from anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ta_pipeline.errors import S3Error
from ta_pipeline.s3 import list_objects, read_object, s3_client, write_object
from ta_pipeline.settings import Settings


def uri_of(settings: Settings, rollout_id: str) -> str:
    """Where the log of a rollout is."""
    return f"{settings.revision_dir.rstrip('/')}/rollouts/{rollout_id}.log"


class StoredLog:
    """Adds to the log of a rollout; what was said before is kept.

    Args:
        settings: where it is.
        rollout_id: of the rollout.
    """

    def __init__(self, settings: Settings, rollout_id: str) -> None:
        self._client, self._uri = s3_client(settings), uri_of(settings, rollout_id)
        self._before: bytes | None = None
        self._lines: list[bytes] = []

    def add(self, line: str) -> None:
        """Add a line; one that cannot be written now is written with the next."""
        self._lines.append(f"{line}\n".encode())
        with contextlib.suppress(S3Error):
            if self._before is None:
                self._before = _content(self._client, self._uri)
            write_object(self._client, self._uri, self._before + b"".join(self._lines))


class StoredTail:
    """The lines that are added to the log of a rollout from now on.

    Args:
        settings: where it is.
        rollout_id: of the rollout.
    """

    def __init__(self, settings: Settings, rollout_id: str) -> None:
        self._client, self._uri = s3_client(settings), uri_of(settings, rollout_id)
        self._place = 0
        with contextlib.suppress(S3Error):
            self._place = _size(self._client, self._uri)

    def __iter__(self) -> Iterator[str]:
        fresh = b""
        with contextlib.suppress(S3Error):
            if _size(self._client, self._uri) > self._place:
                fresh = _content(self._client, self._uri)[self._place :]
        self._place += len(fresh)
        yield from fresh.decode(errors="replace").splitlines()


def _size(client: Any, uri: str) -> int:
    return sum(one.bytes for one in list_objects(client, uri))


def _content(client: Any, uri: str) -> bytes:
    return read_object(client, uri) if list_objects(client, uri) else b""
