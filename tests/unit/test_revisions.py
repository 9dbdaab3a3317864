from __future__ import annotations

import dataclasses

import pytest

from ta_pipeline.errors import RolloutError
from ta_pipeline.revisions import Revision, current, needed_savepoints, settings_hash
from ta_pipeline.rollout.service import revision_before


def revision(number: int, outcome: str = "running", *, value: str = "1", **more: object) -> Revision:
    made = Revision(
        number, "2026-01-02T15:00:00+00:00", "running", "torghut-ta", f"{number:032x}", {"TA_X": value}, "code",
        restored_from=f"sp-{number}", savepoint=f"sp-{number}",
    )  # fmt: skip
    return dataclasses.replace(made, outcome=outcome, **more)  # type: ignore[arg-type]


def test_the_newest_revision_that_was_verified_is_the_current_one() -> None:
    assert current([]) is None
    assert current([revision(1), revision(2)]) == revision(2)


def test_after_a_rollback_by_itself_the_one_before_is_current() -> None:
    assert current([revision(1), revision(2), revision(3, "rolled back", back_to=2)]) == revision(2)


def test_after_a_rollback_the_current_revision_runs_as_the_job_that_came_back() -> None:
    back = revision(3, "rolled back", back_to=2, back_job_id="f" * 32, back_from="sp-back")
    found = current([revision(1), revision(2), back])
    assert found == dataclasses.replace(revision(2), job_id="f" * 32, restored_from="sp-back")
    assert "sp-back" in needed_savepoints([revision(1), revision(2), back])


def test_revisions_that_failed_do_not_push_out_what_a_rollback_needs() -> None:
    ran = [revision(1), revision(2), revision(3)]
    failed = [revision(number, "rolled back", back_to=3) for number in range(4, 9)]
    assert {"sp-1", "sp-2", "sp-3"} <= needed_savepoints([*ran, *failed], rollbacks=2)


def test_after_a_stop_nothing_should_run() -> None:
    assert current([revision(1), revision(2, "stopped")]) is None


def test_what_the_running_job_and_the_next_rollbacks_need_is_kept() -> None:
    revisions = [revision(number) for number in range(1, 6)]
    assert needed_savepoints(revisions, rollbacks=2) == {"sp-3", "sp-4", "sp-5"}
    assert needed_savepoints(revisions, rollbacks=0) == {"sp-5"}


def test_the_current_revision_is_kept_however_many_have_failed_since() -> None:
    failed = [revision(number, "rolled back", back_to=1) for number in range(2, 9)]
    assert "sp-1" in needed_savepoints([revision(1), *failed], rollbacks=1)


def test_a_rollback_returns_to_the_newest_other_version() -> None:
    revisions = [revision(1, value="a"), revision(2, value="b"), revision(3, value="b")]
    assert revision_before(revisions, revisions[2], None).number == 1
    assert revision_before(revisions, revisions[2], 2).number == 2


def test_a_rollback_to_what_never_ran_is_refused_with_what_is_allowed() -> None:
    revisions = [revision(1), revision(2, "rolled back", back_to=1)]
    with pytest.raises(RolloutError, match="revision 2 never ran; a rollback can return to: 1"):
        revision_before(revisions, revisions[0], 2)
    with pytest.raises(RolloutError, match="is the first version"):
        revision_before(revisions, revisions[0], None)
    with pytest.raises(RolloutError, match="name the one to return to"):
        revision_before([], None, None)


def test_the_hash_of_settings_changes_with_any_of_them_and_not_with_their_order() -> None:
    assert settings_hash({"a": "1", "b": "2"}) == settings_hash({"b": "2", "a": "1"})
    assert settings_hash({"a": "1"}) != settings_hash({"a": "2"})
