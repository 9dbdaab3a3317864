from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.signals.quotes import CarriedQuotes, Quote, derive

MINUTE_MS = 60_000
M0 = 29_744_070 * MINUTE_MS  # 2026-07-21 14:30 UTC


def at(end_ms: int, bid: float = 10.0) -> Quote:
    return Quote(end_ms, bid, 3.0, bid + 0.5, 1.0, end_ms - 10)


def carried(*quotes: Quote) -> CarriedQuotes:
    kept = CarriedQuotes()
    for quote in quotes:
        assert kept.take(quote)
    return kept


def test_the_quote_of_a_minute_end_is_known_when_the_minute_is_updated_half_a_minute_later() -> None:
    quotes = [at(M0 + second * 1_000, bid=10.0 + second) for second in range(-90, 41)]
    kept = carried(*quotes)
    assert kept.as_of(M0) == at(M0, bid=10.0)
    assert kept.as_of(M0 - MINUTE_MS) == at(M0 - MINUTE_MS, bid=-50.0)


def test_the_quote_in_force_at_a_minute_end_may_be_from_long_before() -> None:
    in_force = at(M0 - 45_000)
    later = [at(M0 + second * 1_000) for second in range(3, 43)]
    assert carried(in_force, *later).as_of(M0) == in_force


def test_a_quote_that_ends_with_the_minute_is_in_force_and_one_of_the_next_second_is_not() -> None:
    before, exact, after = at(M0 - 1_000), at(M0), at(M0 + 1_000)
    later = [at(M0 + second * 1_000) for second in range(2, 40)]
    assert carried(before, exact, after, *later).as_of(M0) == exact
    assert carried(before, after, *later).as_of(M0) == before


def test_what_is_kept_does_not_grow() -> None:
    kept = CarriedQuotes()
    for second in range(3_600):
        kept.take(at(M0 + second * 1_000))
        assert len(kept.dump()) <= 8 + 3


@given(st.lists(st.integers(1, 50), min_size=1, max_size=120), st.integers(0, 119))
def test_every_minute_end_of_the_last_two_minutes_has_the_quote_that_was_in_force(gaps: list[int], again: int) -> None:
    ends, end = [], M0 - 17_000
    for gap in gaps:
        end += gap * 1_000
        ends.append(end)
    kept = CarriedQuotes()
    for number, end_ms in enumerate(ends):
        kept.take(at(end_ms))
        if number == again:
            kept = CarriedQuotes.load(kept.dump())
        minute = end_ms // MINUTE_MS * MINUTE_MS
        while minute >= end_ms - 2 * MINUTE_MS:
            expected = max((known for known in ends[: number + 1] if known <= minute), default=None)
            found = kept.as_of(minute)
            assert (found and found.end_ms) == expected
            minute -= MINUTE_MS


def test_a_quote_behind_the_newest_second_changes_nothing_and_one_of_the_same_second_replaces_it() -> None:
    kept = carried(at(M0 + 1_000))
    assert not kept.take(at(M0))
    assert kept.take(at(M0 + 1_000, bid=12.0))
    assert kept.as_of(M0 + 5_000) == at(M0 + 1_000, bid=12.0)
    assert kept.as_of(M0) is None


@pytest.mark.parametrize("sizes", [(1.7e308, 1e308), (1e308, 1.7e308)])
def test_sizes_too_large_for_their_sum_give_no_imbalance_rather_than_a_wrong_one(sizes: tuple[float, float]) -> None:
    derived = derive(Quote(M0, 10.0, sizes[0], 10.5, sizes[1], M0), M0, 2_000)
    assert derived == (0.5, None, None)


def test_the_largest_prices_give_a_finite_spread() -> None:
    derived = derive(Quote(M0, 1e-300, 3.0, 1.7e308, 1.0, M0), M0, 2_000)
    assert derived.spread is not None
    assert math.isfinite(derived.spread)
    assert derived.imbalance == 0.5
