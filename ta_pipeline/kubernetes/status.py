"""What the operator says of a FlinkDeployment; parsing and judging are pure.

Definition: the custom resource reference and the controller flow of the Flink Kubernetes Operator's documentation. Four
fields tell the state together, and each has a trap of its own:

    lifecycleState              the operator's summary: STABLE of an older generation says nothing of the newest
    jobManagerDeploymentStatus  ERROR: a pod does not come up; from 1.12 on told of a failed mount, too, which passes
                                (Flink makes the ConfigMaps after the pod): READY follows when the operator looks again
    jobStatus.state             the job as Flink last told it; RECONCILING: it could not be asked
    reconciliationStatus        what was carried out, as JSON in a string: its state is UPGRADING in between

A status is of the generation in `observedGeneration`; of an older one it is no answer to what was asked for since.
Before 1.8 the generation is in the record of what was carried out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.errors import KubernetesError, PodsBrokenError
from ta_pipeline.flink_answers import ENDED

JOB_ID_KEY = "$internal.pipeline.job-id"
"""In `flinkConfiguration`: the job's id. The operator takes it as it is, and makes one up where it is not given."""
RECONCILING = "RECONCILING"
SUSPENDED, RUNNING = "suspended", "running"
LAST_STATE_PATH = "KUBERNETES_OPERATOR_LAST_STATE"
"""The operator's stand-in for a path when the state comes from the high availability's record."""
NOTHING_KEPT = "Manual restore required"
"""In the error of an operator that could end a job only without its state (1.7 to 1.15): there is no record of it."""
_BROKEN = "ERROR"
_IN_BETWEEN = frozenset({"UPGRADING", "ROLLING_BACK"})


@dataclass(frozen=True)
class OperatorView:
    """A FlinkDeployment as its object has it, spec and status.

    Attributes:
        name: of the FlinkDeployment.
        uid: of the object: one that was deleted and made again has another.
        generation: of its spec; each change of the spec is a new one.
        observed: the generation its status is of; None: the operator has not seen the object.
        wanted: `running` or `suspended`, as the spec asks for.
        wanted_job_id: as the spec asks for; None: the operator chooses.
        wanted_mode: how the state is taken along when the spec changes: `savepoint`, `last-state`, `stateless`.
        image: as the spec asks for.
        lifecycle: the operator's summary.
        job_manager: status of the JobManager's Kubernetes Deployment.
        reconciliation: DEPLOYED, UPGRADING, ROLLING_BACK, ROLLED_BACK; None before the first.
        job_id: of the newest job the operator started; None before the first.
        job_state: as Flink has it, or RECONCILING; None before the first.
        started_ms: when that job was started, epoch milliseconds; None when Flink has not told.
        carried_out: `running` or `suspended`, of the spec that was carried out last; None before the first.
        upgrade_mode: the mode it was carried out with: `savepoint` may have become `last-state`.
        upgrade_savepoint: what the operator would restore.
        last_savepoint: location of the last savepoint (the older style, without FlinkStateSnapshot).
        last_savepoint_nonce: the nonce that asked for it; None: nobody did.
        is_taking_savepoint: one is being taken (the older style).
        nonce_done_with: the last nonce for a savepoint that the operator does no more for, taken or given up.
        error: why it is not as it should be, for people; empty: the operator reports nothing.
        is_refused: the operator does not carry a spec out, because it is not valid.
        is_deleting: somebody has deleted it.
    """

    name: str
    uid: str
    generation: int
    observed: int | None
    wanted: str
    wanted_job_id: str | None
    wanted_mode: str
    image: str
    lifecycle: str
    job_manager: str
    reconciliation: str | None
    job_id: str | None
    job_state: str | None
    started_ms: int | None
    carried_out: str | None
    upgrade_mode: str | None
    upgrade_savepoint: str | None
    last_savepoint: str | None
    last_savepoint_nonce: int | None
    is_taking_savepoint: bool
    nonce_done_with: int | None
    error: str
    is_refused: bool
    is_deleting: bool

    @property
    def is_current(self) -> bool:
        """The status is of the newest generation."""
        return self.observed is not None and self.observed >= self.generation

    @property
    def is_settled(self) -> bool:
        """The operator is not in between: what it has carried out is what is wanted, of this generation or another."""
        return self.reconciliation not in _IN_BETWEEN and self.carried_out == self.wanted

    @property
    def is_carried_out(self) -> bool:
        """What the spec asks for was done: the job was started, or is suspended."""
        return self.is_current and self.is_settled

    @property
    def is_suspended(self) -> bool:
        """Nothing runs, because somebody asked for that; one that was never started the operator leaves alone."""
        return self.wanted == SUSPENDED and (self.is_carried_out or self.carried_out is None)

    @property
    def expected_job_id(self) -> str | None:
        """The job that runs when the spec is carried out; None: the operator has not chosen yet."""
        return self.wanted_job_id or (self.job_id if self.is_carried_out else None)

    @property
    def is_job_known(self) -> bool:
        """`job_state` is of the job that the spec asks for, and not of the one before it.

        That the ids are the same is not enough: a job that is resumed has the id it had before.
        """
        return self.job_id is not None and self.job_id == self.expected_job_id and self.is_settled

    @property
    def is_ended(self) -> bool:
        """The job has ended by itself, and will not run again."""
        return self.is_job_known and (self.job_state in ENDED or self.lifecycle == "FAILED")

    @property
    def is_reachable(self) -> bool:
        """The JobManager answers its REST API, as far as the operator knows."""
        return self.job_manager == "READY"

    @property
    def state(self) -> str:
        """Flink's word for the job that the spec asks for; RECONCILING while nobody knows."""
        if not self.is_job_known or self.job_state is None:
            return RECONCILING
        if self.lifecycle == "FAILED" and self.job_state not in ENDED:
            return "FAILED"
        return self.job_state

    @property
    def has_nothing_kept(self) -> bool:
        """The operator says that there is no record of a last state; of which generation that is, it does not say."""
        return NOTHING_KEPT in self.error

    @property
    def savepoint_at_stop(self) -> str | None:
        """Where a job that was suspended with a savepoint left it, in the newer style or the older one."""
        if not (self.is_suspended and self.is_carried_out) or self.upgrade_mode != "savepoint":
            return None
        path = self.upgrade_savepoint or self.last_savepoint
        return None if path == LAST_STATE_PATH else path


