"""What a rollout's plan is made from: asked of Flink, Kafka, the registry, ClickHouse and S3; changes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ta_pipeline.errors import RolloutError, S3Error, SchemaError
from ta_pipeline.job_state import SavedState, incompatibilities, notes
from ta_pipeline.kubernetes.declarations import Declaration, differences
from ta_pipeline.platform import Platform
from ta_pipeline.preflight import problems
from ta_pipeline.replay.record import blocking_verdicts, newest_verdict
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.journal import Rollout, Version
from ta_pipeline.rollout.outage import outage_note
from ta_pipeline.rollout.plan import Facts, plan
from ta_pipeline.rollout.running import elsewhere, left_state, moved_here, newest_state, running_job, state_at
from ta_pipeline.runtime import JobStatus
from ta_pipeline.schema_registry import plan_schemas
from ta_pipeline.settings import Settings
from ta_pipeline.state_reader import describe_job


@dataclass(frozen=True)
class Options:
    """What somebody asks for beside the declared version.

    Attributes:
        verify_seconds: how long the new version may take to prove itself.
        clean_start: give the state up.
        accept_red_replay: roll out although the newest replay validation is red.
        force: roll out although nothing changes.
        restore_from: a savepoint or checkpoint to start from, instead of the one found.
        old_job_is_gone: nothing runs at the address of the current revision, although it cannot be asked.
        shadow_restore: restore the new version beside the old one before that is stopped.
    """

    verify_seconds: float = 120.0
    clean_start: bool = False
    accept_red_replay: bool = False
    force: bool = False
    restore_from: str = ""
    old_job_is_gone: bool = False
    shadow_restore: bool = True


@dataclass(frozen=True)
class Gathered:
    """What was asked for a rollout: what its plan is made from, and what its record keeps.

    Attributes:
        facts: see there.
        schema_ids: subject to the registry's id; empty when the registry is not as declared.
        states: the target's states, with their versions; empty when nothing is to be done.
    """

    facts: Facts
    schema_ids: Mapping[str, int]
    states: Mapping[str, int] = field(default_factory=dict)


def gather(
    platform: Platform, revisions: RevisionStore, left: Rollout | None, target: Version, options: Options
) -> Gathered:
    """Ask everything a rollout to `target` has to know.

    Args:
        platform: the deployment as it is declared.
        revisions: what was rolled out.
        left: the newest rollout; one that failed names jobs that no revision does.
        target: what should run.
        options: see there.

    Raises:
        TaError: something that has to be asked does not answer.
    """
    settings = platform.settings
    newest_revision, current = revisions.newest_and_current()
    if options.old_job_is_gone:
        newest_revision, current = (one and moved_here(platform, one) for one in (newest_revision, current))
    running = running_job(platform)
    newest = newest_verdict(settings)
    schema_problems, schema_ids = _schemas(settings)
    last = current or newest_revision
    places = elsewhere(platform, current, running)
    found = left_state(platform, last, left) if running is None and not places else None
    facts = Facts(
        current=current,
        running=running,
        target=target,
        runs=_hand_started(platform, current, running),
        left=found.path if found else None,
        elsewhere=places,
        problems=[*problems(settings), *schema_problems, *platform.job.obstacles()],
        remarks=platform.job.remarks(),
        red_replays=blocking_verdicts(settings),
        verdict=None if newest is None else "green" if newest.is_green else "red",
        clean_start=options.clean_start,
        accept_red=options.accept_red_replay,
        force=options.force,
        restore_from=options.restore_from,
    )
    facts = dataclasses.replace(facts, remarks=[*facts.remarks, *manifest_remarks(platform, facts.previous)])
    if places or (running is not None and plan(facts).kind is None):
        return Gathered(facts, schema_ids)
    manifest = describe_job(settings, platform.local, platform.code)
    if options.clean_start:
        return Gathered(facts, schema_ids, manifest.versions)
    saved = state_at(platform, facts.saved) if facts.saved else newest_state(platform)
    if saved is None:
        return Gathered(facts, schema_ids, manifest.versions)
    # Of a state that somebody named nothing is written down that is sure to be of it.
    recorded = found.states if found and not options.restore_from else last.states if last else {}
    reasons, said = incompatibilities(manifest, saved, recorded), notes(manifest, saved, recorded)
    if facts.saved and (old := outage_note(settings, facts.saved, newest_revision)):
        said.append(old)
    judged = dataclasses.replace(facts, incompatible=reasons, state_notes=said)
    return Gathered(judged, schema_ids, manifest.versions)


def manifest_remarks(platform: Platform, previous: Version | None) -> list[str]:
    """What the overlay declares otherwise than it did for what runs, a line for each value."""
    if previous is None or previous.manifest in {"", platform.manifest}:
        return []
    try:
        before = Declaration.read(platform.settings, previous.manifest)
    except S3Error as error:
        return [f"what the manifest {previous.manifest} declared is not known: {error}"]
    return [f"manifest: {line}" for line in differences(before, platform.declaration)]


def state_for_rollback(
    platform: Platform, to: Revision, revisions: list[Revision], current: Revision, options: Options
) -> tuple[str | None, str]:
    """What a rollback of a running job goes on from, when it is not the savepoint at the stop, and why.

    Args:
        platform: the deployment as it is declared.
        to: the revision to return to.
        revisions: all of them, the oldest first.
        current: the one that runs.
        options: see there.

    Raises:
        RolloutError: the old version can read neither the newest state nor one of its own.
        TaError: something that has to be asked does not answer.
    """
    if options.restore_from:
        return options.restore_from, ""
    old = Version.of(to).on(platform)
    reasons_against = _reader(old, to)
    saved = newest_state(platform)
    reasons = reasons_against(saved, current.states) if saved else []
    if not reasons:
        return None, ""
    # The savepoint of a revision is what the one before it left: the newest that the old version reads is wanted.
    ran = [one for one in revisions if one.outcome == "running"]
    for before, after in reversed(list(itertools.pairwise(ran))):
        if after.number <= to.number or after.savepoint is None:
            continue
        left = state_at(platform, after.savepoint)
        if left is not None and not reasons_against(left, before.states):
            return after.savepoint, (
                f"Revision {to.number} cannot read what revision {current.number} has saved, so it goes on from the "
                f"savepoint at the stop of revision {before.number}: what was committed since then is emitted again. "
                + " ".join(reasons)
            )
    raise RolloutError(
        f"revision {to.number} cannot read the state of revision {current.number}, nor a savepoint of a revision in "
        "between; name one with restore_from:\n" + "\n".join(reasons)
    )


def _reader(old: Platform, to: Revision) -> Callable[[SavedState, Mapping[str, int]], Sequence[str]]:
    """Tells why a revision's code cannot read a saved state: its code knows; without it, the record of its states."""
    if old.has_code:
        manifest = describe_job(old.settings, old.local, old.code)
        return lambda saved, states: incompatibilities(manifest, saved, states)
    return lambda _saved, states: recorded_differences(to.states, states)


