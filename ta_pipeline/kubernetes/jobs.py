"""The jobs of a FlinkDeployment: what the operator says of them, and what Flink does where it can be asked."""

from __future__ import annotations

from datetime import UTC, datetime

from ta_pipeline.errors import FlinkNotFoundError, KubernetesError, KubernetesNoAnswerError, StateError
from ta_pipeline.flink_answers import ENDED
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_refusals import explained
from ta_pipeline.job_watch import JobWatch
from ta_pipeline.kubernetes.resource import FlinkResource
from ta_pipeline.kubernetes.status import SUSPENDED, OperatorView, age_seconds, behind
from ta_pipeline.retained import newest_checkpoint, newest_savepoint, written_at_ms
from ta_pipeline.runtime import JobStatus, SavedPoint
from ta_pipeline.settings import Settings

# Of a job that could not be stopped with a savepoint, the operator names the last checkpoint.
_CHECKPOINT = "/chk-"


class DeployedJobs:
    """There is one at a time; those before it are known by what they left. Every method raises `FlinkError`.

    Args:
        resource: the FlinkDeployment.
        settings: what the job runs with, and where its state is.
        rest: of its JobManager.
        watch: asks it.
    """

    def __init__(self, resource: FlinkResource, settings: Settings, rest: FlinkRest, watch: JobWatch) -> None:
        self._resource = resource
        self._settings = settings
        self._rest = rest
        self._watch = watch

    def status(self) -> list[JobStatus]:
        """The job of this FlinkDeployment, unless it has ended or is suspended."""
        view = self._resource.view()
        if view is None or view.is_suspended or view.is_ended:
            return []
        return [] if (found := self._status(view)) is None or found.is_ended else [found]

    def find(self, job_id: str) -> JobStatus | None:
        """The job that the FlinkDeployment asks for, or has run last."""
        view = self._resource.view()
        if view is None or job_id not in {view.expected_job_id, view.job_id}:
            return None
        if view.is_suspended:
            # One that was asked for and never started is none.
            ended = view.job_state if view.job_state in ENDED else "CANCELED"
            return self._told(view, job_id, ended) if job_id == view.job_id else None
        if job_id != view.expected_job_id:
            # Another one was asked for since: whatever this one is doing, it is being ended.
            return self._told(view, job_id, view.job_state or "CANCELLING")
        return self._status(view)

    def newest_id(self) -> str | None:
        """The one that is asked for, or else the one that ran last."""
        view = self._resource.view()
        return None if view is None else view.expected_job_id or view.job_id

    def last_state(self, job_id: str) -> SavedPoint | None:
        """As Flink remembers it while its cluster is there, as the operator wrote it down, or as it lies in S3."""
        view = self._resource.view()
        points: list[SavedPoint | None] = []
        if view is not None and view.job_id == job_id:
            if view.is_reachable and view.is_job_known:
                points += self._watch.saved(job_id)
            elif not view.is_suspended and not view.is_ended:
                raise KubernetesNoAnswerError(
                    f"what job {job_id} has saved last is not known: its JobManager is {view.job_manager}"
                )
            elif (path := view.savepoint_at_stop) is not None:
                points.append(self._written(path))
        if not any(points):
            points += [newest_checkpoint(self._settings, job_id), newest_savepoint(self._settings, job_id)]
        return max((point for point in points if point), key=lambda point: point.at_ms, default=None)

    def _status(self, view: OperatorView) -> JobStatus | None:
        """Of the job that the spec asks for; None when the operator has not chosen one yet."""
        job_id = view.expected_job_id
        if job_id is None:
            return None
        if not view.is_job_known or not view.is_reachable:
            return self._told(view, job_id, view.state)
        try:
            return self._watch.status(self._rest.job(job_id))
        except FlinkNotFoundError:
            return self._told(view, job_id, view.state)

    def _told(self, view: OperatorView, job_id: str, state: str) -> JobStatus:
        """What the operator tells of a job that Flink cannot be asked about."""
        age = age_seconds(view, datetime.now(UTC))
        told = [view.error if view.is_current else behind(view)]
        told += [] if view.is_reachable or view.wanted == SUSPENDED else self._resource.problems()
        text = explained(self._settings, "; ".join(filter(None, told)))
        return JobStatus(job_id, self._resource.name, state, age, 0, 0, 0, None, None, text or None)

    def _written(self, path: str) -> SavedPoint:
        try:
            return SavedPoint(path, written_at_ms(self._settings, path), is_savepoint=_CHECKPOINT not in path)
        except StateError as error:
            raise KubernetesError(f"the operator names a savepoint that is not there: {error}") from None
