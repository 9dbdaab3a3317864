from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_pipeline import rows
from ta_pipeline.errors import StateVersionError
from ta_pipeline.rows import TickRow
from ta_pipeline.signals.outputs import Late, Output, Signal
from tests.unit.signals.bench import Bench, bar, bars_of, cancel, correction, end_of, late, minute, quote, row


def test_a_final_window_gives_a_bar_and_a_signal_with_seq_and_newest_trade() -> None:
    (signal,) = Bench().give(0, bar(0, (1, 10.0, 100), (2, 11.0, 50)))
    assert isinstance(signal, Signal)
    assert (signal.is_final, signal.has_bar, signal.has_signal, signal.revision) == (True, True, True, 0)
    assert (signal.event_ms, signal.seq, signal.last_ms) == (end_of(0), end_of(0) // 1_000, end_of(0) - 100)
    assert (signal.o, signal.h, signal.l, signal.c, signal.v, signal.n) == (10.0, 11.0, 10.0, 11.0, 150, 2)
    assert signal.vwap == pytest.approx(1_550 / 150, rel=1e-15)


def test_a_late_trade_revises_sums_exactly_and_may_extend_high_and_low_but_not_open_and_close() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 11.0, 50)))
    (revised,) = bars_of(bench.give(6, late(0, (3, 12.0, 10), watermark=5)))
    assert (revised.revision, revised.has_signal) == (1, False)
    assert (revised.o, revised.h, revised.l, revised.c, revised.v, revised.n) == (10.0, 12.0, 10.0, 11.0, 160, 3)
    assert revised.vwap == pytest.approx((1_550 + 120) / 160, rel=1e-15)


def test_a_late_trade_that_came_before_its_bar_was_final_waits_for_it() -> None:
    bench = Bench()
    bench.hold(late(0, (3, 12.0, 10), watermark=5), bar(0, (1, 10.0, 100)))
    first, second = bars_of(bench.until(6))
    assert (first.revision, first.n, second.revision, second.n) == (0, 1, 1, 2)


def test_a_late_trade_for_a_second_without_a_bar_gives_that_bar_without_a_signal() -> None:
    bench = Bench()
    bench.give(5, bar(5, (1, 10.0, 100)))
    (given,) = bars_of(bench.give(8, late(3, (2, 9.0, 10), watermark=7)))
    assert (given.revision, given.has_signal, given.c, given.seq) == (0, False, 9.0, end_of(3) // 1_000)


def test_a_late_trade_beyond_the_horizon_goes_to_the_late_topic() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    (output,) = bench.give(70, late(0, (2, 9.0, 10), watermark=65))
    assert isinstance(output, Late)
    assert (output.reason, output.price, output.size, output.log_offset) == ("beyond_horizon", 9.0, 10, 1_002)


def test_late_volume_enters_the_session_vwap_from_the_next_bar_on() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    bench.give(6, late(0, (2, 20.0, 100), watermark=5))
    (signal,) = bench.give(7, bar(7, (3, 15.0, 100)))
    assert isinstance(signal, Signal)
    assert signal.vwap_session == pytest.approx(15.0, rel=1e-15)
    assert signal.bars == 2


def test_a_cancel_before_its_bar_is_final_subtracts_and_without_volume_there_is_no_bar() -> None:
    bench = Bench()
    assert bench.give(0, cancel(1, at=0, watermark=-3), bar(0, (1, 10.0, 100))) == []
    (left,) = bench.give(1, cancel(2, at=1, watermark=-2), bar(1, (2, 10.0, 100), (3, 11.0, 50)))
    assert isinstance(left, Signal)
    assert (left.revision, left.v, left.n) == (0, 50, 1)
    assert bench.counts["cancels"] == 2


def test_a_cancel_after_its_bar_was_final_revises_the_sums_and_leaves_the_prices() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 12.0, 50)))
    (revised,) = bars_of(bench.give(6, cancel(2, at=4, watermark=5)))
    assert (revised.revision, revised.h, revised.c, revised.v, revised.n) == (1, 12.0, 12.0, 100, 1)


def test_a_correction_replaces_its_trade_and_can_be_cancelled_itself() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 12.0, 50)))
    (corrected,) = bars_of(bench.give(6, correction(2, (9, 13.0, 70), at=4, watermark=5)))
    assert (corrected.v, corrected.n, corrected.h) == (170, 2, 13.0)
    (cancelled,) = bars_of(bench.give(8, cancel(9, at=7, watermark=7)))
    assert (cancelled.revision, cancelled.v, cancelled.n) == (2, 100, 1)