def recorded_differences(reads: Mapping[str, int], saved: Mapping[str, int]) -> list[str]:
    """States that two revisions have not recorded alike: then the one is not given the other's; pure.

    Args:
        reads: states of the version that is to read, with their versions.
        saved: those of the version that has written.
    """
    return [
        f"{name} has version {saved.get(name, 'none')} in the state and {reads.get(name, 'none')} in the record of the "
        "version that is to read it, whose code is not here"
        for name in sorted({*reads, *saved})
        if reads.get(name) != saved.get(name)
    ]


def git_revision(checkout: Path) -> str | None:
    """The commit of a checkout, with `+` when it was changed; None outside of one."""
    git = ["git", "-C", str(checkout)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _hand_started(platform: Platform, current: Revision | None, running: JobStatus | None) -> Version | None:
    """The version of a job that no rollout has started, as it tells it itself."""
    if running is None or (current is not None and current.job_id == running.job_id):
        return None
    job = platform.job
    release = job.release_of(running.job_id)
    return Version(job.settings_of(running.job_id), release, platform.settings.image, manifest=platform.manifest)


def _schemas(settings: Settings) -> tuple[list[str], dict[str, int]]:
    """What is wrong with the registry, and the ids of the declared schemas in it."""
    try:
        plans = plan_schemas(settings)
    except SchemaError as error:
        return [str(error)], {}
    problems = [
        f"{one.subject.name}: its schema is not registered; materialize registered_schemas"
        for one in plans
        if one.action != "unchanged"
    ]
    return problems, {one.subject.name: one.schema_id for one in plans if one.schema_id is not None}
