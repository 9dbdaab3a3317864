"""Does the new version do its work? RUNNING, not restarted, a completed checkpoint, and signals that are fresh."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ta_pipeline.runtime import JobStatus, Report

POLL_SECONDS = 0.5
QUIET_SECONDS = 20.0
"""A market that sends nothing for so long is quiet: then there is nothing to be fresh."""

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Evidence:
    """What is known of the new job so far.

    Attributes:
        status: None when it is gone.
        inputs: trades that came since the old job stopped.
        outputs: records that came on the live topic since then.
        seconds: since the verification began.
        is_catching_up: it reads what is retained of the inputs, and gives nothing out before it is through.
    """

    status: JobStatus | None
    inputs: int
    outputs: int
    seconds: float
    is_catching_up: bool = False


@dataclass(frozen=True)
class Finding:
    """A judgement: proved, refuted, or neither yet. `text` is for people."""

    text: str
    proved: bool = False
    refuted: bool = False


def judge(evidence: Evidence, budget_seconds: float) -> Finding:
    """What the evidence says of the new version; pure.

    Args:
        evidence: see there.
        budget_seconds: what it may take; afterwards whatever is not proved is refuted.
    """
    status = evidence.status
    if status is None or status.state in {"FAILED", "CANCELED", "FINISHED"}:
        state = status.state if status else "gone"
        return Finding(f"the job is {state}: {_exception(status)}", refuted=True)
    late = evidence.seconds >= budget_seconds
    within = f"within {budget_seconds:g} s"
    if status.state != "RUNNING" or status.checkpoints_completed == 0:
        text = f"the job is {status.state} with {status.checkpoints_completed} checkpoints"
        return Finding(f"{text} {within}: {_exception(status)}" if late else text, refuted=late)
    if status.restarts and evidence.outputs == 0:
        text = f"the job was restarted {status.restarts} times without a record"
        return Finding(f"{text} {within}: {_exception(status)}" if late else text, refuted=late)
    if evidence.outputs > 0 or evidence.is_catching_up:
        said = "signals are fresh" if evidence.outputs > 0 else "it reads the inputs again"
        return Finding(f"RUNNING, {status.checkpoints_completed} checkpoints, {said}", proved=True)
    if evidence.inputs == 0:
        quiet = evidence.seconds >= min(QUIET_SECONDS, budget_seconds)
        return Finding(
            f"RUNNING, {status.checkpoints_completed} checkpoints; no market data came for {evidence.seconds:.0f} s, "
            "so freshness was not judged",
            proved=quiet,
        )
    text = f"{evidence.inputs} records came in, and none went out"
    return Finding(f"{text} {within}" if late else text, refuted=late)


def verify(
    status: Callable[[], JobStatus | None],
    flow: Callable[[], tuple[int, int]],
    budget_seconds: float,
    report: Report,
    *,
    is_catching_up: bool = False,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Finding:
    """Gather evidence until it proves or refutes the new version.

    Args:
        status: of the new job.
        flow: records in and out since the old job stopped.
        budget_seconds: what it may take.
        report: told what is known.
        is_catching_up: see `Evidence`.
        clock: seconds.
        pause: waits.
    """
    begun, told = clock(), ""
    while True:
        inputs, outputs = flow()
        found = judge(Evidence(status(), inputs, outputs, clock() - begun, is_catching_up), budget_seconds)
        if found.proved or found.refuted:
            return found
        # What only counts on is not news.
        news = _NUMBER.sub("", found.text)
        if news != told:
            report(found.text)
            told = news
        pause(POLL_SECONDS)


def moved(now: Mapping[str, int], before: Mapping[str, int]) -> int:
    """How many records came between two sets of end offsets."""
    return sum(max(0, end - before.get(topic, 0)) for topic, end in now.items())


def _exception(status: JobStatus | None) -> str:
    return (status.exception if status else None) or "Flink reports no exception"
