from __future__ import annotations

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.indicators.vwap import RollingVwap, SessionVwap
from ta_pipeline.sessions import Sessions

NOON = 1_721_563_200_000  # 2024-07-21 12:00 UTC
DAY_MS = 86_400_000
LARGEST = 1.7976931348623157e308


def second(number: int) -> int:
    return NOON + number * 1_000


def session_vwap() -> SessionVwap:
    return SessionVwap(Sessions("utc_day"))


def test_the_rounding_of_fractional_sizes_that_a_cancel_leaves_is_no_volume() -> None:
    # (0.1 + 0.2) - 0.1 - 0.2 is 2.8e-17, and (1.0 + 2.2) - 1.0 - 2.2 is 4.4e-16: a vwap of 16 out of nothing
    session, rolling = session_vwap(), RollingVwap(300_000)
    for vwap in (session, rolling):
        for pv, v in ((1.0, 0.1), (2.2, 0.2), (-1.0, -0.1), (-2.2, -0.2)):
            vwap.add_late(second(0), pv, v)
        assert vwap.preview(second(1), 0.0, 0.0) is None
        assert vwap.update(second(1), 30.0, 2.0) == 15.0


def test_small_volume_beside_what_a_cancel_took_is_kept() -> None:
    session, rolling = session_vwap(), RollingVwap(300_000)
    for vwap in (session, rolling):
        vwap.add_late(second(0), 10.0 * 1e6, 1e6)
        vwap.add_late(second(0), 20.0 * 0.001, 0.001)
        vwap.add_late(second(0), -10.0 * 1e6, -1e6)
        assert vwap.preview(second(1), 0.0, 0.0) == pytest.approx(20.0, rel=1e-4)


def test_a_corrected_price_of_the_same_size_changes_the_vwap() -> None:
    session, rolling = session_vwap(), RollingVwap(300_000)
    for vwap in (session, rolling):
        vwap.update(second(1), 1_000.0, 100.0)
        vwap.add_late(second(1), 500.0, 0.0)
        assert vwap.preview(second(2), 0.0, 0.0) == 15.0


def test_a_cancel_in_a_window_that_has_left_the_rolling_vwap_takes_nothing_from_it() -> None:
    vwap = RollingVwap(10_000)
    vwap.update(second(1), 1_000.0, 100.0)
    vwap.update(second(12), 2_000.0, 100.0)
    vwap.add_late(second(1), -1_000.0, -100.0)
    assert len(vwap.dump()) == 1 + 3
    longer = RollingVwap(60_000)  # as after a restart with a longer window
    longer.load(vwap.dump())
    assert longer.update(second(13), 2_000.0, 100.0) == 20.0


@pytest.mark.parametrize("days", [0, 1])
def test_a_cancel_does_not_open_a_session(days: int) -> None:
    vwap = session_vwap()
    if days:
        vwap.update(second(0), 1_000.0, 100.0)
    vwap.add_late(second(0) + days * DAY_MS, -1_000.0, -40.0)
    assert vwap.update(second(1) + days * DAY_MS, 2_000.0, 100.0) == 20.0


@pytest.mark.parametrize(
    ("pv", "v"),
    [(math.inf, 100.0), (LARGEST, 1e-3), (1e300, math.inf), (math.inf, math.inf)],
    ids=["value", "quotient", "volume", "both"],
)
def test_a_vwap_too_large_for_a_double_is_none(pv: float, v: float) -> None:
    session, rolling = session_vwap(), RollingVwap(300_000)
    for vwap in (session, rolling):
        assert vwap.preview(second(1), pv, v) is None
        assert vwap.update(second(1), pv, v) is None


def test_sums_too_large_for_a_double_give_none_until_they_have_left() -> None:
    vwap = RollingVwap(10_000)
    for number in range(3):
        vwap.update(second(number), LARGEST, 1.0)  # each fits, their sum does not
    assert vwap.preview(second(3), 10.0, 1.0) is None
    assert vwap.update(second(3), 10.0, 1.0) is None
    assert vwap.update(second(12), 20.0, 1.0) == 15.0
    session = session_vwap()
    assert [session.update(second(number), LARGEST, 1.0) for number in range(3)] == [LARGEST, None, None]
    assert session.update(second(0) + DAY_MS, 10.0, 1.0) == 10.0


