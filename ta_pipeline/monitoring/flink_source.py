"""What Flink says about our two jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ta_pipeline.breakers import METRICS, Breaker, breakers_of, last_errors
from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_answers import Checkpoints, Failure, JobSummary, TaskMetric
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_options import table_job_name
from ta_pipeline.kubernetes.deployment import rest_url
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 1.0
_WATERMARK = "signals.currentInputWatermark"
_BACKPRESSURE = "backPressuredTimeMsPerSecond"
_FAILED_COMMITS = "failedCommittables"
_NEVER_MS = -(2**63)
"""Flink's watermark before the first one."""


@dataclass(frozen=True)
class Backpressured:
    """The task that waits most for those behind it, as a share of its time (0 to 1) of its busiest subtask."""

    task: str
    share: float


@dataclass(frozen=True)
class JobFigures:
    """One job that has not ended. Times are milliseconds; Flink's figures are up to a few seconds old."""

    id: str
    name: str
    state: str
    start_ms: int
    tasks_running: bool
    """A job is RUNNING while its tasks are still being deployed."""
    restarts: int
    failures: tuple[Failure, ...]
    checkpoints: Checkpoints
    checkpoint_interval_ms: int | None
    """In force, whoever set it; None: it takes no checkpoints. As is the timeout."""
    checkpoint_timeout_ms: int | None
    settings: Mapping[str, str]
    """`TA_*`, as it tells them."""
    watermark_ms: int | None
    """Of the signals' function, the slowest subtask; None before the first."""
    backpressure: Backpressured | None
    """None until Flink has measured it."""
    failed_commits: int
    """Transactions whose commit failed, since the job's last (re)start."""
    breakers: tuple[Breaker, ...] = ()
    """Of the table job: one for each table; empty until its tasks have told."""


@dataclass(frozen=True)
class FlinkStatus:
    """The two jobs of this deployment, and every job of their names that Flink remembers, the newest first."""

    jobs: tuple[JobSummary, ...]
    job: JobFigures | None
    table_job: JobFigures | None
    failed_by: str | None = None
    """What the newest job died of, when it is FAILED."""
    table_unknown: str | None = None
    """Why nothing is known of the table job, which on Kubernetes has a cluster of its own."""

    def named(self, name: str) -> list[JobSummary]:
        """The jobs of one name, the newest first."""
        return [job for job in self.jobs if job.name == name]


def job_name(settings: Settings) -> str:
    """The job's name on the cluster."""
    return settings.k8s_deployment


def ask_flink(settings: Settings) -> FlinkStatus:
    """Ask the REST API.

    Raises:
        FlinkError: it does not answer.
    """
    rest = FlinkRest(settings.flink_rest_url, TIMEOUT_SECONDS)
    names = (job_name(settings), table_job_name(settings))
    jobs = tuple(job for job in rest.jobs() if job.name in names)
    newest = next((job for job in jobs if job.name == names[0]), None)
    failed_by = rest.exception(newest.id) if newest and newest.state == "FAILED" else None
    found = FlinkStatus(jobs, _figures_of(rest, jobs, names[0]), _figures_of(rest, jobs, names[1]), failed_by)
    if settings.runtime == "kubernetes" and settings.clickhouse_url:
        return _with_table_cluster(found, settings, names[1])
    return found


def _with_table_cluster(found: FlinkStatus, settings: Settings, name: str) -> FlinkStatus:
    """The table job's cluster may be away, and the job's has nothing to do with it."""
    rest = FlinkRest(rest_url(settings, name), TIMEOUT_SECONDS)
    try:
        jobs = tuple(job for job in rest.jobs() if job.name == name)
        table_job = _figures_of(rest, jobs, name)
    except FlinkError as error:
        return replace(found, table_unknown=str(error))
    return replace(found, jobs=(*found.jobs, *jobs), table_job=table_job)


def _figures_of(rest: FlinkRest, jobs: Iterable[JobSummary], name: str) -> JobFigures | None:
    running = next((job for job in jobs if job.name == name and not job.is_ended), None)
    return _figures(rest, running) if running else None


def _figures(rest: FlinkRest, job: JobSummary) -> JobFigures:
    # A question about metrics first: Flink answers it with what it had, and fetches what the later ones get.
    restarts = rest.restarts(job.id)
    tasks = rest.vertices(job.id)
    checkpointing = rest.checkpoint_config(job.id)
    checkpoints, failures, settings = rest.checkpoints(job.id), rest.failures(job.id), rest.settings(job.id)
    metrics = rest.task_metrics(job.id, tasks, (_WATERMARK, _BACKPRESSURE, _FAILED_COMMITS, *METRICS))
    breakers = breakers_of(metrics)
    if not all(breaker.is_closed for breaker in breakers):
        breakers = breakers_of(metrics, last_errors(rest, job.id, tasks))
    watermark = min((m.least for m in metrics if m.name.endswith(_WATERMARK)), default=_NEVER_MS)
    waiting = [metric for metric in metrics if metric.name.endswith(_BACKPRESSURE)]
    return JobFigures(
        id=job.id,
        name=job.name,
        state=job.state,
        start_ms=job.start_ms,
        tasks_running=all(task.state in {"RUNNING", "FINISHED"} for task in tasks),
        restarts=restarts,
        failures=tuple(failures),
        checkpoints=checkpoints,
        checkpoint_interval_ms=_positive(checkpointing.get("interval")),
        checkpoint_timeout_ms=_positive(checkpointing.get("timeout")),
        settings=settings,
        watermark_ms=int(watermark) if watermark > _NEVER_MS else None,
        backpressure=_most(waiting),
        failed_commits=int(sum(metric.total for metric in metrics if metric.name.endswith(_FAILED_COMMITS))),
        breakers=breakers,
    )


def _most(waiting: list[TaskMetric]) -> Backpressured | None:
    worst = max(waiting, key=lambda metric: metric.most, default=None)
    return Backpressured(worst.task, worst.most / 1_000) if worst else None


def _positive(value: object) -> int | None:
    # Flink writes Long.MAX_VALUE for an interval that is switched off.
    return value if isinstance(value, int) and 0 < value < 2**63 - 1 else None
