"""The job on the local cluster: submitted with Flink's own client, driven over its REST API.

`flink run -d` succeeding proves nothing: the job may restart for ever behind it. So a deployment is done when the job
is RUNNING with a completed checkpoint, and fails with the exception that Flink reports.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence

from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_answers import JobSummary
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.flink import flink_command, flink_environment
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings
from ta_pipeline.runtime import Deployment, JobStatus, Report
from ta_pipeline.settings import Settings

SUBMIT_TIMEOUT_SECONDS = 180
POLL_SECONDS = 0.5
LAUNCHES = 3
# PyFlink's gateway does not always come up on a busy machine; nothing was submitted then.
_LAUNCH_FAILED = ("Answer from Java side is empty", "Error while obtaining a new communication channel")
_JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")
_TAIL_LINES = 12


class LocalRuntime:
    """Deploys, watches and stops one job of `program` on the cluster of `local`.

    Args:
        settings: what the job runs with; `environment` must say the same.
        environment: the `TA_*` variables given to the job's client.
        program: the job's file in the repository.
        arguments: of the program.
        name: the job's name on the cluster; default: `TA_K8S_DEPLOYMENT`.
        timeout_seconds: from the submission to the first completed checkpoint.
        local: where the cluster's configuration lies.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        program: str = "flink/job.py",
        arguments: Sequence[str] = (),
        name: str = "",
        timeout_seconds: float = 120.0,
        local: LocalSettings | None = None,
    ) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._program = REPOSITORY / program
        self._arguments = tuple(arguments)
        self.name = name or settings.k8s_deployment
        self._timeout_seconds = timeout_seconds
        self._local = local or load_local_settings()
        self._rest = FlinkRest(settings.flink_rest_url)

    def deploy(self, *, restore_from: str | None = None, report: Report = lambda _text: None) -> Deployment:
        """Submit the job and return when it is RUNNING with a completed checkpoint.

        Raises:
            FlinkError: a job of this name runs already; the client failed; or the job did not get there in time: it
                is cancelled, and the message has the exception from Flink.
        """
        if running := self._running():
            raise FlinkError(
                f"{self.name} is {running[0].state} already (job {running[0].id}); "
                "`ta job stop` ends it with a savepoint"
            )
        started = time.monotonic()
        report("submitting")
        job_id = self.submit(restore_from)
        report(f"submitted as {job_id}")
        try:
            self._await_checkpoint(job_id, started, report)
        except (FlinkError, KeyboardInterrupt):
            with contextlib.suppress(FlinkError):
                self._rest.cancel(job_id)
            raise
        return Deployment(job_id, self.name, restore_from, time.monotonic() - started)

    def status(self) -> list[JobStatus]:
        """Every job of this name that has not ended."""
        return [self._status(job) for job in self._running()]

    def savepoint(self) -> str:
        """Take a savepoint; the job runs on."""
        return self._rest.savepoint(self._one().id, self._settings.savepoint_dir)

    def stop(self, *, drain: bool = False) -> str:
        """Stop with a savepoint; returns its path."""
        return self._rest.stop_with_savepoint(self._one().id, self._settings.savepoint_dir, drain=drain)

    def cancel(self) -> None:
        """End every job of this name where it stands; one that does not run is fine."""
        for job in self._running():
            self._rest.cancel(job.id)

    def rollback(self, savepoint: str, *, report: Report = lambda _text: None) -> Deployment:
        """Cancel whatever runs and restore the job from `savepoint`."""
        report(f"cancelling {self.name}")
        self.cancel()
        return self.deploy(restore_from=savepoint, report=report)

    def _running(self) -> list[JobSummary]:
        return [job for job in self._rest.jobs() if job.name == self.name and not job.is_ended]

    def _one(self) -> JobSummary:
        running = self._running()
        if not running:
            raise FlinkError(f"{self.name} does not run at {self._settings.flink_rest_url}; `ta job run` starts it")
        return running[0]

    def submit(self, restore_from: str | None = None) -> str:
        """Hand the job to the cluster and return its id; whether it runs is for `deploy` to find out."""
        command = ["/usr/bin/env", "bash", str(flink_command()), "run", "--detached"]
        if restore_from:
            command += ["--fromSavepoint", restore_from]
        command += ["--python", str(self._program), *self._arguments]
        environment = {**os.environ, **self._environment, **flink_environment(self._local, java_home())}
        for _ in range(LAUNCHES):
            try:
                result = subprocess.run(
                    command, capture_output=True, text=True, check=False, env=environment, cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL, timeout=SUBMIT_TIMEOUT_SECONDS,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise FlinkError(f"flink run did not return within {SUBMIT_TIMEOUT_SECONDS} s") from None
            printed = result.stdout + result.stderr
            if found := _JOB_ID.search(printed):
                return found.group(1)
            if not any(sign in printed for sign in _LAUNCH_FAILED):
                break
        reason = self._settings.without_secrets(submission_error(printed))
        raise FlinkError(f"the job was not submitted (exit status {result.returncode}):\n{reason}")

    def _await_checkpoint(self, job_id: str, started: float, report: Report) -> None:
        told, asked = "", False
        while True:
            state = self._rest.job(job_id).state
            if not asked and self._rest.is_running(job_id):
                # The first checkpoint is the proof that every sink works: no need to wait an interval for it.
                self._rest.trigger_checkpoint(job_id)
                asked = True
            done = self._rest.checkpoints(job_id).completed
            exception = self._rest.exception(job_id)
            if state == "RUNNING" and done > 0:
                return
            if state in {"FAILED", "CANCELED", "FINISHED"}:
                raise FlinkError(f"{self.name} is {state}: {exception or 'Flink names no exception'}")
            if time.monotonic() - started > self._timeout_seconds:
                raise FlinkError(
                    f"{self.name} is {state} with {done} checkpoints after {self._timeout_seconds:g} s, so it was "
                    f"cancelled: {exception or 'Flink reports no exception; is the cluster short of slots or memory?'}"
                )
            text = f"{state.lower()}, waiting for the first checkpoint" + (f"; {exception}" if exception else "")
            if text != told:
                report(text)
                told = text
            time.sleep(POLL_SECONDS)

    def _status(self, job: JobSummary) -> JobStatus:
        checkpoints = self._rest.checkpoints(job.id)
        now_ms = time.time() * 1_000
        return JobStatus(
            job_id=job.id,
            name=job.name,
            state=job.state,
            uptime_seconds=(now_ms - job.start_ms) / 1_000,
            restarts=self._rest.restarts(job.id),
            checkpoints_completed=checkpoints.completed,
            checkpoints_failed=checkpoints.failed,
            checkpoint_age_seconds=checkpoints.age_seconds(now_ms),
            checkpoint_path=checkpoints.latest_path,
            exception=self._rest.exception(job.id),
        )


def table_runtime(settings: Settings, environment: Mapping[str, str], local: LocalSettings) -> LocalRuntime:
    """The runtime of the table job (flink/table_job.py), which runs beside the job when ClickHouse is configured."""
    name = f"{settings.k8s_deployment}-table"
    return LocalRuntime(settings, environment, program="flink/table_job.py", name=name, local=local)


def submission_error(printed: str) -> str:
    """What matters of a failed client's output: our own error if there is one, the causes, else the last lines."""
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("ta_pipeline.errors.")]
    causes = [line for line in lines if line.startswith("Caused by:")]
    return "\n".join(own or causes[-2:] or lines[-_TAIL_LINES:])