def test_a_second_cancel_of_one_trade_and_a_cancel_of_an_unknown_one_are_late() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 12.0, 50)))
    bench.give(6, cancel(2, at=4, watermark=5))
    outputs = [*bench.give(8, cancel(2, at=5, watermark=7)), *bench.give(10, cancel(77, at=6, watermark=9))]
    assert [output.reason for output in outputs if isinstance(output, Late)] == ["no_such_trade"] * 2


def test_a_window_behind_the_newest_final_one_after_a_restore_revises_instead_of_failing() -> None:
    bench = Bench()
    bench.give(3, bar(3, (1, 10.0, 100)), bar(2, (2, 10.0, 100)))
    bench.reload()
    revised, made = bars_of([
        *bench.give(4, bar(2, (2, 10.0, 100), (7, 11.0, 30))),  # one of the trades is known
        *bench.give(5, bar(1, (8, 9.0, 10))),
    ])  # fmt: skip
    assert (revised.revision, revised.v, revised.n, revised.has_signal) == (1, 130, 2, False)
    assert (made.revision, made.v, made.has_signal) == (0, 10, False)
    (next_one,) = bench.give(6, bar(6, (9, 10.0, 100)))
    assert isinstance(next_one, Signal)
    assert next_one.bars == 3


@pytest.mark.parametrize(
    ("bid", "ask", "age_ms", "spread", "counter"),
    [
        (9.0, 9.5, 0, 0.5, None),
        (9.5, 9.5, 0, 0.0, None),
        (0.0, 9.5, 0, None, "quotes_one_sided"),
        (9.6, 9.5, 0, None, "quotes_crossed"),
        (9.0, 9.5, 2_001, None, "quotes_stale"),
        (9.0, 9.5, 2_000, 0.5, None),
    ],
)
def test_quotes_give_spread_and_imbalance_only_when_fresh_two_sided_and_not_crossed(
    bid: float, ask: float, age_ms: int, spread: float | None, counter: str | None
) -> None:
    bench = Bench()
    held = quote(0, bid, ask, at_ms=end_of(3) - age_ms)
    (signal,) = bench.give(3, held, bar(3, (1, 10.0, 100)))
    assert isinstance(signal, Signal)
    assert signal.spread == (None if spread is None else pytest.approx(spread))
    assert signal.imbalance == (None if spread is None else 0.5)
    assert (signal.bid_px, signal.ask_px) == (bid, ask)
    assert {name for name in bench.counts if name.startswith("quotes_")} == ({counter} if counter else set())


def test_live_slices_preview_the_second_so_far_and_change_nothing_that_is_final() -> None:
    plain, watched = Bench(live=True), Bench(live=True)
    finals = []
    for bench in (plain, watched):
        signals = []
        for second in range(40):
            if bench is watched:
                for part in ((1, 10.0 + second, 50), (2, 11.0 + second, 50)):
                    slice_ = bar(second, part, branch=rows.LIVE)
                    signals += list(bench.engine.live(slice_, end_of(second) - 500 + part[0] * 100))
            signals += bench.give(
                second, bar(second, (1, 10.0 + second, 50), (2, 11.0 + second, 50))
            )  # fmt: skip
        finals.append([signal for signal in signals if isinstance(signal, Signal) and signal.is_final])
    assert finals[0] == finals[1]


def test_the_last_preview_of_a_second_equals_its_final_signal_and_revisions_grow() -> None:
    bench = Bench(live=True)
    for second in range(30):
        first, last = (
            next(iter(bench.engine.live(bar(second, part, branch=rows.LIVE), end_of(second) - 800 + number * 100)))
            for number, part in enumerate([(1, 10.0 + second % 7, 50), (2, 11.0 + second % 5, 50)])
        )
        final = bench.give(second, bar(second, (1, 10.0 + second % 7, 50), (2, 11.0 + second % 5, 50)))[-1]
        assert isinstance(final, Signal)
        assert first.revision < last.revision
        assert not last.is_final
        same = {"is_final": True, "has_bar": True, "revision": 0, "ingest_ms": final.ingest_ms}
        assert last._replace(**same) == final


