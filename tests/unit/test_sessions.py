from __future__ import annotations

import subprocess
import sys
from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.errors import SettingsError
from ta_pipeline.sessions import SessionBounds, Sessions

NEW_YORK = "America/New_York"


def ms(moment: str, zone: str = NEW_YORK) -> int:
    return int(pd.Timestamp(moment, tz=zone).value // 1_000_000)


@pytest.mark.parametrize(
    ("window", "start"),
    [
        ("2024-07-22 04:00:00", "2024-07-22 04:00"),
        ("2024-07-22 03:59:59", "2024-07-21 04:00"),
        ("2024-07-22 12:00:00", "2024-07-22 04:00"),
        ("2024-07-22 23:59:59", "2024-07-22 04:00"),
        ("2024-07-23 00:00:00", "2024-07-22 04:00"),
        # clocks go forward at 02:00 on 10 March and back at 02:00 on 3 November 2024
        ("2024-03-10 01:59:59", "2024-03-09 04:00"),
        ("2024-03-10 03:00:00", "2024-03-09 04:00"),
        ("2024-03-10 04:00:00", "2024-03-10 04:00"),
        ("2024-11-03 03:59:59", "2024-11-02 04:00"),
        ("2024-11-03 04:00:00", "2024-11-03 04:00"),
    ],
)
def test_the_extended_session_starts_at_four_in_new_york_whatever_the_season(window: str, start: str) -> None:
    assert Sessions("extended").session_of(ms(window)) == ms(start)


def test_extended_sessions_last_23_and_25_hours_when_the_clocks_change() -> None:
    sessions = Sessions("extended")
    lengths = []
    for day in (date(2024, 3, 8), date(2024, 3, 9), date(2024, 11, 2), date(2024, 11, 3)):
        bounds = sessions.session_bounds(day)
        assert bounds is not None
        lengths.append((bounds.end_ms - bounds.start_ms) / 3_600_000)
    assert lengths == [24, 23, 25, 24]
    # the same reset is 09:00 UTC in winter and 08:00 UTC in summer
    assert sessions.session_of(ms("2024-03-08 20:00", "UTC")) == ms("2024-03-08 09:00", "UTC")
    assert sessions.session_of(ms("2024-03-11 20:00", "UTC")) == ms("2024-03-11 08:00", "UTC")


@pytest.mark.parametrize(
    ("window", "start"),
    [
        ("2024-07-22 09:29:59", None),
        ("2024-07-22 09:30:00", "2024-07-22 09:30"),
        ("2024-07-22 15:59:59", "2024-07-22 09:30"),
        ("2024-07-22 16:00:00", None),
        ("2024-07-22 23:59:59", None),
        ("2024-07-21 12:00:00", None),  # Sunday
        ("2024-11-29 12:59:59", "2024-11-29 09:30"),  # early close, day after Thanksgiving
        ("2024-11-29 13:00:00", None),
        ("2024-12-25 12:00:00", None),  # holiday
        ("2024-03-08 09:30:00", "2024-03-08 09:30"),
        ("2024-03-11 09:30:00", "2024-03-11 09:30"),
        ("2018-01-02 09:30:00", "2018-01-02 09:30"),
    ],
)
def test_the_regular_session_is_the_exchanges_own(window: str, start: str | None) -> None:
    assert Sessions("regular").session_of(ms(window)) == (ms(start) if start else None)


def test_the_regular_session_follows_daylight_saving() -> None:
    sessions = Sessions("regular")
    assert sessions.session_bounds(date(2024, 3, 8)) == SessionBounds(
        ms("2024-03-08 14:30", "UTC"), ms("2024-03-08 21:00", "UTC")
    )
    assert sessions.session_bounds(date(2024, 3, 11)) == SessionBounds(
        ms("2024-03-11 13:30", "UTC"), ms("2024-03-11 20:00", "UTC")
    )
    assert sessions.session_bounds(date(2024, 11, 4)) == SessionBounds(
        ms("2024-11-04 14:30", "UTC"), ms("2024-11-04 21:00", "UTC")
    )
    assert sessions.session_bounds(date(2024, 11, 28)) is None


def test_the_utc_day_starts_at_midnight_utc() -> None:
    sessions = Sessions("utc_day")
    assert sessions.session_of(ms("2024-03-10 23:59:59", "UTC")) == ms("2024-03-10", "UTC")
    assert sessions.session_of(ms("2024-03-11 00:00:00", "UTC")) == ms("2024-03-11", "UTC")
    assert sessions.session_bounds(date(2024, 3, 10)) == SessionBounds(ms("2024-03-10", "UTC"), ms("2024-03-11", "UTC"))


@given(st.lists(st.integers(min_value=ms("2023-12-20"), max_value=ms("2024-12-31")), min_size=1, max_size=30))
@pytest.mark.parametrize("kind", ["extended", "regular", "utc_day"])
def test_the_answer_does_not_depend_on_what_was_asked_before(kind: str, windows: list[int]) -> None:
    sessions = SHARED[kind]
    for window in windows:
        zone = "UTC" if kind == "utc_day" else NEW_YORK
        day = pd.Timestamp(window, unit="ms", tz=zone)
        candidates = [sessions.session_bounds((day - pd.Timedelta(days=back)).date()) for back in (0, 1, 2)]
        expected = [b.start_ms for b in candidates if b is not None and b.start_ms <= window < b.end_ms]
        assert sessions.session_of(window) == (expected[0] if expected else None)


SHARED = {kind: Sessions(kind) for kind in ("extended", "regular", "utc_day")}


@pytest.mark.parametrize(
    ("kind", "now", "expected"),
    [
        ("extended", "2024-07-22 03:59:59", False),
        ("extended", "2024-07-22 04:00:00", True),
        ("extended", "2024-07-22 19:59:59", True),
        ("extended", "2024-07-22 20:00:00", False),
        ("extended", "2024-07-20 12:00:00", False),  # Saturday
        ("extended", "2024-12-25 12:00:00", False),
        ("extended", "2024-11-29 16:59:59", True),  # early close at 13:00, after hours until 17:00
        ("extended", "2024-11-29 17:00:00", False),
        ("extended", "2024-03-11 04:00:00", True),
        ("regular", "2024-07-22 09:29:59", False),
        ("regular", "2024-07-22 09:30:00", True),
        ("regular", "2024-11-29 13:00:00", False),
        ("utc_day", "2024-12-25 12:00:00", True),
    ],
)
def test_the_market_is_open_when_trades_are_to_be_expected(kind: str, now: str, expected: bool) -> None:
    assert Sessions(kind).is_open(ms(now)) is expected


def test_a_kind_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"TA_SESSION='lunch' is not allowed.*extended, regular, utc_day"):
        Sessions("lunch")


def test_the_exchange_calendar_is_loaded_only_when_it_is_asked_for() -> None:
    program = (
        "import sys\nfrom ta_pipeline.sessions import Sessions\n"
        "Sessions('extended').session_of(1721563200000)\nSessions('regular')\n"
        "assert 'exchange_calendars' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
