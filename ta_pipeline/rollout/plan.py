"""What a rollout would do, and what stands in its way; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ta_pipeline.revisions import Revision
from ta_pipeline.rollout.journal import Kind, Version
from ta_pipeline.runtime import JobStatus
from ta_pipeline.settings import differing

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
        runs: the version of the job that runs, as it tells it itself; None: none does, or it is the current revision.
        left: the newest state that a job which does not run left.
        elsewhere: why the current revision's job may run where `target` would not find it.
        problems: of topics, schemas, tables and the cluster: each keeps the job from running.
        remarks: what else is to be said of the cluster.
        incompatible: why the target could not restore the state.
        state_notes: what else is to be said of the state.
        red_replays: why replay validations forbid it.
        verdict: of the newest replay validation: `green`, `red`, or None when there was none.
        clean_start: the state may be given up.
        accept_red: a red replay verdict is accepted.
        force: roll out although nothing changes.
        restore_from: the state that was asked for.
    """

    current: Revision | None
    running: JobStatus | None
    target: Version
    runs: Version | None = None
    left: str | None = None
    elsewhere: Sequence[str] = ()
    problems: Sequence[str] = ()
    remarks: Sequence[str] = ()
    incompatible: Sequence[str] = ()
    state_notes: Sequence[str] = ()
    red_replays: Sequence[str] = ()
    verdict: str | None = None
    clean_start: bool = False
    accept_red: bool = False
    force: bool = False
    restore_from: str = ""

    @property
    def saved(self) -> str | None:
        """What a job that does not run goes on from."""
        return self.restore_from or self.left

    @property
    def previous(self) -> Version | None:
        """What runs, or should."""
        if self.runs is not None or self.current is None:
            return self.runs
        return Version.of(self.current)


@dataclass(frozen=True)
class Plan:
    """What would be done.

    Attributes:
        kind: None: nothing is to be done.
        changes: settings, code, image, manifest.
        steps: in words, in their order.
        blockers: each of them forbids it.
        notes: what somebody should know before.
        restore_from: what the new job goes on from, when it is not the savepoint at the stop.
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


def plan(facts: Facts, expected_downtime_seconds: float = 20.0, *, shadow_restore: bool = False) -> Plan:
    """Decide what a rollout to `facts.target` would do.

    Args:
        facts: see there.
        shadow_restore: the new job is tried beside the old one first.
        expected_downtime_seconds: of an upgrade, from what the last ones took.
    """
    changes = changes_between(facts.previous, facts.target)
    blockers = [*facts.elsewhere, *facts.problems]
    if not facts.accept_red:
        blockers += [f"{red}; mend it, or accept it with accept_red_replay" for red in facts.red_replays]
    if facts.running is not None:
        asked = facts.force or facts.clean_start or facts.restore_from
        if not changes and not asked and facts.running.state == "RUNNING":
            return Plan(None, (), ())
        blockers += _state_blockers(facts)
        state = "without state" if facts.clean_start else f"from {facts.restore_from or 'the savepoint'}"
        steps = (
            *(["restore the new job beside the old one, from a savepoint"] if shadow_restore else []),
            "plan the new job while the old one runs",
            f"stop job {facts.running.job_id} with a savepoint, without draining its windows",
            f"start the new job {state}",
            "verify: RUNNING, first checkpoint, fresh signals; else return to the old version",
            "record the revision",
        )
        return Plan(
            "upgrade", changes, steps, tuple(blockers), tuple(_notes(facts, changes)),
            None if facts.clean_start else facts.restore_from or None, expected_downtime_seconds,
        )  # fmt: skip
    saved = None if facts.clean_start else facts.saved
    if facts.current is not None and saved is None and not facts.clean_start:
        blockers.append(
            f"revision {facts.current.number} should run, does not, and left no savepoint or checkpoint that can be "
            "found: starting without it loses the state: name one with restore_from, rebuild it from the inputs "
            "(`ta recover`), or accept the loss with clean_start"
        )
    if saved is not None:
        blockers += _state_blockers(facts)
    begin = f"start the job from {saved}" if saved else "start the job without state"
    first_steps = (begin, "verify: RUNNING, first checkpoint, fresh signals", "record the revision")
    return Plan("start", changes, first_steps, tuple(blockers), tuple(_notes(facts, changes)), saved)


def changes_between(previous: Version | None, target: Version) -> tuple[Change, ...]:
    """Settings, code, image and manifest that differ; pure."""
    if previous is None:
        return ()
    before, after = previous.settings, target.settings
    found = [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in differing(before, after)
        if before.get(name, "") != after.get(name, "")
    ]
    # On Kubernetes one change would be told three times.
    if previous.release != target.release != target.image:
        found.append(Change("code", previous.release, target.release))
    if previous.image != target.image and all(change.what != "TA_IMAGE" for change in found):
        found.append(Change("image", previous.image, target.image))
    if previous.manifest != target.manifest:
        found.append(Change("manifest", previous.manifest, target.manifest))
    return tuple(found)


def _state_blockers(facts: Facts) -> list[str]:
    if facts.clean_start:
        return []
    return [f"the state does not fit: {reason}" for reason in facts.incompatible]


def _notes(facts: Facts, changes: Sequence[Change]) -> list[str]:
    names = {change.what for change in changes}
    notes = [*facts.remarks, *facts.state_notes]
    if meaning := sorted(names & _MEANING):
        notes.append(f"{', '.join(meaning)}: the numbers mean something else from here on; replays differ")
    if places := sorted(names & _PLACES):
        notes.append(f"{', '.join(places)}: the job reads or writes elsewhere from here on")
    if fixed := sorted(names & _FIXED):
        notes.append(f"{', '.join(fixed)}: a savepoint can only be restored with the one it was taken with")
    if "code" in names:
        notes.append("the code changes: the TaskManager is restarted for it")
    if facts.runs is not None and facts.running is not None:
        named = f"revision {facts.current.number}" if facts.current else "a revision"
        notes.append(f"job {facts.running.job_id} is not the one of {named}: somebody else started it; it is replaced")
    if facts.restore_from and facts.running is not None:
        notes.append("restore_from: what the running job commits after that state is emitted again")
    if facts.running is not None and facts.running.state != "RUNNING":
        notes.append(f"the job is {facts.running.state}: if it cannot take a savepoint, its last checkpoint is used")
    if facts.verdict is None:
        notes.append("no replay validation has been made")
    if facts.clean_start:
        notes.append("clean_start: the state is given up; indicators warm up anew")
    return notes
