from __future__ import annotations

import dataclasses

from ta_pipeline.release_retention import needed_releases
from ta_pipeline.revisions import Outcome, Revision
from ta_pipeline.rollout.journal import Rollout, Step, Version


def revision(number: int, release: str, outcome: Outcome = "running", back_to: int | None = None) -> Revision:
    at = "2026-01-02T15:00:00+00:00"
    return Revision(number, at, outcome, "torghut-ta", f"{number:032x}", {}, release, back_to=back_to)


def rollout(step: Step) -> Rollout:
    return Rollout("one", "upgrade", 1.0, Version({}, "target"), Version({}, "previous"), step=step)


def test_the_newest_versions_that_ran_stay_for_rollbacks() -> None:
    revisions = [revision(number, f"code{number}") for number in range(1, 6)]
    assert needed_releases(revisions, None, versions=3) == {"code3", "code4", "code5"}


def test_revisions_of_the_same_code_count_once() -> None:
    revisions = [revision(1, "a"), revision(2, "b"), revision(3, "b"), revision(4, "b")]
    assert needed_releases(revisions, None, versions=2) == {"a", "b"}


def test_code_that_was_rolled_back_is_not_returned_to_and_takes_no_place() -> None:
    failed = [revision(3, "bad", "rolled back", 2), revision(4, "worse", "rolled back", 2)]
    revisions = [revision(1, "a"), revision(2, "b"), *failed, revision(5, "c")]
    assert needed_releases(revisions, None, versions=3) == {"a", "b", "c"}


def test_the_current_revision_stays_however_many_have_failed_since() -> None:
    failed = [revision(number, f"bad{number}", "rolled back", 1) for number in range(2, 9)]
    assert "good" in needed_releases([revision(1, "good"), *failed], None, versions=1)


def test_what_was_stopped_stays_for_the_next_start() -> None:
    assert needed_releases([revision(1, "a"), revision(2, "a", "stopped")], None) == {"a"}


def test_an_unfinished_rollout_keeps_what_it_deploys_and_what_it_returns_to() -> None:
    steps: tuple[Step, ...] = ("planned", "stopping", "deploying", "verified", "returning")
    for step in steps:
        assert needed_releases([], rollout(step)) == {"target", "previous"}
    assert needed_releases([], dataclasses.replace(rollout("planned"), previous=None)) == {"target"}
    assert needed_releases([], rollout("failed")) == set()
    assert needed_releases([], None) == set()
