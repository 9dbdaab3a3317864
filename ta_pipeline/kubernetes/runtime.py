"""The job on Kubernetes: a FlinkDeployment by server-side apply, and the Flink Kubernetes Operator carries it out.

What is wanted stands in the object, so whoever asks again asks for the same: an apply that was lost, or was made twice,
does no harm. Whether it was carried out the operator writes into the object's status, and how the job does its REST API
tells. One rule throughout: a status of an older generation, an API server that does not answer, a 403 are no answers.

    deploy      state running, initialSavepointPath with a savepointRedeployNonce; then RUNNING, then a first checkpoint
    stop        state suspended, upgradeMode savepoint; the path is read back
    cancel      state suspended, upgradeMode last-state: the operator keeps the high availability's record
    resume      state running: from where it was suspended
    rollback    deploy over the job that runs, from a savepoint
    savepoint   a FlinkStateSnapshot where its CRD is installed, else a savepointTriggerNonce
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ta_pipeline.errors import (
    DeployError,
    FlinkError,
    FlinkNoAnswerError,
    FlinkNotFoundError,
    KubernetesError,
    KubernetesNoAnswerError,
    NoAnswerError,
    OwnedError,
    PodsBrokenError,
)
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_refusals import explained
from ta_pipeline.job_watch import JobWatch
from ta_pipeline.kubernetes.client import KubernetesApi
from ta_pipeline.kubernetes.deployment import to_run
from ta_pipeline.kubernetes.jobs import DeployedJobs
from ta_pipeline.kubernetes.ownership import gitops_owner
from ta_pipeline.kubernetes.resource import FlinkResource
from ta_pipeline.kubernetes.savepoints import take_savepoint
from ta_pipeline.kubernetes.status import (
    RUNNING,
    SUSPENDED,
    OperatorView,
    deployment_progress,
    parse_deployment,
    unseen,
)
from ta_pipeline.kubernetes.suspending import UpgradeMode, end, give_up, suspend
from ta_pipeline.runtime import Deployment, JobStatus, Prepared, Report, SavedPoint, with_circumstances
from ta_pipeline.settings import Settings

POLL_SECONDS = 1.0
DEPLOY_SECONDS = 300.0
"""Nodes may have to pull the image first."""
STOP_SECONDS = 180.0
SAVEPOINT_SECONDS = 180.0
SUBMITTED_SECONDS = 20.0
"""A job that the operator has started is known to every part of the REST API by then."""
UNSEEN_SECONDS = 10.0
"""An operator that was about to start a job for the first time has written that down by then."""
SEEN_SECONDS = 60.0
"""So often the operator looks at a job by default: one that runs it has seen RUNNING by then."""
BROKEN_SECONDS = 90.0
"""Of pods that are fine by now the operator has taken back what it said of them: it has looked again."""


@dataclass(frozen=True)
class Waits:
    """How long is waited for what, in seconds, and how often is looked."""

    deploy: float = DEPLOY_SECONDS
    stop: float = STOP_SECONDS
    savepoint: float = SAVEPOINT_SECONDS
    poll: float = POLL_SECONDS
    unseen: float = UNSEEN_SECONDS
    seen: float = SEEN_SECONDS
    broken: float = BROKEN_SECONDS


class KubernetesRuntime:
    """Deploys, watches and stops one job through its FlinkDeployment.

    Args:
        settings: what the job runs with: its image too, the name of the FlinkDeployment, and where its REST API is.
        declared: gives the FlinkDeployment that the overlay declares; asked for when one is deployed.
        variables: `TA_*` for the job, without secrets; default: those of the settings.
        arguments: of the job's program, beside those that the overlay declares.
        may_wait: the job has breakers, and one that waits behind them is deployed.
        waits: see there.
        api: of the namespace; default: the one that the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        declared: Callable[[], Mapping[str, Any]],
        *,
        variables: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        may_wait: bool = False,
        waits: Waits | None = None,
        api: KubernetesApi | None = None,
    ) -> None:
        self._settings = settings
        self._declared = declared
        self.name = settings.k8s_deployment
        self._variables = variables
        self._arguments = tuple(arguments)
        self._waits = waits or Waits()
        self._api = api
        self._rest = FlinkRest(settings.flink_rest_url)
        self._watch = JobWatch(settings, self._rest, self.name, may_wait=may_wait)

    @cached_property
    def _resource(self) -> FlinkResource:
        return FlinkResource(self._api or KubernetesApi.of(self._settings), self.name, self._waits.poll)

    @cached_property
    def _jobs(self) -> DeployedJobs:
        return DeployedJobs(self._resource, self._settings, self._rest, self._watch)

    def obstacles(self) -> list[str]:
        """What would keep the API server from taking this version, asked by a dry run; changes nothing.

        Raises:
            KubernetesNoAnswerError: it does not answer.
        """
        found = self._resource.found()
        # As it will be asked: where something is replaced, from a state; which one makes no difference to the question.
        state = None if found is None else self._settings.savepoint_dir
        try:
            self._resource.apply(self._to_run(uuid.uuid4().hex, state, found), dry_run=True)
        except NoAnswerError:
            raise
        except OwnedError as error:
            owner = gitops_owner(found) if found is not None else None
            how = f"; {owner} keeps it: change it in its repository, or leave the field to us there" if owner else ""
            return [f"{error}{how}"]
        except KubernetesError as error:
            return [str(error)]
        return []

    def remarks(self) -> list[str]:
        """What somebody should know before a rollout: who else keeps the object.

        Raises:
            KubernetesError: the object cannot be read.
        """
        found = self._resource.found()
        owner = gitops_owner(found) if found is not None else None
        if owner is None:
            return []
        return [
            f"{owner} keeps {self._resource} too: what it owns is left to it, and what it does not ignore "
            "of our changes it may take back (docs/kubernetes-rollouts.md)"
        ]

    def prepare(self, *, report: Report = lambda _text: None) -> Prepared:
        """Ask the API server whether it would take the version; whatever runs is left alone.

        Raises:
            KubernetesError: it would not.
        """
        report("asking the API server whether it takes this version")
        if problems := self.obstacles():
            raise KubernetesError("; ".join(problems))
        return _Asked(self)

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
        """Apply the FlinkDeployment and return when its job is RUNNING with a completed checkpoint.

        Args:
            restore_from: a savepoint or retained checkpoint; None starts without state.
            job_id: of the job; None: one is made up.
            prepared: of `prepare`.
            interrupt_others: nobody else is on this cluster.
            timeout_seconds: instead of this runtime's.
            allow_non_restored: leave state behind that the job has no operator for.
            report: told of each step.

        Raises:
            KubernetesError: a job of this name runs already, or the API server refused.
            DeployError: the job did not get there in time: it is suspended, and the message says why.
            NoAnswerError: whether it runs is not known.
        """
        started = time.monotonic()
        job_id = job_id or uuid.uuid4().hex
        self._require_alone(job_id)
        self._deploy(job_id, restore_from, timeout_seconds, report, allow_non_restored=allow_non_restored)
        if prepared is not None:
            prepared.discard()
        return Deployment(job_id, self.name, restore_from, time.monotonic() - started)

    def start(self, restore_from: str | None, job_id: str | None = None, *, allow_non_restored: bool = False) -> str:
        """Apply the FlinkDeployment that runs the job; whether it does is for `await_checkpoint` to find out."""
        job_id = job_id or uuid.uuid4().hex
        content = self._to_run(job_id, restore_from, self._resource.found(), allow_non_restored=allow_non_restored)
        self._resource.apply(content)
        return job_id

    def await_checkpoint(
        self, job_id: str, report: Report = lambda _text: None, timeout_seconds: float | None = None
    ) -> None:
        """Return when the job is RUNNING with a completed checkpoint, or waits behind a breaker.

        An API server or a JobManager that does not answer is waited for; after the time allowed it is a
        `NoAnswerError`.

        Raises:
            KubernetesError: the operator, or a pod, says that it will not come; or it did not in time.
            FlinkError: the job has failed.
        """
        known = sound = time.monotonic()
        checkpoint = self._watch.until_checkpoint(job_id)

        def progress() -> str | None:
            nonlocal known, sound
            view = self._resource.existing()
            try:
                text = deployment_progress(view, job_id)
                sound = time.monotonic()
            except PodsBrokenError as error:
                if time.monotonic() - sound > self._waits.broken or self._resource.broken():
                    raise
                text = str(error)
            if text is not None:
                known = time.monotonic()
                if view.is_refused and not view.is_current:
                    raise KubernetesError(f"the operator refuses generation {view.generation}: {view.error}")
                return text
            try:
                text = checkpoint()
                known = time.monotonic()
            except FlinkNoAnswerError:
                # A JobManager that is back does not know its job at once.
                known = time.monotonic()
                raise
            except FlinkNotFoundError as error:
                # READY is told some seconds before the job is in all answers.
                if time.monotonic() - known > SUBMITTED_SECONDS:
                    raise
                return str(error)
            # The operator stops with a savepoint only what it has seen RUNNING itself.
            return text or unseen(view)

        self._resource.wait(progress, timeout_seconds or self._waits.deploy, report)
        if self._resource.existing().wanted_mode == "stateless":
            # Whoever changes the object next must not lose the state for it.
            self._resource.change({"upgradeMode": self._settings.k8s_upgrade_mode})

    def status(self) -> list[JobStatus]:
        """The job of this FlinkDeployment, unless it has ended or is suspended."""
        return self._jobs.status()

    def find(self, job_id: str) -> JobStatus | None:
        """The job that the FlinkDeployment asks for, or has run last."""
        return self._jobs.find(job_id)

    def newest_job_id(self) -> str | None:
        """The one that is asked for, or else the one that ran last."""
        return self._jobs.newest_id()

    def settings_of(self, job_id: str) -> dict[str, str]:
        """As the job tells them over REST."""
        return self._rest.settings(job_id)

    def release_of(self, job_id: str) -> str:
        """The image of the job: on Kubernetes that is its code."""
        view = self._resource.view()
        if view is None or view.expected_job_id != job_id or not view.is_current:
            raise KubernetesError(f"job {job_id} is not the one of {self._resource}: its image is not known")
        return view.image

    def savepoint(self) -> str:
        """Take a savepoint; the job runs on."""
        self._one()
        with self._explained():
            return take_savepoint(self._resource, self._settings.savepoint_dir, self._waits.savepoint)

    def stop(self, *, drain: bool = False, request_id: str | None = None, report: Report = lambda _text: None) -> str:
        """Suspend with a savepoint; returns its path.

        Args:
            drain: not by the operator: only Flink itself closes windows early, and the operator would start it anew.
            request_id: not needed: a FlinkDeployment that is suspended stays as it is, however often it is asked for.
            report: told what the operator has still to do.

        Raises:
            KubernetesError: no savepoint was taken; the job runs on, or the message says what it does.
            NoAnswerError: whether it was stopped is not known.
        """
        if drain:
            raise KubernetesError("on Kubernetes a job cannot be drained: the operator stops it with a savepoint")
        del request_id
        view = self._resource.existing()
        if not view.is_suspended:
            if view.wanted != SUSPENDED:
                self._one()
                self._await_seen(report)
            view = self.suspend("savepoint", report)
        path = view.savepoint_at_stop
        if path is None:
            told = (
                f"{self._resource} was suspended without a savepoint (upgradeMode {view.upgrade_mode}): the operator "
                "could not take one; its newest checkpoint is what there is"
            )
            raise KubernetesError(explained(self._settings, with_circumstances(told, self._resource.reasons())))
        return path

    def suspend(self, mode: UpgradeMode, report: Report = lambda _text: None) -> OperatorView:
        """Have the operator end the job and keep its state as the mode says; returns what is then.

        Raises:
            KubernetesError: the operator could not; with `savepoint` the job is set running again.
            NoAnswerError: whether it did is not known.
        """
        with self._explained():
            return suspend(self._resource, mode, self._waits.stop, self._waits.unseen, report)

    def resume(self, report: Report = lambda _text: None) -> Deployment:
        """Have a suspended job go on from where it was suspended.

        Raises:
            DeployError: it did not get to its first checkpoint.
        """
        started, view = time.monotonic(), self._resource.existing()
        if not view.is_suspended:
            raise KubernetesError(f"{self._resource} is not suspended: it is {view.lifecycle}")
        path = view.savepoint_at_stop
        self._resource.change({"state": RUNNING})
        job_id = view.wanted_job_id or self._await_job_id()
        self._await(job_id, None, report)
        return Deployment(job_id, self.name, path, time.monotonic() - started)

    def cancel(self) -> None:
        """Suspend where it stands, without a savepoint; one that does not run is fine."""
        with self._explained():
            end(self._resource, self._waits.stop, self._waits.unseen, lambda _text: None)

    def remove(self) -> None:
        """Delete the FlinkDeployment and wait until the operator has taken its job down; one that is gone is fine.

        Nothing of it is kept: for a drill's, never for the deployment's own.
        """
        self._resource.delete(self._waits.stop)

    def last_state(self, job_id: str) -> SavedPoint | None:
        """As Flink remembers it while its cluster is there, as the operator wrote it down, or as it lies in S3."""
        return self._jobs.last_state(job_id)

    def rollback(self, savepoint: str, *, report: Report = lambda _text: None) -> Deployment:
        """Replace whatever runs by the job restored from `savepoint`: the operator ends one and starts the other."""
        started, job_id = time.monotonic(), uuid.uuid4().hex
        self._deploy(job_id, savepoint, None, report)
        return Deployment(job_id, self.name, savepoint, time.monotonic() - started)

    def _deploy(
        self,
        job_id: str,
        restore_from: str | None,
        timeout_seconds: float | None,
        report: Report,
        *,
        allow_non_restored: bool = False,
    ) -> None:
        report(f"applying {self._resource}")
        self.start(restore_from, job_id, allow_non_restored=allow_non_restored)
        self._await(job_id, timeout_seconds, report)

    def _await(self, job_id: str, timeout_seconds: float | None, report: Report) -> None:
        """Wait for the job's first checkpoint; one that does not get there is suspended."""
        try:
            self.await_checkpoint(job_id, report, timeout_seconds)
        except NoAnswerError:
            raise
        except FlinkError as error:
            told = with_circumstances(str(error), self._resource.reasons())
            with contextlib.suppress(FlinkError):
                give_up(self._resource, self._waits.stop, self._waits.unseen, report)
            raise DeployError(explained(self._settings, told), job_id) from None

    def _to_run(
        self,
        job_id: str,
        restore_from: str | None,
        found: Mapping[str, Any] | None,
        *,
        allow_non_restored: bool = False,
    ) -> dict[str, Any]:
        view = None if found is None else parse_deployment(found)
        replaces = view is not None and view.carried_out is not None
        if found is not None and view is not None and view.wanted_job_id == job_id:
            # Asked for before, maybe when nothing was there: asked for otherwise now, it would be started twice.
            job = found["spec"]["job"]
            replaces = "savepointRedeployNonce" in job or job.get("upgradeMode") == "stateless"
        return to_run(
            self._declared(), self._settings, job_id, variables=self._variables, restore_from=restore_from,
            replaces=replaces, arguments=self._arguments, allow_non_restored=allow_non_restored,
        )  # fmt: skip

    def _await_job_id(self) -> str:
        """The id of the job that the operator starts by itself."""
        found: list[str] = []

        def progress() -> str | None:
            view = self._resource.existing()
            if view.expected_job_id is None:
                return deployment_progress(view) or "the operator has not started the job"
            found.append(view.expected_job_id)
            return None

        self._resource.wait(progress, self._waits.deploy)
        return found[0]

    def _await_seen(self, report: Report) -> None:
        """Return when the operator has seen the job RUNNING: only then it stops it with a savepoint."""
        try:
            self._resource.wait(lambda: unseen(self._resource.existing()), self._waits.seen, report)
        except NoAnswerError:
            raise
        except KubernetesError as error:
            told = with_circumstances(str(error), self._resource.reasons())
            raise KubernetesError(explained(self._settings, told)) from None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What the operator, pods and events tell may have secrets in it."""
        try:
            yield
        except KubernetesError as error:
            raise type(error)(explained(self._settings, str(error))) from None

    def _one(self) -> OperatorView:
        view = self._resource.existing()
        if view.wanted == SUSPENDED or view.is_ended:
            raise KubernetesError(f"{self.name} does not run: {self._resource} is {view.lifecycle}")
        return view

    def _require_alone(self, job_id: str) -> None:
        """Nothing runs but the job that is to be deployed, which may have been asked for before."""
        view = self._resource.view()
        if view is not None and view.is_deleting:
            raise KubernetesNoAnswerError(f"{self._resource} is being deleted by somebody, and still there")
        if view is None or view.is_suspended or view.is_ended or view.wanted_job_id == job_id:
            return
        if view.wanted == SUSPENDED:
            raise KubernetesNoAnswerError(f"{self._resource} is still being suspended")
        if view.carried_out is None and view.lifecycle == "FAILED":
            return
        raise KubernetesError(
            f"{self.name} is {view.state} already (job {view.expected_job_id}, {self._resource}); "
            "`ta job stop` ends it with a savepoint"
        )


class _Asked:
    """A version that the API server would take."""

    def __init__(self, runtime: KubernetesRuntime) -> None:
        self._runtime = runtime

    def start(self, restore_from: str | None, job_id: str | None = None) -> str:
        """Apply it."""
        return self._runtime.start(restore_from, job_id)

    def discard(self) -> None:
        """Nothing was made."""
