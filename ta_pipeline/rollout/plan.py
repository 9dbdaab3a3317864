"""What a rollout would do, and what stands in its way; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ta_pipeline.revisions import Revision
from ta_pipeline.rollout.journal import Kind, Version
from ta_pipeline.runtime import JobStatus

# Of the same state, these make other numbers: what follows the rollout is not comparable with what was before it.
_MEANING = frozenset({
    "TA_BAR_RULES", "TA_SESSION", "TA_VWAP_WINDOW_SECONDS", "TA_REALIZED_VOL_WINDOW_SECONDS",
    "TA_QUOTE_STALE_AFTER_MS", "TA_SYMBOLS",
})  # fmt: skip
_FIXED = frozenset({"TA_MAX_PARALLELISM"})
# Who reads or writes these goes on somewhere else: what lies in between is neither lost nor doubled, but elsewhere.
_PLACES = frozenset({
    "TA_TRADES_TOPIC", "TA_QUOTES_TOPIC", "TA_BARS_1M_TOPIC", "TA_STATUS_IN_TOPIC", "TA_BARS_TOPIC",
    "TA_SIGNALS_TOPIC", "TA_LIVE_TOPIC", "TA_GROUP_ID", "TA_TRANSACTIONAL_ID_PREFIX", "TA_KAFKA_BOOTSTRAP",
})  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One thing that is different afterwards."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before or '(none)'} -> {self.after or '(none)'}"


@dataclass(frozen=True)
class Facts:
    """What a plan is made from.

    Attributes:
        current: the revision that should run.
        running: the job as Flink has it; None when it does not run.
        target: what should run afterwards.
        saved: the state a job that does not run left: a savepoint or retained checkpoint.
        problems: of topics, schemas and tables: each keeps the job from running.
        incompatible: why the target could not restore the state.
        state_notes: what else is to be said of the state.
        red_replays: why replay validations forbid it.
        verdict: of the newest replay validation: `green`, `red`, or None when there was none.
        clean_start: the state may be given up.
        accept_red: a red replay verdict is accepted.
        force: roll out although nothing changes.
    """

    current: Revision | None
    running: JobStatus | None
    target: Version
    saved: str | None = None
    problems: Sequence[str] = ()
    incompatible: Sequence[str] = ()
    state_notes: Sequence[str] = ()
    red_replays: Sequence[str] = ()
    verdict: str | None = None
    clean_start: bool = False
    accept_red: bool = False
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What would be done.

    Attributes:
        kind: None: nothing is to be done.
        changes: settings, code, image.
        steps: in words, in their order.
        blockers: each of them forbids it.
        notes: what somebody should know before.
        restore_from: what a job that does not run goes on from.
        expected_downtime_seconds: of the stream; None when nothing is interrupted.
    """

    kind: Kind | None
    changes: tuple[Change, ...]
    steps: tuple[str, ...]
    blockers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    restore_from: str | None = None
    expected_downtime_seconds: float | None = None

    def __str__(self) -> str:
        if self.kind is None:
            return "nothing to do: the job runs as declared"
        parts = [f"{self.kind}:"]
        parts += [f"  {change}" for change in self.changes] or ["  no setting and no code changes"]
        parts += [f"  {number}. {step}" for number, step in enumerate(self.steps, 1)]
        parts += [f"  note: {note}" for note in self.notes]
        parts += [f"  blocked: {blocker}" for blocker in self.blockers]
        return "\n".join(parts)


def plan(facts: Facts, expected_downtime_seconds: float = 20.0) -> Plan:
    """Decide what a rollout to `facts.target` would do.

    Args:
        facts: see there.
        expected_downtime_seconds: of an upgrade, from what the last ones took.
    """
    changes = changes_between(facts.current, facts.target)
    blockers = [*facts.problems]
    if not facts.accept_red:
        blockers += [f"{red}; mend it, or accept it with accept_red_replay" for red in facts.red_replays]
    if facts.running is not None:
        if not changes and not facts.force and facts.running.state == "RUNNING":
            return Plan(None, (), ())
        blockers += _state_blockers(facts)
        steps = (
            "plan the new job while the old one runs",
            f"stop job {facts.running.job_id} with a savepoint, without draining its windows",
            "start the new job from the savepoint",
            "verify: RUNNING, first checkpoint, fresh signals; else return to the old version",
            "record the revision",
        )
        return Plan(
            "upgrade", changes, steps, tuple(blockers), tuple(_notes(facts, changes)),
            expected_downtime_seconds=expected_downtime_seconds,
        )  # fmt: skip
    saved = None if facts.clean_start else facts.saved
    if facts.current is not None and saved is None and not facts.clean_start:
        blockers.append(
            f"revision {facts.current.number} should run, does not, and left no savepoint or checkpoint that can be "
            "found: starting without it loses the state; accept that with clean_start, or name one with restore_from"
        )
    if saved is not None:
        blockers += _state_blockers(facts)
    begin = f"start the job from {saved}" if saved else "start the job without state"
    first_steps = (begin, "verify: RUNNING, first checkpoint, fresh signals", "record the revision")
    return Plan("start", changes, first_steps, tuple(blockers), tuple(_notes(facts, changes)), saved)


def changes_between(current: Revision | None, target: Version) -> tuple[Change, ...]:
    """Settings, code and image that differ; pure."""
    if current is None:
        return ()
    before, after = current.settings, target.settings
    found = [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name, "") != after.get(name, "")
    ]
    if current.release != target.release:
        found.append(Change("code", current.release, target.release))
    if current.image != target.image:
        found.append(Change("image", current.image, target.image))
    return tuple(found)


def _state_blockers(facts: Facts) -> list[str]:
    if facts.clean_start:
        return []
    return [f"the state does not fit: {reason}" for reason in facts.incompatible]


def _notes(facts: Facts, changes: Sequence[Change]) -> list[str]:
    names = {change.what for change in changes}
    notes = [*facts.state_notes]
    if meaning := sorted(names & _MEANING):
        notes.append(f"{', '.join(meaning)}: the numbers mean something else from here on; replays differ")
    if places := sorted(names & _PLACES):
        notes.append(f"{', '.join(places)}: the job reads or writes elsewhere from here on")
    if fixed := sorted(names & _FIXED):
        notes.append(f"{', '.join(fixed)}: a savepoint can only be restored with the one it was taken with")
    if "code" in names:
        notes.append("the code changes: the TaskManager is restarted for it")
    if facts.running is not None and facts.running.state != "RUNNING":
        notes.append(f"the job is {facts.running.state}: if it cannot take a savepoint, its last checkpoint is used")
    if facts.verdict is None:
        notes.append("no replay validation has been made")
    if facts.clean_start:
        notes.append("clean_start: the state is given up; indicators warm up anew")
    return notes
