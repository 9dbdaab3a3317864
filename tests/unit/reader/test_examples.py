"""The toy strategy orders on what it may rely on, and on nothing else; lines are readable."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.reader import Disconnected, Heard, Item, Reconnected, Signal, Stale, WarmedUp, WarmingUp
from ta_pipeline.reader.examples.follow_signals import follow, line_of, start_of
from ta_pipeline.reader.examples.moving_position import MovingPosition
from ta_pipeline.reader.examples.research_day import range_of
from ta_pipeline.reader.records import Standing
from ta_pipeline.sessions import NEW_YORK
from tests.output_records import START_MS, bar, handed, signal

UP, DOWN = {"macd": 0.2, "signal": 0.1, "hist": 0.1}, {"macd": 0.1, "signal": 0.2, "hist": -0.1}


def said(macd: dict[str, float], *, final: bool = True, standing: Standing = "newest", size: str = "PT1S") -> Signal:
    found = handed(signal("NVDA", START_MS, 170.1, final=final, macd=macd, size=size), standing)
    assert isinstance(found, Signal)
    return found


def orders(*items: Item) -> list[str]:
    strategy = MovingPosition()
    return [order for item in items if (order := strategy.take(item)) is not None]


def test_finals_are_acted_on_once_for_each_turn() -> None:
    assert orders(said(DOWN), said(UP), said(UP), said(DOWN)) == [
        "14:30:00 buy NVDA at 170.1", "14:30:00 sell NVDA at 170.1",
    ]  # fmt: skip


def test_live_signals_and_corrections_of_the_past_are_not_acted_on() -> None:
    assert orders(said(UP, final=False), said(UP, standing="revises")) == []


def test_one_minute_signals_are_not_mixed_with_those_of_seconds() -> None:
    assert orders(said(UP, size="PT1M"), WarmingUp("NVDA", "PT1M", 3, 34), said(UP), said(DOWN, size="PT1M")) == [
        "14:30:00 buy NVDA at 170.1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        (WarmingUp("NVDA", "PT1S", 3, 34), WarmedUp("NVDA", "PT1S", 34)),
        (Stale("NVDA", 31_000), Heard("NVDA", 40_000)),
        (Disconnected("kafka", "kafka:9092/1 is DOWN"), Reconnected("kafka", 9_000)),
    ],
)
def test_nothing_is_ordered_while_the_stream_cannot_be_relied_on(bad: Item, good: Item) -> None:
    assert orders(bad, said(UP)) == []
    assert orders(bad, said(UP), good, said(UP)) == ["14:30:00 buy NVDA at 170.1"]


def test_a_symbol_that_is_heard_again_may_still_be_warming_up() -> None:
    cold, stale = WarmingUp("NVDA", "PT1S", 3, 34), Stale("NVDA", 31_000)
    assert orders(cold, stale, Heard("NVDA", 40_000), said(UP)) == []


def test_each_item_is_a_line() -> None:
    assert line_of(said(UP)) == "14:30:00 NVDA   final 0   newest   close 170.1 rsi 55.1"
    assert line_of(said(UP, size="PT1M")) == "14:30:00 NVDA   minute 0  newest   close 170.1 rsi 55.1"
    assert line_of(handed(bar("NVDA", START_MS))) == "14:30:00 NVDA   bar 0     newest   170.1 x 1200.0"
    assert line_of(Stale("NVDA", 31_000)) == "!        Stale(symbol='NVDA', silent_ms=31000)"


def test_since_is_a_time_of_today_in_new_york() -> None:
    since = start_of("09:30")
    assert isinstance(since, datetime)
    assert (since.hour, since.minute, since.tzinfo) == (9, 30, NEW_YORK)
    assert since.date() == datetime.now(NEW_YORK).date()
    assert start_of("earliest") == "earliest"


def test_since_a_time_that_is_still_to_come_is_refused() -> None:
    with pytest.raises(SettingsError, match="is in the future"):
        follow(["NVDA"], datetime.now(NEW_YORK) + timedelta(minutes=5))


def test_a_day_is_researched_from_open_to_close() -> None:
    assert range_of(date(2026, 1, 2), "regular") == (
        datetime(2026, 1, 2, 14, 30, tzinfo=UTC), datetime(2026, 1, 2, 21, tzinfo=UTC),
    )  # fmt: skip
    start, end = range_of(None, "regular")
    assert end - start == timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (date(2026, 1, 4), "--day 2026-01-04 is not allowed: on that Sunday there is no session .* as 2026-01-02"),
        (date(2026, 1, 1), "--day 2026-01-01 is not allowed: on that Thursday there is no session .* as 2025-12-31"),
    ],
)
def test_a_day_without_a_session_is_refused_and_one_that_has_it_is_named(day: date, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        range_of(day, "regular")
    assert range_of(day, "utc_day")
