"""Retention of releases: which copies of the job's code may go.

A rollback brings the code of its revision back, and the agent of a rollout that was interrupted the code it deploys or
returns to. What else was copied (by a plan that was only looked at, by a job started by hand) nobody asks for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ta_pipeline.local.releases import prune, unneeded
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.revisions import Revision, RevisionStore, current
from ta_pipeline.rollout.journal import Journal, Rollout
from ta_pipeline.settings import Settings

VERSIONS = 10
"""So many versions of the code stay for rollbacks, the running one included."""
GRACE = timedelta(hours=1)
"""What was used since may be about to be deployed by a rollout that is still being planned."""


@dataclass(frozen=True)
class ReleasePlan:
    """What `apply_release_retention` would do.

    Attributes:
        keep: digests that are needed.
        delete: names under `releases/`.
        before: what was used since then stays, too; epoch seconds.
    """

    keep: frozenset[str]
    delete: tuple[str, ...]
    before: float


def needed_releases(revisions: Sequence[Revision], rollout: Rollout | None, versions: int = VERSIONS) -> set[str]:
    """Digests of the code that runs, that a rollback may return to, or that an unfinished rollout needs; pure.

    Args:
        revisions: the oldest first.
        rollout: of the journal; None when there was none.
        versions: how many different releases that ran stay, the newest ones.
    """
    ran = [one.release for one in reversed(revisions) if one.outcome == "running"]
    needed = set(list(dict.fromkeys(ran))[:versions])
    now = current(list(revisions))
    needed |= {one.release for one in (now, *revisions[-1:]) if one is not None}
    if rollout is not None and not rollout.is_ended:
        needed |= {version.release for version in (rollout.target, rollout.previous) if version is not None}
    return needed


def release_retention_of(settings: Settings, local: LocalSettings, now: datetime) -> ReleasePlan:
    """Which releases of the local stack may go; changes nothing.

    Raises:
        S3Error: the revisions or the journal cannot be read: what cannot be read may need any of them.
    """
    keep = needed_releases(RevisionStore(settings).all(), Journal(settings).load())
    before = (now - GRACE).timestamp()
    return ReleasePlan(frozenset(keep), tuple(unneeded(local, keep, before)), before)


def apply_release_retention(settings: Settings, local: LocalSettings, now: datetime) -> list[str]:
    """Delete the releases that nothing needs any more; returns what is gone.

    Raises:
        S3Error: the revisions or the journal cannot be read; then nothing is deleted.
    """
    plan = release_retention_of(settings, local, now)
    return prune(local, plan.keep, plan.before)
