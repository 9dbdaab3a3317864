"""Is the job there, stable, and what was declared?"""

from __future__ import annotations

import re

from ta_pipeline.job_options import table_job_name
from ta_pipeline.metrics.limits import (
    BACKPRESSURE_BAD,
    BACKPRESSURE_WARN,
    COMMITS_WITHIN_MS,
    RESTARTS,
    RESTARTS_WITHIN_MS,
)
from ta_pipeline.monitoring.flink_source import FlinkStatus, JobFigures, job_name
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.reach_verdicts import TABLE_PATH_OFF
from ta_pipeline.monitoring.snapshot import StatusSnapshot
from ta_pipeline.monitoring.store_sources import StoreStatus
from ta_pipeline.monitoring.verdicts import (
    AT_ONCE,
    LASTING,
    ONCE_MORE,
    Figure,
    State,
    Verdict,
    job_of,
    job_wanted,
    unreachable,
)
from ta_pipeline.revisions import Revision
from ta_pipeline.settings import differing

ROLLOUT_TICKS = 4
"""A rollout runs the new job before it is recorded, until it is verified."""
_TRANSACTION = re.compile(
    r"transaction|ProducerFenced|InvalidTxn|InvalidPid|InvalidProducerEpoch|UnknownProducerId|InitProducerId", re.I
)
_STARTING = {"INITIALIZING", "CREATED", "RECONCILING"}


