"""Do checkpoints complete, in time, and are they there? These never sleep: state is at stake at any hour."""

from __future__ import annotations

from ta_pipeline.metrics.limits import CHECKPOINT_STARTING_MS, checkpoint_age_ms
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.verdicts import AT_ONCE, Verdict, job_of, unreachable

FAILED_WITHIN_MS = 300_000


def checkpoint_age(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The newest completed checkpoint is not older than twice the interval."""
    name = "checkpoint_age"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    if job.checkpoint_interval_ms is None:
        return Verdict(name, "bad", "the job takes no checkpoints: nothing final is committed", ticks=AT_ONCE)
    interval_ms = job.checkpoint_interval_ms
    latest_ms = job.checkpoints.latest_ms
    if latest_ms is None:
        age_ms, limit_ms = snapshot.at_ms - job.start_ms, 2 * interval_ms + CHECKPOINT_STARTING_MS
        what = "no checkpoint has completed since the job was submitted"
    else:
        age_ms, limit_ms = snapshot.at_ms - latest_ms, checkpoint_age_ms(interval_ms)
        what = "the newest completed checkpoint was triggered"
    text = f"{what} {age_ms / 1_000:.1f} s ago; {limit_ms / 1_000:g} s are allowed, at an interval of " + (
        f"{interval_ms / 1_000:g} s"
    )
    figures = {
        "age_s": round(age_ms / 1_000, 1),
        "limit_s": limit_ms / 1_000,
        "interval_s": interval_ms / 1_000,
        "completed": job.checkpoints.completed,
        "path": job.checkpoints.latest_path,
    }
    return Verdict(name, "bad" if age_ms > limit_ms else "ok", text, figures, ticks=AT_ONCE)


def checkpoint_duration(snapshot: StatusSnapshot, history: History) -> Verdict:
    """Checkpoints take less than their interval, and do not fail."""
    name = "checkpoint_duration"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    took_ms = job.checkpoints.latest_duration_ms
    if took_ms is None or job.checkpoint_interval_ms is None:
        return Verdict(name, "asleep", "no checkpoint has completed yet; checkpoint_age says whether that is a fault")
    timeout_ms = job.checkpoint_timeout_ms or snapshot.settings.checkpoint_timeout_ms
    failed = history.increase("failed_checkpoints", FAILED_WITHIN_MS, snapshot.at_ms)
    text = (
        f"the newest checkpoint took {took_ms / 1_000:.2f} s, at an interval of {job.checkpoint_interval_ms / 1_000:g} "
        f"s and a timeout of {timeout_ms / 1_000:g} s; {failed} failed in 5 min"
    )
    figures = {
        "took_ms": took_ms,
        "p99_ms": job.checkpoints.duration_p99_ms,
        "bytes": job.checkpoints.latest_bytes,
        "failed_in_5_min": failed,
    }
    if took_ms > timeout_ms / 2:
        return Verdict(name, "bad", text, figures)
    return Verdict(name, "warn" if took_ms > job.checkpoint_interval_ms or failed else "ok", text, figures)


def checkpoint_stored(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The newest completed checkpoint is in S3: without it, a restart begins from nothing."""
    name = "checkpoint_stored"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    if isinstance(snapshot.store, Unreachable):
        return unreachable(name, snapshot.store)
    path = job.checkpoints.latest_path
    match snapshot.checkpoint_stored:
        case None:
            return Verdict(name, "asleep", "there is none yet, or they follow each other too fast to look for one")
        case True:
            return Verdict(name, "ok", f"{path} is in S3", {"path": path})
        case _:
            return Verdict(name, "bad", f"{path} is complete for Flink, but not in S3", {"path": path})