def parse_deployment(found: Mapping[str, Any]) -> OperatorView:
    """From the object.

    Raises:
        KubernetesError: the operator's record in it cannot be read.
    """
    metadata, spec, status = found["metadata"], found.get("spec", {}), found.get("status") or {}
    job, said = spec.get("job") or {}, status.get("jobStatus") or {}
    reconciliation = status.get("reconciliationStatus") or {}
    record = _record(metadata["name"], reconciliation.get("lastReconciledSpec"))
    carried_out = _carried_out(record)
    savepoints = said.get("savepointInfo") or {}
    last = savepoints.get("lastSavepoint") or {}
    return OperatorView(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=int(metadata.get("generation", 0)),
        observed=status.get("observedGeneration", _generation(record)),
        wanted=job.get("state") or RUNNING,
        wanted_mode=job.get("upgradeMode") or "stateless",
        wanted_job_id=(spec.get("flinkConfiguration") or {}).get(JOB_ID_KEY),
        image=spec.get("image") or "",
        lifecycle=status.get("lifecycleState") or "CREATED",
        job_manager=status.get("jobManagerDeploymentStatus") or "MISSING",
        # Before the first deployment the operator's own default is UPGRADING.
        reconciliation=reconciliation.get("state") if carried_out else None,
        job_id=said.get("jobId"),
        job_state=said.get("state"),
        started_ms=int(said["startTime"]) if said.get("startTime") else None,
        carried_out=carried_out.get("state"),
        upgrade_mode=carried_out.get("upgradeMode"),
        upgrade_savepoint=said.get("upgradeSavepointPath"),
        last_savepoint=last.get("location"),
        last_savepoint_nonce=last.get("triggerNonce"),
        is_taking_savepoint=bool(savepoints.get("triggerId")),
        nonce_done_with=carried_out.get("savepointTriggerNonce"),
        error=readable_error(status.get("error")),
        is_refused="ValidationException" in (status.get("error") or ""),
        is_deleting="deletionTimestamp" in metadata,
    )


def readable_error(error: str | None) -> str:
    """The operator's error, JSON of an exception and its causes, in one line: what happened, then why.

    One that is no JSON is told as it is: older operators write plain text, and so does one that cannot make JSON of it.
    """
    if not error:
        return ""
    try:
        told = json.loads(error)
    except ValueError:
        return error
    if not isinstance(told, dict):
        return error
    texts = [_exception_text(one) for one in (told, *told.get("throwableList", []))]
    reason = (told.get("additionalMetadata") or {}).get("reason")
    distinct: list[str] = []
    for text in filter(None, texts):
        # An exception without a message of its own repeats its cause: the cause alone says it.
        if not any(text in one for one in distinct):
            distinct = [one for one in distinct if one not in text]
            distinct.append(text)
    return (f"{reason}: " if reason else "") + "; caused by ".join(distinct)


