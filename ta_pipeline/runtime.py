"""Where the job runs: one interface, so that assets, sensors and the command line are the same everywhere.

Implementations: `ta_pipeline.local.runtime` (Flink's own client and REST API, on the local cluster). Kubernetes is to
come: a FlinkDeployment handed to the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Report = Callable[[str], None]
"""Told, in words for people, what is being done."""


@dataclass(frozen=True)
class Deployment:
    """A job that was brought to RUNNING with a completed checkpoint."""

    job_id: str
    name: str
    restored_from: str | None
    seconds: float
    """From the submission to the first completed checkpoint."""


@dataclass(frozen=True)
class JobStatus:
    """One running (or restarting) job."""

    job_id: str
    name: str
    state: str
    """Flink's: RUNNING, RESTARTING, FAILED, ..."""
    uptime_seconds: float
    restarts: int
    checkpoints_completed: int
    checkpoints_failed: int
    checkpoint_age_seconds: float | None
    """Since the newest completed checkpoint; None before the first."""
    checkpoint_path: str | None
    exception: str | None
    """The newest failure's innermost cause; None when there was none."""


class JobRuntime(Protocol):
    """Deploys the job, watches it, takes it down with its state. All calls block; each raises `FlinkError`."""

    def deploy(self, *, restore_from: str | None = None, report: Report = ...) -> Deployment:
        """Submit the job and return when it is RUNNING with a completed checkpoint.

        Args:
            restore_from: a savepoint or retained checkpoint; None starts without state.
            report: told of each step.
        """
        ...

    def status(self) -> list[JobStatus]:
        """Every job of this deployment that has not ended; empty when nothing runs."""
        ...

    def savepoint(self) -> str:
        """Take a savepoint of the running job; returns its path."""
        ...

    def stop(self, *, drain: bool = False) -> str:
        """Stop with a savepoint; returns its path.

        Args:
            drain: close every open window first: for retiring the job, never for an upgrade.
        """
        ...

    def cancel(self) -> None:
        """End the job where it stands, without a savepoint; one that does not run is fine."""
        ...

    def rollback(self, savepoint: str, *, report: Report = ...) -> Deployment:
        """Replace whatever runs by the job restored from `savepoint`."""
        ...