def test_a_slice_of_a_second_that_is_final_is_dropped() -> None:
    bench = Bench(live=True)
    bench.give(0, bar(0, (1, 10.0, 100)))
    assert list(bench.engine.live(bar(0, (2, 11.0, 1), branch=rows.LIVE), end_of(2))) == []
    assert bench.counts["live_slices_after_final"] == 1


def test_a_second_that_was_never_live_gives_one_live_update_when_it_becomes_final() -> None:
    live, final = Bench(live=True).give(0, bar(0, (1, 10.0, 100)))
    assert isinstance(live, Signal)
    assert isinstance(final, Signal)
    assert (live.is_final, live.has_bar, live.event_ms) == (False, False, final.event_ms)


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(StateVersionError, match="version 99"):
        Bench().engine.load(b"[99,0,[],[],0]", None, None, [], [])


def _history() -> list[tuple[int, list[TickRow]]]:
    """For each second, the rows that come between two watermarks."""
    history: list[tuple[int, list[TickRow]]] = []
    for second in range(12):
        arriving = [bar(second, (10 * second + 1, 10.0 + second, 100), (10 * second + 2, 10.5 + second, 50))]
        arriving.append(quote(second, 9.9 + second, 10.1 + second))
        if second in {5, 8}:
            arriving += [late(second - 4, (500 + second, 14.0, 10), watermark=second - 1)]
            arriving += [cancel(10 * (second - 3) + 1, at=second, watermark=second - 1)]
        if second == 9:
            arriving += [correction(52, (600, 11.0, 75), at=9, watermark=8)]
        history.append((second, arriving))
    return history


def _run(shuffle: int | None, reload_after: frozenset[int] = frozenset()) -> list[Output]:
    bench, outputs = Bench(), []
    draw = random.Random(shuffle)
    for second, arriving in _history():
        if shuffle is not None:
            draw.shuffle(arriving)
        outputs += bench.give(second, *arriving)
        if second in reload_after:
            bench.reload()
    return outputs


@given(st.integers(0, 10_000))
@settings(max_examples=50)
def test_the_order_in_which_branches_arrive_between_two_watermarks_does_not_matter(seed: int) -> None:
    assert _run(seed) == _run(None)


@given(st.frozensets(st.integers(0, 11)))
@settings(max_examples=30)
def test_state_saved_and_loaded_anywhere_gives_the_same_outputs(places: frozenset[int]) -> None:
    assert _run(None, places) == _run(None)


def live_slice(second: int, *trades: tuple[int, float, float], **columns: object) -> TickRow:
    return bar(second, *trades, branch=rows.LIVE, **columns)


def quoted(bid: float, at_ms: int) -> dict[str, object]:
    """The columns of a quote in a live slice."""
    return {"bid_px": bid, "bid_sz": 3.0, "ask_px": bid + 0.5, "ask_sz": 1.0, "quote_ms": at_ms}


def quote_slice(second: int, bid: float, at_ms: int) -> TickRow:
    return row(rows.LIVE, second, ticks=0, last_ms=None, **quoted(bid, at_ms))


def test_a_live_preview_of_an_older_second_takes_the_quote_as_of_that_second() -> None:
    bench = Bench(live=True)
    list(bench.engine.live(quote_slice(0, 9.0, end_of(0) - 500), end_of(0)))
    list(bench.engine.live(quote_slice(1, 8.0, end_of(1) - 500), end_of(1)))
    (older,) = bench.engine.live(live_slice(0, (1, 10.0, 100)), end_of(1))
    (newer,) = bench.engine.live(live_slice(1, (2, 10.0, 100)), end_of(1))
    assert (older.bid_px, newer.bid_px) == (9.0, 8.0)


def test_a_live_preview_takes_the_final_quote_where_the_final_side_knows_more() -> None:
    bench = Bench(live=True)
    list(bench.engine.live(quote_slice(0, 9.0, end_of(0) - 500), end_of(0)))
    bench.give(0, quote(0, 9.2, 9.6))
    (preview,) = bench.engine.live(live_slice(1, (1, 10.0, 100)), end_of(1))
    assert (preview.bid_px, preview.ask_px) == (9.2, 9.6)


def test_a_live_update_is_as_new_as_the_newest_tick_in_it_trade_or_quote() -> None:
    bench = Bench(live=True)
    trade_ms, quote_ms = end_of(0) - 800, end_of(0) - 300
    (with_trade,) = bench.engine.live(live_slice(0, (1, 10.0, 100), last_ms=trade_ms), end_of(0) - 700)
    (with_quote,) = bench.engine.live(quote_slice(0, 9.0, quote_ms), end_of(0) - 200)
    (with_older_trade,) = bench.engine.live(live_slice(0, (2, 10.0, 1), last_ms=trade_ms + 1), end_of(0) - 100)
    assert [update.last_ms for update in (with_trade, with_quote, with_older_trade)] == [trade_ms, quote_ms, quote_ms]


