"""The merge of live and final records: what is handed out, what is left out, and what is told."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.decode import Channel, Head
from ta_pipeline.reader.events import Event, Heard, Missing, Stale, TooOld, WarmedUp, WarmingUp
from ta_pipeline.reader.merge import Limits, Merge, Taken

T0 = 1_767_364_200_000
LIMITS = Limits(final_within_ms=20_000, stale_after_ms=30_000)


class R(NamedTuple):
    """One record: the second it is about, counted from the first one."""

    second: int
    revision: int = 0
    final: bool = True
    symbol: str = "AAPL"
    channel: Channel = "signals"
    bars: int | None = 100

    @property
    def head(self) -> Head:
        end = T0 + self.second * 1_000
        return Head(self.symbol, "PT1S", end // 1_000, self.revision, self.final, end, end - 50)


def live(second: int, revision: int = 1, **more: object) -> R:
    return R(second, revision, final=False, channel="live", **more)  # type: ignore[arg-type]


def bar(second: int, revision: int = 0) -> R:
    return R(second, revision, channel="bars")


def take(merge: Merge, record: R, now_ms: int = T0, *, is_told: bool = True) -> Taken:
    return merge.take(record.channel, record.head, record.bars, now_ms, is_told=is_told)


def standings(records: Iterable[R], limits: Limits = LIMITS) -> list[str | None]:
    merge = Merge(limits)
    return [taken.standing or taken.left_out for taken in (take(merge, record) for record in records)]


def events(merge: Merge, *records: R, now_ms: int = T0) -> list[Event]:
    return [event for record in records for event in take(merge, record, now_ms).events]


def test_live_signals_are_the_newest_value_and_finals_settle_what_they_said() -> None:
    assert standings([live(1, 3), live(1, 4), live(2, 1), R(1), live(3, 1), R(2), R(3)]) == [
        "newest", "newest", "newest", "settles", "newest", "settles", "newest",
    ]  # fmt: skip


def test_a_final_beats_a_live_signal_of_any_revision() -> None:
    assert standings([live(1, 17), R(1, 0), live(1, 18)]) == ["newest", "newest", "superseded"]


def test_a_correction_of_an_older_second_is_never_the_newest_value() -> None:
    assert standings([R(1), R(2), R(1, 1)]) == ["newest", "newest", "revises"]
    assert standings([R(1), R(2), R(2, 1)]) == ["newest", "newest", "newest"]
    assert standings([live(3), R(1), R(2), R(1, 1)]) == ["newest", "settles", "settles", "revises"]


def test_a_correction_of_the_newest_final_value_is_the_newest_final_value_with_live_signals_and_without() -> None:
    assert standings([live(2), R(1), R(1, 1), R(1, 2)]) == ["newest", "settles", "settles", "settles"]
    assert standings([R(1), R(1, 1), R(1, 2)]) == ["newest", "newest", "newest"]
    drop = Limits(final_within_ms=20_000, drop_revisions=True)
    assert standings([live(2), R(1), R(1, 1)], drop) == ["newest", "settles", "settles"]


def test_a_late_bar_of_a_second_that_had_none_is_of_the_past() -> None:
    assert standings([bar(1), bar(3), bar(2)]) == ["newest", "newest", "revises"]


def test_corrections_are_left_out_on_demand() -> None:
    drop = Limits(final_within_ms=20_000, drop_revisions=True)
    assert standings([R(1), R(2), R(1, 1), R(2, 1)], drop) == ["newest", "newest", "past", "newest"]


def test_what_comes_twice_is_handed_out_once() -> None:
    assert standings([R(1), R(1), R(1, 1), R(1, 1), R(1)]) == [
        "newest", "duplicate", "newest", "duplicate", "superseded",
    ]  # fmt: skip
    assert standings([live(1, 2), live(1, 2), live(1, 1)]) == ["newest", "duplicate", "superseded"]


def test_symbols_sizes_bars_and_signals_do_not_touch_each_other() -> None:
    merge = Merge(LIMITS)
    assert take(merge, R(5)).standing == "newest"
    assert take(merge, R(1, symbol="NVDA")).standing == "newest"
    assert take(merge, bar(1)).standing == "newest"
    minute = Head("AAPL", "PT1M", T0 // 60_000, 0, True, T0, T0)
    assert merge.take("signals", minute, 50, T0).standing == "newest"


def test_a_record_older_than_is_remembered_is_left_out_and_told() -> None:
    merge = Merge(LIMITS)
    take(merge, R(300))
    taken = take(merge, R(100, 1))
    assert taken.standing is None
    assert taken.events == [TooOld("AAPL", "PT1S", T0 + 100_000, 1, True)]
    assert take(merge, R(121)).standing == "revises"


def test_what_was_handed_out_before_is_known_and_tells_nothing() -> None:
    merge = Merge(LIMITS)
    assert take(merge, R(1, bars=3), is_told=False).events == []
    take(merge, R(2, bars=4), is_told=False)
    assert take(merge, R(1, bars=3)).left_out == "duplicate"
    assert take(merge, R(1, 1, bars=3)).standing == "revises"
    assert take(merge, R(3, bars=5)).events == [WarmingUp("AAPL", "PT1S", 5, 34)]


def test_warming_up_is_told_once_and_so_is_its_end() -> None:
    merge = Merge(LIMITS)
    assert events(merge, live(1, bars=1), R(1, bars=1), live(2, bars=2)) == [WarmingUp("AAPL", "PT1S", 1, 34)]
    # A final is behind the live signals: it says nothing new.
    assert events(merge, live(34, bars=34), R(33, bars=33), R(34, bars=34)) == [
        WarmedUp("AAPL", "PT1S", 34),
        *[Missing("final", "AAPL", T0 + 2_000, "passed")],
    ]
    assert events(merge, live(35, bars=35)) == []
    assert events(merge, live(36, bars=1)) == [WarmingUp("AAPL", "PT1S", 1, 34)]


def test_a_symbol_that_is_warm_from_the_start_is_not_spoken_of() -> None:
    assert events(Merge(LIMITS), R(1, bars=500)) == []


def test_a_signal_that_does_not_say_of_how_many_bars_it_is_is_not_warm() -> None:
    merge = Merge(LIMITS)
    assert events(merge, R(1, bars=None), R(2, bars=None)) == [WarmingUp("AAPL", "PT1S", 0, 34)]
    assert events(merge, R(3)) == [WarmedUp("AAPL", "PT1S", 100)]


def test_a_second_whose_final_was_passed_is_missing_it() -> None:
    merge = Merge(LIMITS)
    assert events(merge, R(0), live(1), live(2), live(2, 2), live(3), R(1)) == []
    assert events(merge, R(3)) == [Missing("final", "AAPL", T0 + 2_000, "passed")]
    assert events(merge, R(4)) == []


def test_a_live_signal_that_comes_after_a_later_final_misses_its_own() -> None:
    merge = Merge(LIMITS)
    assert events(merge, R(1), R(3), live(2), live(2, 2)) == [Missing("final", "AAPL", T0 + 2_000, "passed")]
    # What was before the first final is not known.
    assert events(merge, live(0)) == []


def test_overdue_finals_are_told_once_until_they_come_again() -> None:
    merge = Merge(LIMITS)
    assert events(merge, R(0), live(1), live(2)) == []
    assert merge.judge(T0 + 20_000) == []
    assert merge.judge(T0 + 20_001) == [Missing("final", "AAPL", T0 + 1_000, "overdue")]
    assert events(merge, live(30), now_ms=T0 + 25_000) == []
    assert merge.judge(T0 + 49_000) == []
    assert events(merge, R(1), R(2), R(30), now_ms=T0 + 50_000) == []
    assert merge.judge(T0 + 60_000) == []


def test_a_bar_without_a_signal_is_told_and_a_late_bar_is_none() -> None:
    merge = Merge(LIMITS)
    assert events(merge, bar(1), R(1), bar(2), bar(4), R(4)) == [Missing("signal", "AAPL", T0 + 2_000, "passed")]
    # A late trade for a second without a bar gives one, and no signal.
    assert events(merge, bar(3)) == []
    assert events(merge, R(6), bar(5), bar(6)) == [Missing("signal", "AAPL", T0 + 5_000, "passed")]


def test_a_quiet_symbol_is_stale_once_and_heard_again() -> None:
    merge = Merge(LIMITS)
    take(merge, R(1), T0)
    take(merge, R(1, symbol="NVDA"), T0 + 10_000)
    assert merge.judge(T0 + 30_000) == []
    assert merge.judge(T0 + 30_001) == [Stale("AAPL", 30_001)]
    assert merge.judge(T0 + 40_001) == [Stale("NVDA", 30_001)]
    assert events(merge, R(2), now_ms=T0 + 50_000) == [Heard("AAPL", 50_000)]


def test_a_symbol_that_never_comes_is_stale_when_it_was_asked_for() -> None:
    merge = Merge(LIMITS, ["NVDA"], T0)
    assert merge.judge(T0 + 30_001) == [Stale("NVDA", 30_001)]


def test_silence_counts_from_when_something_could_come_again() -> None:
    merge = Merge(LIMITS)
    take(merge, R(0), T0)
    take(merge, live(1), T0)
    merge.count_from(T0 + 60_000)
    assert merge.judge(T0 + 80_000) == []
    assert merge.judge(T0 + 90_001) == [Stale("AAPL", 30_001), Missing("final", "AAPL", T0 + 1_000, "overdue")]


def test_silence_outside_the_session_is_no_staleness() -> None:
    close = 1_767_387_600_000  # 2026-01-02 16:00 New York, a Friday
    monday = close + 65 * 3_600_000 + 1_800_000
    merge = Merge(Limits(final_within_ms=20_000, stale_after_ms=30_000, session="regular"), ["AAPL"], close - 10_000)
    assert merge.judge(close - 1) == []
    assert merge.judge(close + 3_600_000) == []
    assert merge.judge(monday) == []
    assert merge.judge(monday + 30_001) == [Stale("AAPL", 30_001)]


def test_a_clock_that_is_set_back_hides_no_silence() -> None:
    hour = 3_600_000
    merge = Merge(LIMITS)
    take(merge, R(1), T0)
    assert merge.judge(T0 + 10_000) == []
    take(merge, R(1, symbol="NVDA"), T0 + 10_000 - hour)
    assert merge.judge(T0 + 30_000 - hour) == []
    assert merge.judge(T0 + 30_001 - hour) == [Stale("AAPL", 30_001)]
    assert merge.judge(T0 + 40_001 - hour) == [Stale("NVDA", 30_001)]
    assert events(merge, R(2), now_ms=T0 + 50_000 - hour) == [Heard("AAPL", 50_000)]


def test_a_clock_that_is_set_back_hides_nothing_that_is_overdue() -> None:
    hour = 3_600_000
    merge = Merge(LIMITS)
    assert events(merge, R(0), live(1), R(0, symbol="NVDA")) == []
    assert events(merge, live(1, symbol="NVDA"), now_ms=T0 + 5_000) == []
    assert merge.judge(T0 + 5_000 - hour) == []
    assert merge.judge(T0 + 20_001 - hour) == [Missing("final", "AAPL", T0 + 1_000, "overdue")]
    assert merge.judge(T0 + 25_001 - hour) == [Missing("final", "NVDA", T0 + 1_000, "overdue")]


RECORDS = st.lists(
    st.builds(
        R, st.integers(0, 60), st.integers(0, 3), st.booleans(), st.sampled_from(["AAPL", "NVDA"]), st.just("signals")
    ),
    max_size=60,
)


@given(RECORDS, st.integers(0, 2**32))
def test_any_order_of_arrival_leaves_the_same_record_of_each_second(records: list[R], seed: int) -> None:
    def kept(order: list[R]) -> dict[tuple[str, int], tuple[bool, int]]:
        merge, state = Merge(LIMITS), {}
        for record in order:
            if take(merge, record).standing is not None:
                state[record.symbol, record.second] = record.final, record.revision
        return state

    shuffled = random.Random(seed).sample(records, len(records))
    best: dict[tuple[str, int], tuple[bool, int]] = {}
    for record in records:
        key = record.symbol, record.second
        best[key] = max(best.get(key, (False, -1)), (record.final, record.revision))
    assert kept(records) == kept(shuffled) == best


@given(RECORDS)
def test_the_newest_value_never_goes_back_in_time_and_nothing_comes_twice(records: list[R]) -> None:
    merge = Merge(LIMITS)
    newest: dict[tuple[str, bool], int] = {}
    handed: dict[tuple[str, int], tuple[bool, int]] = {}
    for record in records:
        standing = take(merge, record).standing
        if standing is None:
            continue
        key, rank = (record.symbol, record.second), (record.final, record.revision)
        assert rank > handed.get(key, (False, -1))
        handed[key] = rank
        value, final = (record.symbol, False), (record.symbol, True)
        if standing == "newest":
            assert record.second >= newest.get(value, -1)
            newest[value] = record.second
        else:
            assert record.second < newest[value]
        if record.final and standing != "revises":
            assert record.second >= newest.get(final, -1)
            newest[final] = record.second


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=400))
def test_memory_does_not_grow_with_the_day(seconds: list[int]) -> None:
    merge = Merge(Limits(final_within_ms=20_000, remember_ms=10_000))
    for second in sorted(seconds):
        take(merge, live(second), T0 + second * 1_000)
        take(merge, R(second), T0 + second * 1_000)
        merge.judge(T0 + second * 1_000)
    (series,) = merge._series.values()
    assert len(series._finals) <= 10
    assert len(series._live) <= 10
    assert len(merge._no_final._since) <= 21