def deployment_progress(view: OperatorView, job_id: str | None = None) -> str | None:
    """What is still to come before a job can be asked over REST; None: nothing. Pure.

    Args:
        view: of the FlinkDeployment.
        job_id: that is waited for; None: whichever the spec asks for.

    Raises:
        PodsBrokenError: a pod does not come up, as far as the operator has seen.
        KubernetesError: it will not come, and the message says why.
    """
    if view.is_deleting:
        raise KubernetesError(f"FlinkDeployment {view.name} is being deleted by somebody")
    if job_id is not None and view.wanted_job_id not in {None, job_id}:
        raise KubernetesError(
            f"FlinkDeployment {view.name} asks for job {view.wanted_job_id} meanwhile, not {job_id}: somebody else has "
            "changed it"
        )
    if view.wanted == SUSPENDED:
        raise KubernetesError(f"FlinkDeployment {view.name} was suspended by somebody else meanwhile")
    if not view.is_current:
        return behind(view)
    if view.reconciliation == "ROLLED_BACK":
        raise KubernetesError(
            f"the operator has rolled FlinkDeployment {view.name} back to its last stable spec{_why(view)}"
        )
    if not view.is_carried_out:
        # Whatever fails here the operator tries again.
        return f"the operator is at it: {view.reconciliation or view.lifecycle}{_why(view)}"
    if view.job_manager == _BROKEN or view.lifecycle == "FAILED" or view.state in ENDED:
        has_ended = view.lifecycle == "FAILED" or view.state in ENDED
        kind = KubernetesError if has_ended else PodsBrokenError
        raise kind(
            f"{view.name} is {view.state if view.state in ENDED else view.lifecycle}, its JobManager is "
            f"{view.job_manager}{_why(view)}"
        )
    if not view.is_reachable:
        return f"the JobManager is {view.job_manager}{_why(view)}"
    return None


def suspension_progress(view: OperatorView) -> str | None:
    """What is still to come before nothing runs; None: nothing. Pure.

    Raises:
        KubernetesError: it will not come, and the message says why.
    """
    if view.wanted != SUSPENDED:
        raise KubernetesError(f"FlinkDeployment {view.name} was set running by somebody else meanwhile")
    if view.is_suspended:
        return None
    if not view.is_current:
        return behind(view)
    return f"the job is {view.job_state}, the operator is at it: {view.reconciliation}{_why(view)}"


def unseen(view: OperatorView) -> str | None:
    """What is said of a job that the operator has not seen RUNNING, whatever Flink says; None: it has. Pure."""
    if view.is_job_known and view.job_state == "RUNNING":
        return None
    return f"the operator has not seen the job RUNNING, but {view.state}{_why(view)}"


def behind(view: OperatorView) -> str:
    """What is said of a status that is older than what was asked for."""
    if view.observed is None:
        return f"the operator has not taken note of {view.name}: does it run, and watch this namespace?{_why(view)}"
    return (
        f"the operator has not carried out generation {view.generation} of {view.name}, its status is of "
        f"{view.observed}: does it run?{_why(view)}"
    )


def age_seconds(view: OperatorView, now: datetime) -> float:
    """How long the newest job runs; 0 when nobody has told when it was started."""
    if view.started_ms is None:
        return 0.0
    return max(0.0, (now - datetime.fromtimestamp(view.started_ms / 1_000, UTC)).total_seconds())


def _why(view: OperatorView) -> str:
    return f"; {view.error}" if view.error else ""


def _exception_text(exception: Mapping[str, Any]) -> str:
    kind = str(exception.get("type") or "").rpartition(".")[2]
    message = str(exception.get("message") or "")
    # Java gives an exception without a message that of its cause, with the cause's class in front.
    message = message.rpartition("Exception: ")[2] if message.startswith(("org.", "java.", "io.")) else message
    return message or kind


def _record(name: str, record: str | None) -> dict[str, Any]:
    """What the operator wrote down when it last carried something out; empty before the first."""
    if not record:
        return {}
    try:
        found = json.loads(record)
    except ValueError:
        raise KubernetesError(f"the operator's record in FlinkDeployment {name} is no JSON: {record[:200]}") from None
    return dict(found)


def _carried_out(record: Mapping[str, Any]) -> dict[str, Any]:
    """The job's part of the spec that was carried out last; empty before the first."""
    # Older operators write the spec itself, newer ones wrap it.
    found = record.get("spec", record).get("job")
    return dict(found) if found else {}


def _generation(record: Mapping[str, Any]) -> int | None:
    """The generation that was carried out: before 1.8 the status itself has none. None: the record has none either."""
    found = (record.get("resource_metadata") or {}).get("metadata", {}).get("generation")
    return None if found is None else int(found)