def minutes_of(outputs: list[Output]) -> list[Signal]:
    return [output for output in outputs if isinstance(output, Signal) and output.size == "PT1M"]


def test_a_minute_bar_gives_a_signal_at_its_end_without_a_bar() -> None:
    bench = Bench()
    (signal,) = minutes_of(bench.give(60, minute(0, 10.0, vwap=9.5)))
    assert (signal.event_ms, signal.start_ms, signal.seq) == (end_of(59), end_of(-1), end_of(59) // 60_000)
    assert (signal.is_final, signal.has_bar, signal.has_signal, signal.revision) == (True, False, True, 0)
    assert (signal.c, signal.vwap_session, signal.bars) == (10.0, 9.5, 1)


def test_a_minute_signal_is_as_new_as_the_end_of_its_bar() -> None:
    bench = Bench()
    first = minute(0, 10.0, vwap=9.5)
    assert first.last_ms == end_of(-1)  # the event time of the record is the minute's start
    (signal,) = minutes_of(bench.give(60, first))
    (again,) = minutes_of(bench.give(90, minute(0, 11.0, vwap=9.6, kind="u", log_offset=1)))
    assert (signal.last_ms, again.last_ms) == (signal.event_ms, signal.event_ms)


def test_a_minute_updated_half_a_minute_later_carries_the_quote_as_of_its_end() -> None:
    bench = Bench()
    bench.hold(minute(0, 10.0, vwap=9.5))
    outputs: list[Output] = []
    for second in range(120):
        outputs += bench.give(second, quote(second, 10.0 + second, 10.5 + second))
        if second == 60:
            bench.reload()
        if second == 90:
            outputs += bench.give(second, minute(0, 11.0, vwap=9.6, kind="u", log_offset=1))
    first, updated = minutes_of(outputs)
    assert (first.revision, updated.revision, updated.c) == (0, 1, 11.0)
    assert first.bid_px == updated.bid_px == 69.0  # of the second that ends with the minute
    assert first.spread == updated.spread == 0.5


absurd_prices = st.floats(min_value=5e-324, max_value=1.7976931348623157e308)
sizes = st.floats(min_value=1e-9, max_value=1e300)
absurd_trades = st.tuples(absurd_prices, sizes)


@given(
    st.lists(st.lists(absurd_trades, min_size=1, max_size=3), min_size=1, max_size=30),
    st.frozensets(st.integers(0, 29)),
)
@settings(max_examples=60)
def test_absurd_prices_give_finite_numbers_or_none_and_never_stop_the_job(
    seconds: list[list[tuple[float, float]]], reload_after: frozenset[int]
) -> None:
    bench = Bench(live=True)
    outputs: list[Output] = []
    for second, trades in enumerate(seconds):
        numbered = [(10 * second + number, price, size) for number, (price, size) in enumerate(trades)]
        outputs += bench.engine.live(live_slice(second, *numbered), end_of(second))
        bench.hold(bar(second, *numbered), minute(second, trades[0][0], vwap=trades[-1][0], size=trades[0][1]))
        if second in reload_after:
            bench.reload()
        outputs += bench.until(second)
        if second % 3 == 2:
            after = second + 2
            outputs += bench.give(after, late(second - 1, (10 * second + 9, *trades[-1]), watermark=second))
            outputs += bench.give(after, cancel(10 * second, at=second, watermark=second))
    outputs += bench.until(60 * len(seconds))
    assert {output.size for output in outputs if isinstance(output, Signal)} == {"PT1S", "PT1M"}
    for output in outputs:
        numbers = [value for value in output if isinstance(value, float)]
        assert all(math.isfinite(number) for number in numbers), output


def test_sums_that_are_infinite_stay_so_when_their_row_waits_through_a_restore() -> None:
    bench, undisturbed = Bench(), Bench()
    for each in (bench, undisturbed):
        each.hold(bar(0, (1, 1.7e308, 100.0)), bar(1, (2, 10.0, 100.0)), minute(0, 10.0, vwap=1.7e308))
    bench.reload()
    assert bench.until(60) == undisturbed.until(60)
