"""Taking a savepoint of the running job, and entering it in the catalog."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from ta_pipeline.errors import FlinkError, S3Error
from ta_pipeline.runtime import JobRuntime
from ta_pipeline.savepoints.catalog import Catalog, read_catalog, save_catalog
from ta_pipeline.savepoints.savepoint import Kind, Savepoint, list_savepoints
from ta_pipeline.savepoints.windows import reason_to_wait
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings


@dataclass(frozen=True)
class Taken:
    """A savepoint that was taken.

    Attributes:
        savepoint: as it lies in S3.
        catalog: with it.
        seconds: from the request until Flink called it complete.
        trouble: why the table in ClickHouse does not have it; None when it does.
    """

    savepoint: Savepoint
    catalog: Catalog
    seconds: float
    trouble: str | None


def take(settings: Settings, runtime: JobRuntime, kind: Kind, now: datetime) -> Taken:
    """Take a savepoint; the job runs on.

    Args:
        settings: where S3 and the table are.
        runtime: of the job.
        kind: what it is taken for.
        now: when the table says it was recorded.

    Raises:
        FlinkError: the job does not run, or the savepoint failed.
        S3Error: it cannot be found in S3.
    """
    job_id = require_running(settings, runtime)
    started = time.monotonic()
    path = runtime.savepoint()
    seconds = time.monotonic() - started
    catalog = read_catalog(settings)
    found = catalog.find(path)
    if found is None or not found.complete:
        raise S3Error(
            f"Flink reports the savepoint {path}, but there is none under TA_SAVEPOINT_DIR={settings.savepoint_dir} at "
            f"{settings.s3_endpoint}: do the job and the platform use the same store?"
        )
    savepoint = dataclasses.replace(found, kind=kind, job_id=job_id)
    catalog = catalog.replaced(savepoint)
    return Taken(savepoint, catalog, seconds, save_catalog(settings, catalog, now))


def require_running(settings: Settings, runtime: JobRuntime) -> str:
    """The id of the job that runs.

    Raises:
        FlinkError: none does; the message says what it does instead.
    """
    jobs = runtime.status()
    running = next((job for job in jobs if job.state == "RUNNING"), None)
    if running is not None:
        return running.job_id
    if jobs:
        reason = f": {jobs[0].exception}" if jobs[0].exception else ""
        raise FlinkError(f"no savepoint: {jobs[0].name} is {jobs[0].state}, not RUNNING{reason}")
    raise FlinkError(
        f"no savepoint: {settings.k8s_deployment} does not run at {settings.flink_rest_url}; `ta job run` starts it"
    )


def why_not_now(settings: Settings, now: datetime) -> str | None:
    """Why no scheduled savepoint is taken at `now`; None: one is due, and may be taken.

    Raises:
        S3Error: the savepoints cannot be listed.
    """
    newest = next((one for one in list_savepoints(settings) if one.complete), None)
    interval = timedelta(hours=settings.savepoint_interval_hours)
    return reason_to_wait(now, newest, interval, Sessions(settings.session))
