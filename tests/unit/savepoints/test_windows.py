from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.savepoints.savepoint import Savepoint
from ta_pipeline.savepoints.windows import MARGIN, may_take_savepoint, next_allowed, reason_to_wait
from ta_pipeline.sessions import Sessions

SESSIONS = {kind: Sessions(kind) for kind in ("extended", "regular", "utc_day")}
SIX_HOURS = timedelta(hours=6)


def new_york(moment: str) -> datetime:
    return pd.Timestamp(moment, tz="America/New_York").to_pydatetime()


@pytest.mark.parametrize("kind", ["extended", "regular"])
@pytest.mark.parametrize(
    ("moment", "what"),
    [
        ("2024-07-22 08:59:59", None),
        ("2024-07-22 09:00:00", "open at 09:30 New York (13:30 UTC)"),
        ("2024-07-22 09:59:59", "open at 09:30 New York (13:30 UTC)"),
        ("2024-07-22 10:00:00", None),
        ("2024-07-22 15:30:00", "close at 16:00 New York (20:00 UTC)"),
        ("2024-07-22 16:29:59", "close at 16:00 New York (20:00 UTC)"),
        ("2024-07-22 16:30:00", None),
        ("2024-07-20 09:30:00", None),  # Saturday
        ("2024-12-25 09:30:00", None),  # holiday
        ("2024-11-29 12:30:00", "close at 13:00 New York (18:00 UTC)"),  # early close
        ("2024-11-29 16:00:00", None),
        # the same wall clock is another hour of UTC before and after the clocks change
        ("2024-03-08 09:30:00", "open at 09:30 New York (14:30 UTC)"),
        ("2024-03-11 09:30:00", "open at 09:30 New York (13:30 UTC)"),
        ("2024-11-01 16:00:00", "close at 16:00 New York (20:00 UTC)"),
        ("2024-11-04 16:00:00", "close at 16:00 New York (21:00 UTC)"),
    ],
)
def test_no_savepoint_is_taken_within_half_an_hour_of_an_open_or_a_close(
    kind: str, moment: str, what: str | None
) -> None:
    reason = may_take_savepoint(new_york(moment), SESSIONS[kind])
    assert reason == (f"within 30 min of the {what}" if what else None)


def test_the_zone_in_which_now_is_given_does_not_matter() -> None:
    moment = new_york("2024-07-22 09:15:00")
    assert may_take_savepoint(moment, SESSIONS["regular"]) == may_take_savepoint(
        moment.astimezone(UTC), SESSIONS["regular"]
    )


def test_what_trades_around_the_clock_has_no_open_and_no_close() -> None:
    assert may_take_savepoint(new_york("2024-07-22 09:30:00"), SESSIONS["utc_day"]) is None


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        ("2024-07-22 09:10:00", "2024-07-22 10:00"),
        ("2024-07-22 15:59:00", "2024-07-22 16:30"),
        ("2024-07-22 12:00:00", "2024-07-22 12:00"),
        ("2024-11-29 12:31:00", "2024-11-29 13:30"),
    ],
)
def test_the_next_allowed_moment_is_the_end_of_the_window(moment: str, allowed: str) -> None:
    assert next_allowed(new_york(moment), SESSIONS["regular"]) == new_york(allowed)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2024, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - given a zone
def test_at_the_next_allowed_moment_a_savepoint_may_be_taken_and_it_is_never_long_until_then(now: datetime) -> None:
    sessions = SESSIONS["regular"]
    allowed = next_allowed(now, sessions)
    assert may_take_savepoint(allowed, sessions) is None
    assert timedelta(0) <= allowed - now <= 2 * MARGIN
    assert (allowed == now) == (may_take_savepoint(now, sessions) is None)


def test_the_schedule_waits_for_the_newest_savepoint_to_be_old_enough() -> None:
    newest = taken(new_york("2024-07-22 11:00:00"))
    reason = reason_to_wait(new_york("2024-07-22 14:59:59"), newest, timedelta(hours=4), SESSIONS["regular"])
    assert reason == f"{newest.name} was taken at 15:00 UTC; the next is due 4 h later"
    assert reason_to_wait(new_york("2024-07-22 15:00:00"), newest, timedelta(hours=4), SESSIONS["regular"]) is None


def test_a_turn_that_falls_into_a_window_is_taken_right_after_it() -> None:
    newest = taken(new_york("2024-07-22 03:30:00"))  # due at 09:30
    every_ten_minutes = [new_york("2024-07-22 09:00:00") + timedelta(minutes=10 * n) for n in range(10)]
    reasons = [reason_to_wait(now, newest, SIX_HOURS, SESSIONS["regular"]) for now in every_ten_minutes]
    assert [reason is None for reason in reasons] == [False] * 6 + [True] * 4
    assert reasons[4] == (
        "a savepoint is due, but it is within 30 min of the open at 09:30 New York (13:30 UTC); 14:00 UTC takes it"
    )


def test_the_first_savepoint_is_due_at_once_but_not_in_a_window() -> None:
    assert reason_to_wait(new_york("2024-07-22 12:00:00"), None, SIX_HOURS, SESSIONS["regular"]) is None
    assert reason_to_wait(new_york("2024-07-22 09:30:00"), None, SIX_HOURS, SESSIONS["regular"]) is not None


def taken(at: datetime) -> Savepoint:
    return Savepoint("s3a://b/savepoints/savepoint-abcdef-0123456789ab", at.astimezone(UTC), 1, 1)
