"""Where the job runs: one interface, so that assets, sensors and the command line are the same everywhere.

Implementations: `ta_pipeline.local.runtime` (Flink's own client and REST API, on the local cluster) and
`ta_pipeline.kubernetes.runtime` (a FlinkDeployment that the Flink Kubernetes Operator carries out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ta_pipeline.flink_answers import ENDED

Report = Callable[[str], None]
"""Told, in words for people, what is being done."""
_AROUND = "; around it, of the last hour: "


def with_circumstances(failure: str, seen: Iterable[str]) -> str:
    """The message of a failure, with what was seen around it, which may be of another cause; pure."""
    lines = "; ".join(seen)
    return f"{failure}{_AROUND}{lines}" if lines else failure


def without_circumstances(message: str) -> str:
    """The failure alone, of a message with what was seen around it; pure."""
    return message.partition(_AROUND)[0]


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
    """One job: it runs, restarts, or has ended."""

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

    @property
    def is_ended(self) -> bool:
        """It will not run again."""
        return self.state in ENDED


@dataclass(frozen=True)
class SavedPoint:
    """A savepoint or a retained checkpoint."""

    path: str
    at_ms: int
    """When it was triggered, epoch milliseconds."""
    is_savepoint: bool


class Prepared(Protocol):
    """A job that is planned and not started: `JobRuntime.prepare` gives it, `JobRuntime.deploy` uses it up."""

    def start(self, restore_from: str | None, job_id: str | None = None) -> str:
        """Start it, under `job_id` if one is given; returns the job's id."""
        ...

    def discard(self) -> None:
        """Give it up; fine to call again."""
        ...


class JobRuntime(Protocol):
    """Deploys the job, watches it, takes it down with its state. All calls block; each raises `FlinkError`.

    `NoAnswerError` says that nothing is known: what was asked for may have happened, or may yet. Ask again.
    """

    name: str
    """Of the job on its cluster."""

    def obstacles(self) -> list[str]:
        """What would keep the cluster from taking this version, as far as it tells; changes nothing."""
        ...

    def remarks(self) -> list[str]:
        """What somebody should know of the cluster before a rollout; changes nothing."""
        ...

    def prepare(self, *, report: Report = ...) -> Prepared:
        """Do what takes long ahead of `deploy`; whatever runs is left alone."""
        ...

    def deploy(
        self,
        *,
        restore_from: str | None = None,
        job_id: str | None = None,
        prepared: Prepared | None = None,
        interrupt_others: bool = False,
        timeout_seconds: float | None = None,
        report: Report = ...,
    ) -> Deployment:
        """Submit the job and return when it is RUNNING with a completed checkpoint.

        Args:
            restore_from: a savepoint or retained checkpoint; None starts without state.
            job_id: of the job, 32 hexadecimal digits: a cluster takes a job of an id once, so whoever does not know
                whether it was submitted may submit it again. None: the cluster chooses.
            prepared: of `prepare`; it is used up.
            interrupt_others: other jobs on the same cluster may be restarted for it.
            timeout_seconds: from the submission to the first completed checkpoint; None: the runtime's own.
            report: told of each step.
        """
        ...

    def await_checkpoint(self, job_id: str, report: Report = ..., timeout_seconds: float | None = None) -> None:
        """Return when a job that was submitted is RUNNING with a completed checkpoint."""
        ...

    def status(self) -> list[JobStatus]:
        """Every job of this deployment that has not ended; empty when nothing runs."""
        ...

    def find(self, job_id: str) -> JobStatus | None:
        """A job of any name, whether it runs or has ended; None when its cluster does not remember it."""
        ...

    def newest_job_id(self) -> str | None:
        """The newest job of this name, whether it runs or has ended; None when there is none."""
        ...

    def settings_of(self, job_id: str) -> dict[str, str]:
        """The `TA_*` settings a job was deployed with, as it tells them itself; no secrets."""
        ...

    def release_of(self, job_id: str) -> str:
        """The digest of the code a running job runs with; on Kubernetes its image."""
        ...

    def savepoint(self) -> str:
        """Take a savepoint of the running job; returns its path."""
        ...

    def stop(self, *, drain: bool = False, request_id: str | None = None, report: Report = ...) -> str:
        """Stop with a savepoint; returns its path.

        Args:
            drain: close every open window first: for retiring the job, never for an upgrade.
            request_id: 32 hexadecimal digits; asked again under the same ones, it is the same stop.
            report: told what is waited for.
        """
        ...

    def cancel(self) -> None:
        """End the job where it stands, without a savepoint; one that does not run is fine."""
        ...

    def last_state(self, job_id: str) -> SavedPoint | None:
        """The newest savepoint or retained checkpoint of a job, which may have ended; None when there is none."""
        ...

    def rollback(self, savepoint: str, *, report: Report = ...) -> Deployment:
        """Replace whatever runs by the job restored from `savepoint`."""
        ...
