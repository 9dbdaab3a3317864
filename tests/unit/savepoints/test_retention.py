from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.revisions import Revision, needed_savepoints
from ta_pipeline.savepoints.retention import (
    GRACE,
    INCOMPLETE_FOR,
    NEEDED,
    RESTORED,
    VERIFIED,
    RetentionPlan,
    delete_savepoint,
    plan_retention,
)
from ta_pipeline.savepoints.savepoint import INCOMPLETE, Savepoint, same_path
from ta_pipeline.settings import load_settings

DIRECTORY = "s3a://bucket/ta/savepoints"
NOW = datetime(2026, 7, 22, 12, tzinfo=UTC)


def path(number: int) -> str:
    return f"{DIRECTORY}/savepoint-abcdef-{number:012x}"


def saved(number: int, hours: float, *, verified: bool = False, problem: str | None = None) -> Savepoint:
    """Number `number`, taken `hours` ago."""
    at = NOW - timedelta(hours=hours)
    return Savepoint(path(number), at, 1_000, 2, verified_at=at if verified else None, problem=problem)


def incomplete(number: int, hours: float) -> Savepoint:
    return Savepoint(path(number), NOW - timedelta(hours=hours), 1_000, 1, complete=False, problem=INCOMPLETE)


def revision(number: int, *, savepoint: str | None = None, restored_from: str | None = None) -> Revision:
    return Revision(number, "", "running", "ta", f"{number:032x}", {}, "r", restored_from, savepoint)


def planned(
    savepoints: list[Savepoint],
    revisions: list[Revision] | None = None,
    *,
    keep: int = 1,
    restored: tuple[str, ...] = (),
    unknown: tuple[str, ...] = (),
) -> RetentionPlan:
    return plan_retention(
        savepoints, revisions or [], keep, NOW, directory=DIRECTORY, restored=restored, unknown=unknown
    )


def kept(plan: RetentionPlan) -> dict[str, str]:
    return {one.savepoint.path: plan.why(one.savepoint) for one in plan.keep}


def test_the_newest_stay_and_the_rest_goes_the_oldest_first() -> None:
    plan = planned([saved(n, 6 * n) for n in range(1, 6)], keep=2)
    assert kept(plan) == {path(1): "one of the newest 2", path(2): "one of the newest 2"}
    assert [one.path for one in plan.delete] == [path(5), path(4), path(3)]


def test_what_the_running_job_or_a_rollback_needs_stays_however_old_it_is() -> None:
    revisions = [
        revision(1, savepoint=path(9)),
        revision(2, savepoint=path(8), restored_from=path(8)),
        revision(3, savepoint=f"s3://bucket/ta/savepoints/savepoint-abcdef-{7:012x}/_metadata"),
        revision(4, savepoint=path(6)),
    ]
    plan = planned([saved(n, 100 * n) for n in (1, 6, 7, 8, 9)], revisions)
    assert kept(plan) == {path(1): "the newest", path(6): NEEDED, path(7): NEEDED, path(8): NEEDED}
    assert [one.path for one in plan.delete] == [path(9)]


def test_what_a_running_job_was_restored_from_stays() -> None:
    plan = planned([saved(1, 6), saved(2, 12), saved(3, 18)], restored=(f"{path(3)}/",))
    assert kept(plan) == {path(1): "the newest", path(3): RESTORED}


def test_the_newest_verified_one_stays_when_none_of_the_newest_is() -> None:
    plan = planned([saved(1, 6), saved(2, 12), saved(3, 18, verified=True), saved(4, 24, verified=True)])
    assert kept(plan) == {path(1): "the newest", path(3): VERIFIED}


def test_one_that_was_verified_once_and_is_damaged_now_is_not_the_newest_verified_one() -> None:
    damaged = saved(2, 12, verified=True, problem="a file is missing")
    plan = planned([saved(1, 6), damaged, saved(3, 18, verified=True)])
    assert VERIFIED in kept(plan)[path(3)]
    assert [one.path for one in plan.delete] == [path(2)]


def test_a_damaged_one_does_not_take_the_place_of_a_good_one() -> None:
    damaged = [saved(n, 6 * n, problem="a file is missing") for n in (1, 2)]
    plan = planned([*damaged, saved(3, 18), saved(4, 24), saved(5, 30)], keep=2)
    assert [one.path for one in plan.delete] == [path(5)]
    assert kept(plan)[path(4)] == "one of the newest 2"


def test_when_all_are_damaged_all_stay() -> None:
    plan = planned([saved(n, 6 * n, problem="a file is missing") for n in range(1, 5)])
    assert not plan.delete


