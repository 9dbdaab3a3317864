"""Where a reader begins, and when it is told that records are gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from ta_pipeline.errors import SettingsError
from ta_pipeline.reader import Options
from ta_pipeline.reader.events import RecordsLost
from ta_pipeline.reader.positions import Beginning, Extent, Stand, beginning, checked_start, stand_in, told
from ta_pipeline.settings import load_settings

PLACE = ("ta.signals.v1", 0)


def test_what_was_written_shortly_before_is_read_but_not_handed_out() -> None:
    assert beginning(PLACE, Extent(10, 100), 100, 60) == Beginning(60, 100)
    assert beginning(PLACE, Extent(80, 100), 100, 60) == Beginning(80, 100)


def test_a_position_that_is_older_than_what_was_written_shortly_before_is_where_reading_begins() -> None:
    assert beginning(PLACE, Extent(10, 100), 40, 90) == Beginning(40, 40)


def test_a_position_that_retention_has_passed_is_told_and_reading_begins_at_what_is_left() -> None:
    assert beginning(PLACE, Extent(70, 100), 40, 90) == Beginning(70, 70, RecordsLost(*PLACE, 40, 70))


def test_a_position_beyond_the_end_is_of_a_topic_that_was_made_anew() -> None:
    assert beginning(PLACE, Extent(0, 5), 40, 5) == Beginning(0, 0, RecordsLost(*PLACE, 40, 0))


def test_what_a_group_is_told_says_when_the_record_before_was_written() -> None:
    assert stand_in(told(PLACE, Stand(40, 1_767_364_200_000))) == Stand(40, 1_767_364_200_000)
    assert stand_in(told(PLACE, Stand(40))) == Stand(40)


@pytest.mark.parametrize("said", ["", "by hand", "-1"])
def test_a_position_that_somebody_else_has_set_has_no_time(said: str) -> None:
    assert stand_in(TopicPartition(*PLACE, 40, metadata=said)) == Stand(40)
    assert stand_in(TopicPartition(*PLACE, 40)) == Stand(40)


@pytest.mark.parametrize(
    ("start", "why"),
    [(datetime(2026, 1, 2, 9, 30), "has no zone"), ("newest", "it is latest, earliest or a datetime")],  # noqa: DTZ001
)
def test_a_start_that_is_none_is_refused(start: Any, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        checked_start(start)
    assert checked_start(datetime(2026, 1, 2, 9, 30, tzinfo=UTC))


def test_a_start_that_is_still_to_come_is_refused() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    with pytest.raises(SettingsError, match=r"start=.* is in the future: it is .*or latest to begin now"):
        checked_start(soon)
    now = datetime.now(UTC)
    assert checked_start(now) == now


@pytest.mark.parametrize("name", ["stale_after_seconds", "warm_up_bars", "final_within_seconds", "remember_seconds"])
def test_an_option_that_makes_no_sense_is_refused_by_name(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(SettingsError, match=f"{name}=0 is not allowed"):
        Options(**options).limits(load_settings())


def test_finals_are_waited_for_as_long_as_the_settings_promise() -> None:
    assert Options().limits(load_settings()).final_within_ms == 1_000 + 5_000 + 10_000 + 5_000
    assert Options(final_within_seconds=2).limits(load_settings()).final_within_ms == 2_000


def test_windows_are_known_for_as_long_as_the_job_may_revise_them() -> None:
    usual, long = load_settings(), load_settings(revision_horizon_ms=3_600_000)
    assert Options().limits(usual).remember_ms == 180_000
    assert Options().known_ms(usual) == 60_000 + 21_000
    assert Options().limits(long).remember_ms == 3_600_000 + 120_000
    assert Options().known_ms(long) == 3_600_000 + 21_000
    none = load_settings(revision_horizon_ms=0)
    assert (Options().limits(none).remember_ms, Options().known_ms(none)) == (180_000, 60_000)


def test_what_is_said_of_how_long_windows_are_known_holds_whatever_the_horizon() -> None:
    long, options = load_settings(revision_horizon_ms=3_600_000), Options(remember_seconds=30, know_seconds=0)
    assert (options.limits(long).remember_ms, options.known_ms(long)) == (30_000, 0)
    with pytest.raises(SettingsError, match="know_seconds=-1 is not allowed"):
        Options(know_seconds=-1).limits(long)
