"""What runs of a deployment, and what state is there to go on from; changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ta_pipeline.errors import NoAnswerError, RolloutError, StateError
from ta_pipeline.job_state import SavedState
from ta_pipeline.platform import Platform
from ta_pipeline.retained import written_at_ms
from ta_pipeline.revisions import Revision
from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.runtime import JobRuntime, JobStatus
from ta_pipeline.state_reader import read_state

# Where a job is looked for.
_ADDRESS = ("TA_K8S_DEPLOYMENT", "TA_FLINK_REST_URL")


def running_job(platform: Platform) -> JobStatus | None:
    """The job as Flink has it; None when it does not run.

    Raises:
        FlinkError: Flink does not answer.
    """
    found = platform.job.status()
    return found[0] if found else None


def elsewhere(platform: Platform, current: Revision | None, running: JobStatus | None) -> list[str]:
    """Why the job of the current revision may run where the declared settings do not find it.

    Args:
        platform: the deployment as it is declared.
        current: what should run.
        running: what the declared settings find.

    Raises:
        FlinkError: Flink refuses to tell.
    """
    if current is None or (running is not None and running.job_id == current.job_id):
        return []
    declared = platform.settings.public()
    moved = [name for name in _ADDRESS if current.settings.get(name, "") != declared.get(name, "")]
    if not moved:
        return []
    was = ", ".join(f"{name}={current.settings.get(name, '')}" for name in moved)
    try:
        found = running_job(platform.asked_as(current.settings))
    except NoAnswerError as error:
        return [
            f"revision {current.number} was rolled out with {was}, and whether its job runs there is not known: "
            f"{error}; if it is certain that nothing runs there, say so with old_job_is_gone"
        ]
    if found is None:
        return []
    return [
        f"{', '.join(moved)}: revision {current.number} runs as job {found.job_id} with {was}; a rollout would start a "
        "second job beside it: run the job `stop` with these values first, then roll out with the new ones"
    ]


def moved_here(platform: Platform, revision: Revision) -> Revision:
    """The revision as if it had been rolled out at the declared address: nothing is at its own any more."""
    declared = platform.settings.public()
    return dataclasses.replace(
        revision, settings={**revision.settings, **{name: declared[name] for name in _ADDRESS if name in declared}}
    )


@dataclass(frozen=True)
class Left:
    """State that a job left, and the versions of its states as far as they were written down."""

    path: str
    states: Mapping[str, int]


def left_state(platform: Platform, last: Revision | None, left: Rollout | None) -> Left | None:
    """The newest state of a job that does not run: a savepoint or a retained checkpoint; None when there is none.

    Args:
        platform: the deployment as it is declared.
        last: the current revision, or the one that was stopped.
        left: the newest rollout.

    Raises:
        RolloutError: one of its jobs runs, under another name.
        TaError: Flink or S3 does not answer.
    """
    where = platform if last is None else platform.asked_as(last.settings)
    recorded = last.states if last is not None else {}
    points: list[tuple[int, Left]] = []
    for job_id in dict.fromkeys(_jobs_of(platform.job, last, left)):
        status = where.job.find(job_id)
        if status is not None and not status.is_ended:
            raise RolloutError(
                f"job {job_id} of this deployment runs as {status.name!r}: stop it, or set TA_K8S_DEPLOYMENT to that"
            )
        if (point := where.job.last_state(job_id)) is not None:
            is_target = left is not None and job_id in left.attempts
            points.append((point.at_ms, Left(point.path, left.states if left and is_target else recorded)))
    points += list(_named(where, last, left, recorded))
    return max(points, key=lambda point: point[0], default=(0, None))[1]


def _named(
    where: Platform, last: Revision | None, left: Rollout | None, recorded: Mapping[str, int]
) -> Iterator[tuple[int, Left]]:
    """States that the records name: of jobs that nobody remembers."""
    paths = [last.savepoint] if last is not None and last.outcome == "stopped" else []
    if left is not None:
        paths += [left.restore_from, left.savepoint, left.start_from, left.back_from]
    for path in dict.fromkeys(paths):
        if not path:
            continue
        try:
            yield written_at_ms(where.settings, path), Left(path, recorded)
        except StateError:
            # It has been deleted: then it was not the newest.
            continue


def newest_state(platform: Platform) -> SavedState | None:
    """The newest checkpoint of the running job; None before its first, or when it does not run.

    Raises:
        StateError: it cannot be read, and was not replaced by a newer one meanwhile.
    """
    before: str | None = None
    while True:
        running = running_job(platform)
        path = running.checkpoint_path if running is not None else None
        try:
            return state_at(platform, path)
        except StateError:
            # Flink keeps the newest few: one may be gone before it has been read.
            if path == before:
                raise
        before = path


def state_at(platform: Platform, path: str | None) -> SavedState | None:
    """What a savepoint or checkpoint holds; None for None.

    Raises:
        StateError: it is not there, or cannot be read.
    """
    return read_state(platform.settings, path, platform.local) if path else None


def _jobs_of(runtime: JobRuntime, last: Revision | None, left: Rollout | None) -> Iterator[str]:
    """Every job whose state may be the newest."""
    if last is not None and last.job_id:
        yield last.job_id
    if left is not None:
        yield from (one for one in (left.old_job_id, *left.attempts, *left.back_attempts) if one)
    # Somebody may have started one by hand.
    if (newest := runtime.newest_job_id()) is not None:
        yield newest
