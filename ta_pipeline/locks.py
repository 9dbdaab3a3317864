"""Works that only one may do at a time, and the locks for them: files on one machine, Leases between pods.

Implementations: here (`FileLocks`) and `ta_pipeline.kubernetes.leases` (`Leases`).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from ta_pipeline.errors import LockError


class Held(Protocol):
    """A lock that was taken."""

    def require(self) -> None:
        """Return when it is still ours: to be asked before something is written that nobody else may write meanwhile.

        Raises:
            LockError: it is not, or nobody knows.
        """
        ...


class Locks(Protocol):
    """The locks of one deployment, by name."""

    def alone(self, name: str, *, wait: bool) -> AbstractContextManager[Held]:
        """Nobody else is inside with this name meanwhile; whoever dies inside lets go.

        Args:
            name: of the lock, a word.
            wait: until whoever is inside has come out; else that somebody is, is an error.

        Raises:
            LockError: somebody is inside, and is not to be waited for.
            NoAnswerError: whether somebody is inside is not known.
        """
        ...


class FileLocks:
    """Locks between the processes of one machine: files that are locked, which the system lets go of with a process.

    Args:
        directory: where the files are; made when it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def alone(self, name: str, *, wait: bool) -> Iterator[Held]:
        """See `Locks`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise LockError(f"somebody else has the lock {self._directory / name}") from None
            yield _Ours()


class _Ours:
    """The system takes a lock from nobody."""

    def require(self) -> None:
        """It is."""
