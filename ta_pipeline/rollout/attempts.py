"""Jobs that were submitted: the rollout's own, which may have ended, and those that are none of its."""

from __future__ import annotations

import time

from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.runtime import JobRuntime, JobStatus


def left_by_an_attempt(runtime: JobRuntime, job_id: str) -> str | None:
    """Where to go on after a job that was submitted under this id and has ended; None when there was none.

    Empty when it ended before it had saved anything: then from where it started.
    """
    status = runtime.find(job_id)
    if status is not None and not status.is_ended:
        return None
    left = runtime.last_state(job_id)
    if left is not None:
        return left.path
    return None if status is None else ""


def stranger(runtime: JobRuntime, rollout: Rollout) -> JobStatus | None:
    """A job of this deployment's name that is none of the rollout's, and runs, or ran since it was planned."""
    ours = {rollout.old_job_id, *rollout.attempts, *rollout.back_attempts}
    running = next((one for one in runtime.status() if one.job_id not in ours), None)
    if running is not None:
        return running
    newest = runtime.newest_job_id()
    if newest is None or newest in ours:
        return None
    status = runtime.find(newest)
    is_younger = status is not None and time.time() - status.uptime_seconds > rollout.started_at
    return status if is_younger else None


def foreign(job: JobStatus) -> str:
    """What is said of a stranger."""
    return f"job {job.job_id} was started by somebody else meanwhile, and is left as it is: {job.state}"
