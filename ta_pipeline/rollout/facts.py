"""What a rollout's plan is made from: asked of Flink, Kafka, the registry, ClickHouse and S3; changes nothing."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ta_pipeline.errors import RolloutError, SchemaError, StateError
from ta_pipeline.job_state import SavedState, incompatibilities, notes
from ta_pipeline.platform import Platform
from ta_pipeline.preflight import problems
from ta_pipeline.replay.record import blocking_verdicts, newest_verdict
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.journal import Version
from ta_pipeline.rollout.plan import Facts, plan
from ta_pipeline.runtime import JobStatus
from ta_pipeline.schema_registry import plan_schemas
from ta_pipeline.settings import Settings
from ta_pipeline.state_reader import describe_job, read_state


@dataclass(frozen=True)
class Options:
    """What somebody asks for beside the declared version.

    Attributes:
        verify_seconds: how long the new version may take to prove itself.
        clean_start: give the state up.
        accept_red_replay: roll out although the newest replay validation is red.
        force: roll out although nothing changes.
        restore_from: a savepoint or checkpoint to start from, instead of the one found.
    """

    verify_seconds: float = 120.0
    clean_start: bool = False
    accept_red_replay: bool = False
    force: bool = False
    restore_from: str = ""


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


def gather(platform: Platform, revisions: RevisionStore, target: Version, options: Options) -> Gathered:
    """Ask everything a rollout to `target` has to know.

    Raises:
        TaError: something that has to be asked does not answer.
    """
    settings = platform.settings
    current, running = revisions.current(), running_job(platform)
    newest = newest_verdict(settings)
    schema_problems, schema_ids = _schemas(settings)
    facts = Facts(
        current=current,
        running=running,
        target=target,
        saved=options.restore_from or _saved(platform, revisions, current, running),
        problems=[*problems(settings), *schema_problems],
        red_replays=blocking_verdicts(settings),
        verdict=None if newest is None else "green" if newest.is_green else "red",
        clean_start=options.clean_start,
        accept_red=options.accept_red_replay,
        force=options.force,
    )
    if running is not None and plan(facts).kind is None:
        return Gathered(facts, schema_ids)
    manifest = describe_job(settings, platform.local, platform.code)
    if options.clean_start:
        return Gathered(facts, schema_ids, manifest.versions)
    saved = _newest_state(platform) if running is not None else _state_at(platform, facts.saved)
    if saved is None:
        return Gathered(facts, schema_ids, manifest.versions)
    recorded = current.states if current else {}
    reasons, said = incompatibilities(manifest, saved, recorded), notes(manifest, saved, recorded)
    judged = dataclasses.replace(facts, incompatible=reasons, state_notes=said)
    return Gathered(judged, schema_ids, manifest.versions)


def state_for_rollback(
    platform: Platform, to: Revision, current: Revision | None, options: Options
) -> tuple[str | None, str]:
    """What a rollback goes on from, when it is not the savepoint at the stop, and why.

    Raises:
        RolloutError: the old version can read neither the newest state nor one of its own.
        TaError: something that has to be asked does not answer.
    """
    running = running_job(platform)
    if options.restore_from or running is None or current is None:
        return options.restore_from or None, ""
    old = platform.at(to.settings, to.release)
    manifest = describe_job(old.settings, old.local, old.code)
    saved = _newest_state(platform)
    if saved is None:
        return None, ""
    reasons = incompatibilities(manifest, saved, current.states)
    if not reasons:
        return None, ""
    if current.savepoint is None:
        raise RolloutError(
            f"revision {to.number} cannot read the state of revision {current.number}, and there is no savepoint of "
            "before; name one with restore_from:\n" + "\n".join(reasons)
        )
    return current.savepoint, (
        f"Revision {to.number} cannot read what revision {current.number} has saved, so it goes on from the savepoint "
        f"at its stop: what was committed since then is emitted again. {' '.join(reasons)}"
    )


def running_job(platform: Platform) -> JobStatus | None:
    """The job as Flink has it; None when it does not run.

    Raises:
        FlinkError: Flink does not answer.
    """
    found = platform.job.status()
    return found[0] if found else None


def git_revision(checkout: Path) -> str | None:
    """The commit of a checkout, with `+` when it was changed; None outside of one."""
    git = ["git", "-C", str(checkout)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _newest_state(platform: Platform) -> SavedState | None:
    """The newest checkpoint of the running job; None before its first.

    Raises:
        StateError: it cannot be read, and was not replaced by a newer one meanwhile.
    """
    before: str | None = None
    while True:
        running = running_job(platform)
        path = running.checkpoint_path if running is not None else None
        try:
            return _state_at(platform, path)
        except StateError:
            # Flink keeps the newest few: one may be gone before it has been read.
            if path == before:
                raise
        before = path


def _state_at(platform: Platform, path: str | None) -> SavedState | None:
    return read_state(platform.settings, path, platform.local) if path else None


def _saved(
    platform: Platform, revisions: RevisionStore, current: Revision | None, running: JobStatus | None
) -> str | None:
    """The state that a job which does not run left."""
    if running is not None:
        return None
    if current is None:
        newest = revisions.newest()
        return newest.savepoint if newest and newest.outcome == "stopped" else None
    point = platform.job.last_state(current.job_id)
    return point.path if point else None


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
