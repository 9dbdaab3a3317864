"""Taking a job down through its FlinkDeployment, and what becomes of its state.

savepoint    the job is stopped with a savepoint; only one that runs can be. The operator may fall back to the last
             checkpoint of a job that does not: the mode it carried out is in the status.
last-state   the job ends where it stands, and the high availability's record of its last checkpoint stays
stateless    it ends, and the record goes; the checkpoints themselves lie where they lie
"""

from __future__ import annotations

import time
from typing import Literal

from ta_pipeline.errors import ForbiddenError, KubernetesError, NoAnswerError
from ta_pipeline.kubernetes.resource import FlinkResource
from ta_pipeline.kubernetes.status import NOTHING_KEPT, RUNNING, SUSPENDED, OperatorView, suspension_progress
from ta_pipeline.runtime import Report, with_circumstances

UpgradeMode = Literal["savepoint", "last-state", "stateless"]


class _NothingKeptError(KubernetesError):
    """The operator has no record of a last state that it could keep."""


def suspend(
    resource: FlinkResource, mode: UpgradeMode, seconds: float, unseen_seconds: float, report: Report
) -> OperatorView:
    """Have the operator end the job and keep its state as the mode says; returns what is then.

    Args:
        resource: the FlinkDeployment.
        mode: see above.
        seconds: longest wait.
        unseen_seconds: of one that was never started: how long the operator may be about to.
        report: told of each step.

    Raises:
        KubernetesError: the operator could not; with `savepoint` the job is set running again. What pods and events
            of the last hour say is in the message.
        NoAnswerError: whether it did is not known.
    """
    before, begun = resource.existing(), time.monotonic()
    warned = _warned(resource) if mode == "last-state" else None
    resource.change({"state": SUSPENDED, "upgradeMode": mode})

    def progress() -> str | None:
        view = resource.existing()
        text = suspension_progress(view)
        if text is None:
            if view.carried_out is None and time.monotonic() - begun < unseen_seconds:
                return "whether the operator is about to start it is not known"
            return None
        is_new = bool(view.error) and view.error != before.error
        if mode == "last-state":
            # Whatever else fails the operator tries again. Its status stays of the generation before when it refuses.
            if view.has_nothing_kept and (is_new or _is_warned_again(warned, _warned(resource))):
                raise _NothingKeptError(f"{resource} could not be suspended with {mode}: {view.error}")
        elif is_new:
            raise KubernetesError(f"{resource} could not be suspended with {mode}: {view.error}")
        return text

    try:
        resource.wait(progress, seconds, report)
    except NoAnswerError:
        raise
    except KubernetesError as error:
        if mode == "savepoint":
            # Else the operator would stop it when it can, and nobody would be there to start it.
            resource.change({"state": RUNNING})
        raise type(error)(with_circumstances(str(error), resource.reasons())) from None
    return resource.existing()


def end(resource: FlinkResource, seconds: float, unseen_seconds: float, report: Report) -> None:
    """End the job where it stands; one that does not run is fine.

    The operator is asked to keep the record of the last checkpoint. Of a job that never came up there is none, and it
    refuses: then, and only then, the job is ended without. An operator that is silent, or tells of something else, has
    not refused, whatever error it left in the status before.

    Raises:
        KubernetesError: the operator could not, or does not work.
        NoAnswerError: whether it did is not known.
    """
    view = resource.view()
    if view is None or view.is_suspended or view.is_deleting:
        return
    try:
        suspend(resource, "last-state", seconds, unseen_seconds, report)
    except _NothingKeptError:
        suspend(resource, "stateless", seconds, unseen_seconds, report)


def give_up(resource: FlinkResource, seconds: float, unseen_seconds: float, report: Report) -> None:
    """End what did not come up; an operator that does not work is not waited for.

    Raises:
        KubernetesError: see `end`.
    """
    if resource.existing().is_current:
        end(resource, seconds, unseen_seconds, report)
    else:
        resource.change({"state": SUSPENDED})


def _warned(resource: FlinkResource) -> frozenset[tuple[str, str]] | None:
    """The operator's warnings that there is no last state; None: nobody lets us read them."""
    try:
        return resource.warnings_of(NOTHING_KEPT)
    except ForbiddenError:
        return None


def _is_warned_again(before: frozenset[tuple[str, str]] | None, now: frozenset[tuple[str, str]] | None) -> bool:
    """Whether it has been said since; of what may not be read, that is not known, and the state is kept."""
    return before is not None and now is not None and bool(now - before)
