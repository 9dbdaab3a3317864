"""The job on the local cluster: submitted with Flink's own client, driven over its REST API.

`flink run -d` succeeding proves nothing: the job may restart for ever behind it. So a deployment is done when the job
is RUNNING with a completed checkpoint, and fails with the exception that Flink reports.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ta_pipeline.errors import DeployError, FlinkError, FlinkNoAnswerError, FlinkNotFoundError, StackError
from ta_pipeline.flink_answers import JobSummary
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_options import table_job_name
from ta_pipeline.job_watch import JobWatch
from ta_pipeline.local.releases import Release, activate, active, loaded, make_release, mark_loaded
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings
from ta_pipeline.local.submission import Client
from ta_pipeline.local.supervisor import Supervisor
from ta_pipeline.retained import newest_checkpoint, newest_savepoint
from ta_pipeline.runtime import Deployment, JobStatus, Prepared, Report, SavedPoint
from ta_pipeline.settings import Settings

POLL_SECONDS = 0.25
UNKNOWN_SECONDS = 20.0
"""A job that was submitted is known to every part of the REST API by then."""
TASKMANAGER = "taskmanager"


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
        code: the folder with `flink/` and `ta_pipeline/` that runs; a release of it is made.
        may_wait: the job has breakers, and one that waits behind them is deployed: its first checkpoint is when what it
            waits for is back.
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
        code: Path = REPOSITORY,
        may_wait: bool = False,
    ) -> None:
        self._settings = settings
        self._environment = dict(environment)
        self._program = program
        self._arguments = tuple(arguments)
        self._code = code
        self.name = name or settings.k8s_deployment
        self._timeout_seconds = timeout_seconds
        self._local = local or load_local_settings()
        self._rest = FlinkRest(settings.flink_rest_url)
        self._watch = JobWatch(settings, self._rest, self.name, may_wait=may_wait)

    @cached_property
    def release(self) -> Release:
        """The code this runtime deploys, as a release."""
        return make_release(self._local, self._code)

    def obstacles(self) -> list[str]:
        """None that could be told without planning the job."""
        return []

    def remarks(self) -> list[str]:
        """None: nobody else keeps it."""
        return []

    def prepare(self, *, report: Report = lambda _text: None) -> Prepared:
        """Plan the job ahead of `deploy`; whatever runs is left alone.

        Raises:
            FlinkError: it could not be planned.
        """
        report("planning")
        return self._client().prepare()

    def deploy(
        self,
        *,
        restore_from: str | None = None,
        job_id: str | None = None,
        prepared: Prepared | None = None,
        interrupt_others: bool = False,
        timeout_seconds: float | None = None,
        allow_non_restored: bool = False,
        report: Report = lambda _text: None,
    ) -> Deployment:
        """Submit the job and return when it is RUNNING with a completed checkpoint, or waits behind a breaker.

        Args:
            restore_from: a savepoint or retained checkpoint.
            job_id: of the job; None: Flink chooses.
            prepared: of `prepare`; it is used up.
            interrupt_others: a new release restarts the TaskManager, and with it whatever else runs there.
            timeout_seconds: instead of this runtime's.
            allow_non_restored: leave state behind that the job has no operator for; not for one that is `prepared`.
            report: told of each step.

        Raises:
            FlinkError: a job of this name runs already, or the client failed.
            DeployError: the job did not get there in time: it is cancelled, and the message has the exception from
                Flink.
            StackError: the TaskManager could not be restarted for a new release.
        """
        started = time.monotonic()
        try:
            self._require_alone()
            if job_id and not prepared:
                # Planned apart from its start: a client whose owner dies while it plans ends, and submits nothing.
                prepared = self.prepare(report=report)
            self.use_release(report, interrupt_others=interrupt_others)
            report("submitting")
            if prepared:
                job_id = prepared.start(restore_from, job_id)
            else:
                job_id = self._client().submit(restore_from, allow_non_restored=allow_non_restored)
        except FlinkError:
            # A client may end badly after it has submitted the job, or after another one has.
            if job_id is None or (found := self._rest.find(job_id)) is None or found.is_ended:
                raise
        finally:
            if prepared:
                prepared.discard()
        report(f"submitted as {job_id}")
        try:
            self.await_checkpoint(job_id, report, timeout_seconds)
        except BaseException as error:
            with contextlib.suppress(FlinkError):
                self._rest.cancel(job_id)
            if isinstance(error, FlinkError):
                raise DeployError(str(error), job_id) from None
            raise
        return Deployment(job_id, self.name, restore_from, time.monotonic() - started)

    def status(self) -> list[JobStatus]:
        """Every job of this name that has not ended."""
        return [self._watch.status(job) for job in self._running()]

    def find(self, job_id: str) -> JobStatus | None:
        """As Flink remembers it."""
        found = self._rest.find(job_id)
        return None if found is None else self._watch.status(found)

    def newest_job_id(self) -> str | None:
        """As Flink remembers them."""
        return next((job.id for job in self._rest.jobs() if job.name == self.name), None)

    def settings_of(self, job_id: str) -> dict[str, str]:
        """As the job tells them over REST."""
        return self._rest.settings(job_id)

    def release_of(self, job_id: str) -> str:
        """Every job of the TaskManager runs with the release it was started for."""
        digest = loaded(self._local)
        if digest is None:
            raise FlinkError(f"job {job_id} runs, and {self._local.dir} does not say with which code")
        return digest

    def savepoint(self) -> str:
        """Take a savepoint; the job runs on."""
        return self._rest.savepoint(self._one().id, self._settings.savepoint_dir)

    def stop(self, *, drain: bool = False, request_id: str | None = None, report: Report = lambda _text: None) -> str:
        """Stop with a savepoint; returns its path. Flink itself is asked: there is nothing to tell meanwhile."""
        del report
        directory = self._settings.savepoint_dir
        return self._rest.stop_with_savepoint(self._one().id, directory, drain=drain, request_id=request_id)

    def last_state(self, job_id: str) -> SavedPoint | None:
        """As Flink remembers it; when the JobManager has forgotten the job, as it lies in S3."""
        try:
            points: list[SavedPoint | None] = [*self._watch.saved(job_id)]
        except FlinkError:
            self._rest.overview()  # Flink answers: it has forgotten the job, and that is not the same as being away
            points = [newest_checkpoint(self._settings, job_id), newest_savepoint(self._settings, job_id)]
        return max((point for point in points if point), key=lambda point: point.at_ms, default=None)

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

    def _require_alone(self) -> None:
        if running := self._running():
            raise FlinkError(
                f"{self.name} is {running[0].state} already (job {running[0].id}); "
                "`ta job stop` ends it with a savepoint"
            )

    def _one(self) -> JobSummary:
        running = self._running()
        if not running:
            raise FlinkError(f"{self.name} does not run at {self._settings.flink_rest_url}; `ta job run` starts it")
        return running[0]

    def submit(self, restore_from: str | None = None, *, allow_non_restored: bool = False) -> str:
        """Hand the job to the cluster and return its id; whether it runs is for `deploy` to find out."""
        self.use_release()
        return self._client().submit(restore_from, allow_non_restored=allow_non_restored)

    def _client(self) -> Client:
        return Client(
            self._settings, self._environment, self._local,
            program=self._program, arguments=self._arguments, code=self.release.path,
        )  # fmt: skip

    def use_release(self, report: Report = lambda _text: None, *, interrupt_others: bool = False) -> None:
        """Make tasks import this release from now on."""
        release, linked = self.release, active(self._local)
        before = loaded(self._local) or linked
        if before == release.digest == linked:
            return
        if before is not None:
            others = [job.name for job in self._rest.jobs() if not job.is_ended]
            if others and not interrupt_others:
                raise FlinkError(
                    f"{', '.join(sorted(set(others)))} runs release {before} of the code, and the code is "
                    f"{release.digest} now: deploying it would restart the TaskManager under it; stop it first, or "
                    "roll the new code out"
                )
        activate(self._local, release)
        if before is not None:
            report(f"restarting the TaskManager with release {release.digest}")
            self._restart_taskmanager()
        mark_loaded(self._local, release)

    def _restart_taskmanager(self) -> None:
        Supervisor(self._local.dir).restart_process(TASKMANAGER)
        await_taskmanager(self._rest, self._local.ready_timeout_seconds)

    def await_checkpoint(
        self, job_id: str, report: Report = lambda _text: None, timeout_seconds: float | None = None
    ) -> None:
        """Return when the job is RUNNING with a completed checkpoint, or waits behind a breaker.

        Args:
            job_id: the job.
            report: told what it waits for.
            timeout_seconds: instead of this runtime's.

        Raises:
            FlinkError: it is not within the time this runtime allows; the message has the exception from Flink.
        """
        started, told, known = time.monotonic(), "", time.monotonic()
        patience, progress = timeout_seconds or self._timeout_seconds, self._watch.until_checkpoint(job_id)
        while True:
            is_late = time.monotonic() - started > patience
            try:
                text = progress()
                known = time.monotonic()
            except FlinkNoAnswerError as error:
                # The job does its work without anybody watching.
                text = str(error)
            except FlinkNotFoundError as error:
                # Just submitted, it has no graph yet, and then no checkpoints that could be asked for.
                if time.monotonic() - known > UNKNOWN_SECONDS:
                    raise
                text = str(error)
            if text is None:
                return
            if is_late:
                raise FlinkError(f"{self.name}, after {patience:g} s: {text}")
            if text != told:
                report(text)
                told = text
            time.sleep(POLL_SECONDS)


def await_taskmanager(rest: FlinkRest, timeout_seconds: float) -> None:
    """Return when a TaskManager has registered, with a JobManager that may be starting itself.

    Raises:
        StackError: none has in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        with contextlib.suppress(FlinkNoAnswerError):
            if rest.overview()["taskmanagers"]:
                return
        if time.monotonic() > deadline:
            raise StackError("the TaskManager did not come back; `ta logs taskmanager` says why, or jobmanager")
        time.sleep(POLL_SECONDS)


def table_runtime(
    settings: Settings, environment: Mapping[str, str], local: LocalSettings, code: Path = REPOSITORY
) -> LocalRuntime:
    """The runtime of the table job (flink/table_job.py), which runs beside the job when ClickHouse is configured."""
    name = table_job_name(settings)
    return LocalRuntime(
        settings, environment, program="flink/table_job.py", name=name, local=local, code=code, may_wait=True
    )


def drill_runtime(
    settings: Settings, environment: Mapping[str, str], local: LocalSettings, code: Path = REPOSITORY
) -> LocalRuntime:
    """The runtime of a restore drill: the job with the state of another one, and none of its transactions.

    Deploy it with `restore_from` and `allow_non_restored`. Group, output topics, transactional prefix, checkpoint
    folder and name must be the drill's own: `settings` say so, nothing here checks it.
    """
    return LocalRuntime(settings, environment, arguments=("--drill",), local=local, code=code)