def test_a_young_one_stays() -> None:
    plan = planned([saved(1, 0.1), saved(2, 0.5), saved(3, 1.5)])
    assert kept(plan) == {path(1): "the newest; younger than 1 h", path(2): "younger than 1 h"}
    assert [one.path for one in plan.delete] == [path(3)]


def test_an_incomplete_one_goes_after_a_day_and_does_not_count_as_one_of_the_newest() -> None:
    plan = planned([incomplete(1, 0.5), incomplete(2, 23.9), incomplete(3, 24.1), saved(4, 48), saved(5, 96)])
    assert [one.path for one in plan.delete] == [path(5), path(3)]
    assert kept(plan)[path(2)] == "incomplete, but may still be being written"


def test_an_incomplete_one_that_a_revision_names_stays() -> None:
    plan = planned([saved(1, 1), incomplete(2, 99)], [revision(1, savepoint=path(2))])
    assert kept(plan)[path(2)] == NEEDED


def test_nothing_is_deleted_while_something_that_could_speak_for_it_cannot_be_read() -> None:
    savepoints = [saved(n, 6 * n) for n in range(1, 6)] + [incomplete(9, 99)]
    plan = planned(savepoints, unknown=("the revisions could not be read: S3 refused",))
    assert not plan.delete
    assert len(plan.keep) == len(savepoints)
    assert plan.unknown
    assert kept(plan)[path(5)] == "what could need it is not known"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "s3a://bucket/ta/checkpoints/0123/chk-7",
        "s3a://bucket/ta/savepoints/deeper/savepoint-abcdef-000000000009",
        "s3a://bucket/ta/savepoints-of-another/savepoint-abcdef-000000000009",
        "s3a://other/ta/savepoints/savepoint-abcdef-000000000009",
        "s3a://bucket/ta/savepoints/notes",
        "s3a://bucket/ta/savepoints/",
    ],
)
def test_nothing_but_a_savepoint_in_its_directory_is_ever_deleted(elsewhere: str) -> None:
    old = Savepoint(elsewhere, NOW - timedelta(days=99), 1, 1)
    assert kept(planned([saved(1, 1), old]))[elsewhere] == f"not a savepoint in {DIRECTORY}"
    with pytest.raises(ValueError, match="is not a savepoint in TA_SAVEPOINT_DIR"):
        delete_savepoint(load_settings(savepoint_dir=DIRECTORY), elsewhere)


NUMBERS = st.integers(0, 30)
SAVEPOINTS = st.lists(
    st.builds(
        lambda number, hours, verified, problem, complete: (
            saved(number, hours, verified=verified, problem="damaged" if problem else None)
            if complete
            else incomplete(number, hours)
        ),
        NUMBERS, st.floats(0, 400), st.booleans(), st.booleans(), st.booleans(),
    ),
    unique_by=lambda one: one.path,
)  # fmt: skip
REVISIONS = st.lists(st.tuples(st.none() | NUMBERS, st.none() | NUMBERS), max_size=6)


@given(SAVEPOINTS, REVISIONS, st.integers(1, 5), st.sets(NUMBERS, max_size=3), st.booleans())
def test_whatever_there_is_nothing_that_is_needed_is_deleted(
    savepoints: list[Savepoint],
    rollouts: list[tuple[int | None, int | None]],
    keep: int,
    restored: set[int],
    unknown: bool,
) -> None:
    revisions = [
        revision(
            number,
            savepoint=None if taken is None else path(taken),
            restored_from=None if start is None else path(start),
        )
        for number, (taken, start) in enumerate(rollouts, 1)
    ]
    plan = planned(
        savepoints,
        revisions,
        keep=keep,
        restored=tuple(path(number) for number in restored),
        unknown=("S3 refused",) if unknown else (),
    )
    deleted = {one.path for one in plan.delete}
    assert deleted.isdisjoint(needed_savepoints(revisions))
    assert deleted.isdisjoint(path(number) for number in restored)
    assert not (deleted and unknown)
    assert sorted([*deleted, *(one.savepoint.path for one in plan.keep)]) == sorted(one.path for one in savepoints)
    assert all(one.reasons for one in plan.keep)
    good = sorted((one for one in savepoints if one.usable), key=lambda one: one.taken_at, reverse=True)
    assert deleted.isdisjoint(one.path for one in good[:keep])
    assert deleted.isdisjoint(one.path for one in [one for one in good if one.verified_at][:1])
    for one in plan.delete:
        assert NOW - one.taken_at >= (GRACE if one.complete else INCOMPLETE_FOR)
        assert same_path(one.path).startswith("bucket/ta/savepoints/savepoint-")