def job_state(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The job runs when it should, and was stopped on purpose when it does not."""
    name, flink = "job_state", snapshot.flink
    if not isinstance(flink, FlinkStatus):
        return unreachable(name, flink)
    jobs = flink.named(job_name(snapshot.settings))
    running = [job for job in jobs if not job.is_ended]
    figures: dict[str, Figure] = {
        "state": jobs[0].state if jobs else "absent",
        "running": len(running),
        **_declared(snapshot),
    }
    if len(running) > 1:
        several = ", ".join(job.id for job in running)
        return Verdict(name, "bad", f"{len(running)} jobs of this name write the same topics: {several}", figures)
    if flink.job is not None:
        return _running(name, flink.job, snapshot, figures)
    if jobs and jobs[0].state == "FAILED":
        reason = flink.failed_by or "Flink names no exception"
        return Verdict(name, "bad", f"{jobs[0].name} ({jobs[0].id}) is FAILED: {reason}", figures, ticks=AT_ONCE)
    return _absent(name, snapshot, figures)


def _running(name: str, job: JobFigures, snapshot: StatusSnapshot, figures: dict[str, Figure]) -> Verdict:
    minutes = (snapshot.at_ms - job.start_ms) / 60_000
    text = f"{job.name} ({job.id}) is {job.state}, started {minutes:.0f} min ago"
    if job.state in _STARTING or (job.state == "RUNNING" and not job.tasks_running):
        return Verdict(name, "warn", f"{text}; its tasks are not all running yet", figures)
    if job.state != "RUNNING":
        reason = f": {job.failures[0].cause}" if job.failures else ""
        return Verdict(name, "bad", text + reason, figures)
    store = snapshot.store
    if isinstance(store, StoreStatus) and store.newest is not None and store.newest.outcome == "stopped":
        return Verdict(name, "warn", f"{text}, though revision {store.newest.number} says it was stopped", figures)
    return Verdict(name, "ok", text, figures)


def _absent(name: str, snapshot: StatusSnapshot, figures: dict[str, Figure]) -> Verdict:
    store = snapshot.store
    if not isinstance(store, StoreStatus):
        return Verdict(name, "unknown", "no job runs; whether one should is not known", figures, "s3_reachable")
    if store.current is not None:
        return Verdict(name, "bad", f"no job runs, but revision {store.current.number} should", figures)
    if store.newest is None:
        return Verdict(name, "asleep", "no job runs, and no rollout is recorded", figures)
    return Verdict(
        name, "ok", f"stopped on purpose: revision {store.newest.number}, savepoint {store.newest.savepoint}", figures
    )


def table_job_state(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The job that fills ClickHouse runs when the job does."""
    name, flink = "table_job_state", snapshot.flink
    if snapshot.clickhouse is None:
        return Verdict(name, "ok", TABLE_PATH_OFF)
    if not isinstance(flink, FlinkStatus):
        return unreachable(name, flink)
    if flink.table_unknown is not None:
        return Verdict(name, "unknown", flink.table_unknown, ticks=LASTING)
    if flink.table_job is not None:
        return _table_job(name, flink.table_job)
    ended = next(iter(flink.named(table_job_name(snapshot.settings))), None)
    figures: dict[str, Figure] = {"state": ended.state if ended else "absent"}
    if flink.job is None:
        main = job_of(snapshot, name)
        return main if isinstance(main, Verdict) else Verdict(name, "asleep", "the job does not run", figures)
    does = f"is {ended.state}" if ended else "does not run"
    return Verdict(name, "bad", f"{table_job_name(snapshot.settings)} {does}, but the job runs", figures)


def _table_job(name: str, job: JobFigures) -> Verdict:
    # A ClickHouse that is away explains nothing here: the job waits for it, RUNNING, behind its breaker.
    figures: dict[str, Figure] = {"state": job.state, "restarts": job.restarts}
    if job.state == "RUNNING" or job.state in _STARTING:
        return Verdict(name, "ok", f"{job.name} ({job.id}) is {job.state}", figures)
    reason = f": {job.failures[0].cause}" if job.failures else ""
    return Verdict(name, "bad", f"{job.name} ({job.id}) is {job.state}{reason}", figures, ticks=LASTING)


def restarts(snapshot: StatusSnapshot, history: History) -> Verdict:
    """The job does not restart again and again."""
    name = "restarts"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    since_ms = snapshot.at_ms - RESTARTS_WITHIN_MS
    # Flink remembers when the job failed, whoever was looking then; but not across a restart of its JobManager.
    number = max(
        history.increase("restarts", RESTARTS_WITHIN_MS, snapshot.at_ms),
        sum(failure.at_ms > since_ms for failure in job.failures),
    )
    newest = f"; the newest: {job.failures[0].cause}" if number and job.failures else ""
    text = f"{number} restarts in 10 min, {RESTARTS} are allowed ({job.restarts} since the job was submitted){newest}"
    state: State = "bad" if number > RESTARTS else "warn" if number else "ok"
    return Verdict(name, state, text, {"in_10_min": number, "in_all": job.restarts}, ticks=AT_ONCE)


def sink_transactions(snapshot: StatusSnapshot, history: History) -> Verdict:
    """No transaction of a sink failed: what it held would be lost, or come late."""
    name = "sink_transactions"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    failed = history.increase("failed_commits", COMMITS_WITHIN_MS, snapshot.at_ms)
    since_ms = snapshot.at_ms - COMMITS_WITHIN_MS
    broken = [one for one in job.failures if one.at_ms > since_ms and _TRANSACTION.search(one.cause)]
    figures = {"failed_commits_in_5_min": failed, "failures_in_5_min": len(broken)}
    text = f"{failed} failed commits and {len(broken)} failures of transactions in 5 min, none is allowed"
    if failed or broken:
        reason = f"; the newest: {broken[0].cause}" if broken else ""
        lost = "; what a failed commit held may be lost: `ta recover --gap` finds it and gives it out" if failed else ""
        return Verdict(name, "bad", text + reason + lost, figures, ticks=AT_ONCE)
    return Verdict(name, "ok", text, figures)


def backpressure(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """No task waits most of its time for the one behind it."""
    name = "backpressure"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    if job.backpressure is None:
        return Verdict(name, "unknown", "Flink does not tell how its tasks spend their time", ticks=LASTING)
    share, task = job.backpressure.share, job.backpressure.task
    state: State = "bad" if share > BACKPRESSURE_BAD else "warn" if share > BACKPRESSURE_WARN else "ok"
    text = f"the task that waits most, waits {share:.0%} of its time ({BACKPRESSURE_BAD:.0%} is allowed): {task}"
    return Verdict(name, state, text, {"share": round(share, 3), "task": task}, ticks=LASTING)


def settings_drift(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The running job has the settings that its revision declares."""
    name = "settings_drift"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    if job_wanted(snapshot) is None:
        return Verdict(name, "unknown", "what was declared is not known", caused_by="s3_reachable")
    revision = snapshot.store.current if isinstance(snapshot.store, StoreStatus) else None
    declared = dict(revision.settings) if revision else snapshot.settings.public()
    whose = f"revision {revision.number}" if revision else "this environment (no rollout is recorded)"
    found = drift(job, declared)
    figures: dict[str, Figure] = {"differences": len(found), "declared_by": whose}
    if not found:
        return Verdict(name, "ok", f"all {len(declared)} settings are those of {whose}", figures)
    ticks = ONCE_MORE if revision and revision.job_id == job.id else ROLLOUT_TICKS
    text = f"{len(found)} settings are not those of {whose}: " + "; ".join(found)
    return Verdict(name, "bad", text, figures, ticks=ticks)


def drift(job: JobFigures, declared: dict[str, str]) -> list[str]:
    """Each difference between a running job and what was declared, with both values; pure."""
    found = [
        f"{name} is {job.settings.get(name, '(unset)')!r}, declared {declared.get(name, '(unset)')!r}"
        for name in differing(job.settings, declared)
    ]
    # What Flink does, whatever the job says of itself.
    for name, actual in (
        ("TA_CHECKPOINT_INTERVAL_MS", job.checkpoint_interval_ms),
        ("TA_CHECKPOINT_TIMEOUT_MS", job.checkpoint_timeout_ms),
    ):
        said = job.settings.get(name)
        if said is not None and str(actual) != said:
            found.append(f"{name} in force is {actual}, though the job says {said}")
    return found


def _declared(snapshot: StatusSnapshot) -> dict[str, Figure]:
    store = snapshot.store
    newest: Revision | None = store.newest if isinstance(store, StoreStatus) else None
    return {"revision": newest.number if newest else None, "outcome": newest.outcome if newest else None}
