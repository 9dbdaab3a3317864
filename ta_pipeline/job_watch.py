"""One job as Flink's REST API tells it, wherever its cluster is: what a deployment waits for, and what it has saved."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from ta_pipeline.breakers import ask_breakers
from ta_pipeline.errors import FlinkError, FlinkNotFoundError
from ta_pipeline.flink_answers import ENDED, JobSummary
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_refusals import explained
from ta_pipeline.retained import newest_checkpoint
from ta_pipeline.runtime import JobStatus, SavedPoint
from ta_pipeline.settings import Settings

ANSWERS_AGE_SECONDS = 3.5
"""Flink keeps an answer about checkpoints for `web.refresh-interval`, 3 s, after the job has ended too."""
FRUITLESS_RESTARTS = 3
"""A job that fails so often without a checkpoint will not get there: waiting longer only keeps the stream down."""
# Before it runs: of a job in this state Flink tells nothing but the state.
_INITIALIZING = "INITIALIZING"


class JobWatch:
    """Asks about one job. Every method raises `FlinkError`.

    Args:
        settings: what the job runs with.
        rest: of its cluster.
        name: of the deployment.
        may_wait: the job has breakers, and one that waits behind them is deployed.
    """

    def __init__(self, settings: Settings, rest: FlinkRest, name: str, *, may_wait: bool = False) -> None:
        self._settings = settings
        self._rest = rest
        self._name = name
        self._may_wait = may_wait

    def until_checkpoint(self, job_id: str) -> Callable[[], str | None]:
        """What tells, each time it is called, what a job still waits for before its first checkpoint; None: nothing.

        It raises `FlinkError` when the job has failed, or will not get there.
        """
        is_asked = False

        def progress() -> str | None:
            nonlocal is_asked
            if not is_asked and self._rest.is_running(job_id):
                # The first checkpoint is the proof that every sink works: no need to wait an interval for it.
                self._rest.trigger_checkpoint(job_id)
                is_asked = True
            return self._progress(job_id)

        return progress

    def _progress(self, job_id: str) -> str | None:
        state = self._rest.job(job_id).state
        if state == _INITIALIZING:
            return "restoring the state"
        done = self._rest.checkpoints(job_id).completed
        if state == "RUNNING" and (done > 0 or self._waits(job_id)):
            return None
        exception = self.exception(job_id)
        if state in ENDED:
            raise FlinkError(f"{self._name} is {state}: {exception or 'Flink names no exception'}")
        if done == 0 and (failures := self._rest.restarts(job_id)) >= FRUITLESS_RESTARTS:
            raise FlinkError(f"{self._name} failed {failures} times before its first checkpoint: {exception}")
        said = exception or ("" if state == "RUNNING" else "is the cluster short of slots or memory?")
        return f"{state.lower()}, waiting for the first checkpoint" + (f"; {said}" if said else "")

    def status(self, job: JobSummary) -> JobStatus:
        """With its checkpoints and its newest failure."""
        now_ms = time.time() * 1_000
        young = JobStatus(job.id, job.name, job.state, (now_ms - job.start_ms) / 1_000, 0, 0, 0, None, None, None)
        if job.state == _INITIALIZING:
            return young
        try:
            checkpoints = self._rest.checkpoints(job.id)
            return dataclasses.replace(
                young,
                restarts=self._rest.restarts(job.id),
                checkpoints_completed=checkpoints.completed,
                checkpoints_failed=checkpoints.failed,
                checkpoint_age_seconds=checkpoints.age_seconds(now_ms),
                checkpoint_path=checkpoints.latest_path,
                exception=self.exception(job.id),
            )
        except FlinkNotFoundError:
            # Just submitted, it has nothing yet that could be asked for.
            return young

    def saved(self, job_id: str) -> list[SavedPoint]:
        """The newest checkpoint and savepoint of a job that Flink remembers, whether it runs or has ended."""
        self._await_fresh_answers(job_id)
        found = self._rest.checkpoints(job_id)
        points = [
            SavedPoint(path, at_ms, is_savepoint)
            for path, at_ms, is_savepoint in (
                (found.latest_path, found.latest_ms, False),
                (found.savepoint_path, found.savepoint_ms, True),
            )
            # A job goes on from checkpoints only. Its restart aborted the transactions of a savepoint before it.
            if path and at_ms is not None and not (is_savepoint and at_ms < (found.restored_ms or 0))
        ]
        if not points and (restored := newest_checkpoint(self._settings, job_id)) is not None:
            # A JobManager that took the job over knows of no checkpoint of before, but it restored one.
            points.append(restored)
        return points

    def exception(self, job_id: str) -> str | None:
        """The newest failure, and what to do about it where that is known."""
        exception = self._rest.exception(job_id)
        return None if exception is None else explained(self._settings, exception)

    def _waits(self, job_id: str) -> bool:
        """Behind a breaker, as it cannot insert what it reads."""
        return self._may_wait and any(one.failed_inserts for one in ask_breakers(self._rest, job_id))

    def _await_fresh_answers(self, job_id: str) -> None:
        """Return when Flink's answers about a job that has ended are younger than its end.

        An older one does not know the last checkpoint: what that committed would come again.
        """
        job = self._rest.find(job_id)
        if job is not None and job.end_ms is not None:
            time.sleep(max(0.0, job.end_ms / 1_000 + ANSWERS_AGE_SECONDS - time.time()))