def test_an_infinite_sum_that_was_cancelled_gives_none_rather_than_an_exception_until_it_has_left() -> None:
    vwap = RollingVwap(10_000)
    vwap.update(second(0), math.inf, 200.0)
    vwap.update(second(1), 1_000.0, 100.0)
    vwap.add_late(second(1), -math.inf, -50.0)
    assert vwap.update(second(2), 1_000.0, 100.0) is None
    assert vwap.update(second(12), 1_000.0, 100.0) == 10.0


def test_a_hundred_thousand_bars_do_not_drift_from_exact_sums_of_the_window() -> None:
    vwap, chance = RollingVwap(300_000), random.Random(1)
    bars: deque[tuple[int, float, float]] = deque()
    number = 0
    for bar in range(100_000):
        number += chance.choice((1, 1, 1, 2, 40))
        size = chance.choice((1e-6, 0.3, 100.0, 1e12))
        pv = size * chance.uniform(9.9, 1e5)
        bars.append((second(number), pv, size))
        while bars[0][0] <= second(number) - 300_000:
            bars.popleft()
        got = vwap.update(second(number), pv, size)
        if bar % 50 == 0:
            expected = math.fsum(pv for _, pv, _ in bars) / math.fsum(v for _, _, v in bars)
            assert got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("first", [0, 1, 7, 299])  # wherever the window lies between two edges
@pytest.mark.parametrize("huge", [1e12, 1e300, LARGEST, math.inf])
def test_huge_volume_that_leaves_the_window_leaves_the_others_as_they_are(first: int, huge: float) -> None:
    vwap = RollingVwap(300_000)
    vwap.update(second(first), huge, huge)
    vwap.update(second(first + 1), 3.0 * huge, huge)
    for number in range(first + 2, first + 301):
        vwap.update(second(number), 0.1, 1.0)
    assert vwap.update(second(first + 301), 0.1, 1.0) == pytest.approx(0.1, rel=1e-13)


late_volume = st.tuples(st.integers(0, 70), st.sampled_from([-1.0, -0.5, 0.25, 2.0]))
seconds_with_late_volume = st.lists(
    st.tuples(st.integers(1, 40), st.floats(0.01, 1e5), st.sampled_from([0.0, 1e-6, 0.3, 100.0, 1e12]), late_volume),
    min_size=1,
    max_size=60,
)


@given(seconds_with_late_volume, st.sampled_from([7_000, 10_000, 60_000]))
def test_a_window_with_late_volume_and_cancels_saved_and_loaded_at_every_bar_gives_the_same_bits(
    bars: list[tuple[int, float, float, tuple[int, float]]], window_ms: int
) -> None:
    undisturbed, restored = RollingVwap(window_ms), RollingVwap(window_ms)
    number, entries = 0, dict[int, tuple[float, float]]()
    for gap, price, size, (ago, part) in bars:
        number += gap
        loaded = RollingVwap(window_ms)
        loaded.load(restored.dump())
        restored, copied = loaded, undisturbed.copy()
        previewed = copied.preview(second(number), price * size, size)
        got = undisturbed.update(second(number), price * size, size)
        assert restored.update(second(number), price * size, size) == got == previewed
        assert copied.update(second(number), price * size, size) == got
        entries = {end: sums for end, sums in entries.items() if end > second(number) - window_ms}
        if size:
            entries[second(number)] = (price * size, size)
        volume = math.fsum(v for _, v in entries.values())
        assert got == (pytest.approx(math.fsum(pv for pv, _ in entries.values()) / volume) if volume else None)
        late = second(number - ago)
        pv, v = entries.get(late, (10.0, 1.0))
        for vwap in (undisturbed, restored):
            vwap.add_late(late, pv * part, v * part)
        if part == -1.0:
            entries.pop(late, None)
        elif part > 0 or late in entries:
            before = entries.get(late, (0.0, 0.0))
            entries[late] = (before[0] + pv * part, before[1] + v * part)
        assert restored.dump() == undisturbed.dump()


def test_late_volume_of_a_window_after_the_one_in_question_does_not_count_yet() -> None:
    vwap = RollingVwap(10_000)
    vwap.update(second(1), 10.0, 1.0)
    vwap.add_late(second(4), 50.0, 1.0)
    assert vwap.preview(second(2), 0.0, 0.0) == 10.0
    assert vwap.update(second(3), 20.0, 1.0) == 15.0
    assert vwap.update(second(5), 0.0, 0.0) == pytest.approx(80 / 3)
