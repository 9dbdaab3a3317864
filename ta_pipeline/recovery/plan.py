"""What `ta recover` would do when the state is gone, and what stands in its way; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ta_pipeline.recovery.retention import Extent
from ta_pipeline.runtime import JobStatus, SavedPoint
from ta_pipeline.signals.published import Published

_SHOWN = 5


@dataclass(frozen=True)
class Facts:
    """What the plan is made from.

    Attributes:
        running: the job as Flink has it; None when it does not run.
        is_working: all its tasks run, so that it holds its state: one that fails to restore it never gets there.
        states: every savepoint and checkpoint in S3, the newest first.
        missing_buckets: of the folders of the deployment, those that are not there.
        inputs: of the input topics.
        outputs: of the final topics.
        published: what the final topics hold.
        start_ms: what was asked for, epoch milliseconds; None: the earliest that is retained.
        parallelism: of the job.
        trades_topic: without it there is nothing to compute.
        ignore_states: the states are known to be of no use.
        unfinished: the rollout that has not ended, in words; empty: none.
    """

    running: JobStatus | None
    states: Sequence[SavedPoint]
    missing_buckets: Sequence[str]
    inputs: Sequence[Extent]
    outputs: Sequence[Extent]
    published: Published
    start_ms: int | None
    parallelism: int
    trades_topic: str
    ignore_states: bool = False
    is_working: bool = False
    unfinished: str = ""

    @property
    def hidden(self) -> int:
        """Offsets of the final topics behind transactions that the lost job left open."""
        return sum(one.hidden for one in self.outputs)

    @property
    def first_ms(self) -> int | None:
        """When Kafka took the oldest trade that would be read; None: there is none."""
        first = [one.first_ms for one in self.inputs if one.topic == self.trades_topic and one.first_ms is not None]
        if not first:
            return None
        return min(first) if self.start_ms is None else max(min(first), self.start_ms)


@dataclass(frozen=True)
class RecoveryPlan:
    """What was found, and what would be done."""

    found: tuple[str, ...]
    steps: tuple[str, ...]
    notes: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = ["found:", *(f"  {one}" for one in self.found)]
        if not self.blockers:
            parts += ["to do:", *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1))]
        parts += [f"note: {note}" for note in self.notes]
        parts += [f"blocked: {blocker}" for blocker in self.blockers]
        return "\n".join(parts)


def plan(facts: Facts) -> RecoveryPlan:
    """Decide how the job is rebuilt from its inputs."""
    return RecoveryPlan(tuple(_found(facts)), tuple(_steps(facts)), tuple(_notes(facts)), tuple(_blockers(facts)))


def _found(facts: Facts) -> list[str]:
    job = "the job does not run"
    if facts.running is not None:
        why = f": {facts.running.exception}" if facts.running.exception else ""
        job = f"job {facts.running.job_id} is {facts.running.state}{why}"
    states = f"{len(facts.states)} savepoints and checkpoints" if facts.states else "no savepoint and no checkpoint"
    found = [job, f"S3: {states}"]
    found += [f"S3: there is no bucket {bucket}" for bucket in facts.missing_buckets]
    for one in facts.inputs:
        since = f"since {_instant(one.first_ms)}" if one.first_ms is not None else "empty"
        found.append(f"input {one.topic}[{one.partition}]: {one.end - one.first:,} offsets, {since}")
    symbols = facts.published.symbols
    newest = facts.published.newest_ms
    held = f"{len(symbols)} symbols, the newest second ends {_instant(newest)}" if newest else "nothing"
    found.append(f"final topics: {held}")
    return found


def _steps(facts: Facts) -> list[str]:
    steps = [f"make bucket {bucket}" for bucket in facts.missing_buckets]
    if facts.running is not None:
        steps.append(f"cancel job {facts.running.job_id}: it has no state to go on from")
    if facts.hidden and facts.parallelism > 1:
        steps.append("wait until Kafka has aborted the transactions that are open")
    begin = _instant(facts.first_ms) if facts.first_ms is not None else "the beginning"
    steps += [
        f"start the job without state: it reads its inputs from {begin} on",
        "give out only what is not on the final topics yet, with the same keys",
        "record the revision, take a savepoint when it has caught up",
    ]
    return steps


def _notes(facts: Facts) -> list[str]:
    notes = []
    if facts.hidden:
        notes.append(
            f"{facts.hidden:,} offsets of the final topics are behind transactions that were never committed: what is "
            "in them is computed again; the job aborts its own when it starts, `ta doctor` shows them"
        )
    newest, first = facts.published.newest_ms, facts.first_ms
    if newest is not None and first is not None and first > newest:
        notes.append(
            f"the inputs begin at {_instant(first)}, after the newest second that was given out ({_instant(newest)}): "
            "what lies between cannot be computed any more, and is missing"
        )
    notes.append(
        "indicators are those of an undisturbed run where the inputs reach back to its beginning; else they warm up: "
        "`bars` says how many bars they know, and the session VWAP begins where the inputs do"
    )
    return notes


def _blockers(facts: Facts) -> list[str]:
    blockers = []
    if facts.unfinished:
        blockers.append(f"{facts.unfinished} has not ended: let it end, or give it up with `ta rollout abandon`")
    if facts.running is not None and facts.is_working:
        blockers.append(
            f"job {facts.running.job_id} is RUNNING: its state is in its memory; take a savepoint of it "
            "(`ta savepoint take`; a bucket that is gone has to be made again first)"
        )
    elif facts.states and not facts.ignore_states:
        shown = ", ".join(one.path for one in facts.states[:_SHOWN])
        more = f" and {len(facts.states) - _SHOWN} more" if len(facts.states) > _SHOWN else ""
        blockers.append(
            f"there is state to go on from, which loses nothing: {shown}{more}; the job `bootstrap` finds the newest, "
            "`restore_from` names one; when none of them can be read, say so with --ignore-states"
        )
    if facts.first_ms is None:
        blockers.append(f"{facts.trades_topic} holds no record: there is nothing to rebuild the job from")
    return blockers


def _instant(ms: int | None) -> str:
    if ms is None:
        return "never"
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
