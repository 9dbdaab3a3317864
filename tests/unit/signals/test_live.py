from __future__ import annotations

from ta_pipeline.indicators.set import IndicatorSet
from ta_pipeline.sessions import Sessions
from ta_pipeline.signals.live import LiveSeconds
from ta_pipeline.signals.quotes import Quote
from ta_pipeline.signals.second import Second

T0 = 1_784_644_200_000  # 2026-07-21 14:30 UTC


def quote(second: int, bid: float = 10.0) -> Quote:
    end_ms = T0 + second * 1_000
    return Quote(end_ms, bid, 3.0, bid + 0.5, 1.0, end_ms - 10)


def as_of(live: LiveSeconds, second: int, final: Quote | None = None) -> Quote | None:
    return live.quote_as_of(T0 + second * 1_000, final)


def test_a_second_is_previewed_with_the_quote_as_of_that_second_not_with_the_newest() -> None:
    live = LiveSeconds()
    for second in (1, 2, 4):
        live.take_quote(quote(second))
    assert [as_of(live, second) for second in range(6)] == [
        None, quote(1), quote(2), quote(2), quote(4), quote(4),
    ]  # fmt: skip


def test_of_one_second_the_quote_that_came_last_counts() -> None:
    live = LiveSeconds()
    live.take_quote(quote(1, bid=10.0))
    live.take_quote(quote(1, bid=11.0))
    assert as_of(live, 1) == quote(1, bid=11.0)


def test_what_the_final_side_knows_of_the_same_second_or_a_newer_one_is_right() -> None:
    live = LiveSeconds()
    live.take_quote(quote(2, bid=10.0))
    assert as_of(live, 3, final=quote(1)) == quote(2, bid=10.0)
    assert as_of(live, 3, final=quote(2, bid=12.0)) == quote(2, bid=12.0)
    assert as_of(live, 3, final=quote(3)) == quote(3)
    assert as_of(live, 1, final=quote(1, bid=13.0)) == quote(1, bid=13.0)


def test_the_quotes_of_the_seconds_in_flight_are_kept_and_no_more() -> None:
    live = LiveSeconds()
    for second in range(1, 101):
        live.take_quote(quote(second))
    assert [as_of(live, second) for second in range(93, 101)] == [quote(second) for second in range(93, 101)]
    assert as_of(live, 92, final=quote(50)) == quote(50)


def test_a_quote_older_than_all_that_are_kept_does_not_push_a_newer_one_out() -> None:
    live = LiveSeconds()
    for second in range(1, 9):
        live.take_quote(quote(second + 10))
    live.take_quote(quote(1))
    assert as_of(live, 11) == quote(11)
    assert as_of(live, 5) is None


def test_a_second_in_flight_that_never_became_a_bar_is_not_counted_in_later_previews() -> None:
    final = IndicatorSet("1s", 300_000, 60_000, Sessions("extended"))
    live = LiveSeconds()
    first = Second(T0, 20.0, 20.0, 20.0, 20.0, 1.0, 1, 20.0, 1.0)
    second = Second(T0 + 1_000, 10.0, 10.0, 10.0, 10.0, 1.0, 1, 10.0, 1.0)
    live.take_slice(first)
    live.take_slice(second)
    assert live.preview(second, final).bars == 2
    live.became_final(Second(T0))  # all its trades were cancelled
    values = live.preview(second, final)
    assert (values.bars, values.ema12, values.vwap_session) == (1, 10.0, 10.0)
