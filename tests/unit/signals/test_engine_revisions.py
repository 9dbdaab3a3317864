"""Late trades, cancels and corrections that come in an odd order, or around a restore."""

from __future__ import annotations

import pytest

from ta_pipeline import rows
from ta_pipeline.signals.outputs import Late, Output, Signal
from tests.unit.signals.bench import Bench, bar, bars_of, cancel, correction, end_of, late

ODD_LOT = 3
"""Mask of a trade that counts for the volume alone."""


def reasons(outputs: list[Output]) -> list[str]:
    return [output.reason for output in outputs if isinstance(output, Late)]


def signal_of(outputs: list[Output]) -> Signal:
    """The one signal among the outputs."""
    (signal,) = [output for output in outputs if isinstance(output, Signal) and output.has_signal]
    return signal


# ---- exchanges and ids


@pytest.mark.parametrize("exchange", ["|", ";", "a;b|1", "V|7|0"])
def test_a_cancel_finds_its_trade_on_an_exchange_that_contains_separators(exchange: str) -> None:
    bench = Bench()
    listed = f"V|1|0|10.0|100.0;{exchange}|2|0|12.0|50.0;V|3|0|11.0|25.0"
    bench.give(0, bar(0, (1, 10.0, 100.0), (2, 12.0, 50.0), (3, 11.0, 25.0))._replace(trades=listed))
    (revised,) = bars_of(bench.give(6, cancel(2, at=4, watermark=5)._replace(trades=f"{exchange}|2")))
    assert (revised.v, revised.n, revised.vwap) == (125.0, 2, pytest.approx(1_275 / 125))


def test_a_window_behind_the_newest_final_one_takes_in_odd_exchanges_and_trades_without_id() -> None:
    bench = Bench()
    bench.give(3, bar(3, (1, 10.0, 100.0)))
    window = bar(2, (2, 10.0, 100.0), (3, 11.0, 50.0), (4, 12.0, 10.0))
    (made,) = bars_of(bench.give(4, window._replace(trades=";||5|0|10.0|100.0;V||0|11.0|50.0;V||0|12.0|10.0")))
    assert (made.v, made.n, made.h, made.l, made.c) == (160.0, 3, 12.0, 10.0, 10.0)


def test_a_trade_without_id_counts_and_survives_a_cancel_beside_it() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 12.0, 50))._replace(trades="V|1|0|10.0|100.0;V||0|12.0|50.0"))
    (revised,) = bars_of(bench.give(6, cancel(1, at=4, watermark=5)))
    assert (revised.v, revised.n, revised.vwap) == (50.0, 1, 12.0)


def test_a_cancel_that_names_no_trade_takes_none() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100))._replace(trades="||0|10.0|100.0"))
    outputs = bench.give(6, cancel(1, at=4, watermark=5)._replace(trades=None))
    assert bars_of(outputs) == []
    assert reasons(outputs) == ["no_such_trade"]


def test_a_cancel_of_an_id_that_was_used_twice_takes_the_newest_trade() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 10.0, 5)))
    bench.give(3, bar(3, (1, 11.0, 70), (3, 11.0, 5)))
    (revised,) = bars_of(bench.give(6, cancel(1, at=4, watermark=5)))
    assert (revised.event_ms, revised.v) == (end_of(3), 5)


def test_the_unknown_conditions_of_a_corrected_trade_are_counted_and_those_of_a_cancel_are_not() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100), (2, 12.0, 50)))
    bench.give(6, correction(2, (9, 13.0, 70), at=4, watermark=5)._replace(unknown=2))
    assert bench.counts["unknown_conditions"] == 2
    bench.give(8, cancel(1, at=5, watermark=7)._replace(unknown=1))
    assert bench.counts["unknown_conditions"] == 2


# ---- a cancel or correction before its trade


def test_a_cancel_that_came_before_its_late_trade_takes_it_out_again() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    waiting = cancel(7, at=8, watermark=4)
    assert bench.give(5, waiting) == []
    outputs = bench.give(6, late(0, (7, 12.0, 50), watermark=5))
    assert [(given.v, given.n, given.vwap) for given in bars_of(outputs)] == [(100, 1, 10.0)]
    assert bench.give(20) == []  # and it is not reported as one without a trade
    assert (bench.counts["cancels"], bench.counts["late_no_such_trade"]) == (1, 0)
    assert signal_of(bench.give(21, bar(21, (9, 20.0, 100)))).vwap_session == 15.0


def test_a_correction_that_came_before_its_late_trade_replaces_it() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    bench.give(5, correction(7, (8, 14.0, 300), at=8, watermark=4))
    (revised,) = bars_of(bench.give(6, late(0, (7, 12.0, 50), watermark=5)))
    assert (revised.v, revised.n, revised.h) == (400, 2, 14.0)
    (cancelled,) = bars_of(bench.give(10, cancel(8, at=9, watermark=9)))
    assert (cancelled.v, cancelled.n) == (100, 1)


def test_a_cancel_that_came_before_its_trade_is_found_in_a_window_behind_the_newest_final_one() -> None:
    bench = Bench()
    bench.give(3, bar(3, (1, 10.0, 100)))
    bench.give(4, cancel(7, at=9, watermark=3))
    (made,) = bars_of(bench.give(5, bar(2, (7, 12.0, 50), (8, 11.0, 30))))
    assert (made.v, made.n, made.vwap) == (30, 1, 11.0)
    assert bench.give(20) == []


# ---- seconds whose trades were all taken back before there was a bar


def test_a_window_whose_trades_were_all_cancelled_makes_no_bar_and_a_late_trade_begins_with_prices_of_its_own() -> None:
    bench = Bench()
    assert bench.give(0, cancel(1, at=0, watermark=-3), bar(0, (1, 99.0, 100))) == []
    (made,) = bars_of(bench.give(6, late(0, (2, 10.0, 5), watermark=5)))
    assert (made.revision, made.o, made.h, made.l, made.c, made.v) == (0, 10.0, 10.0, 10.0, 10.0, 5)


def test_a_late_trade_that_was_cancelled_before_it_came_makes_no_bar_and_leaves_no_prices() -> None:
    bench = Bench()
    bench.give(5, bar(5, (9, 10.0, 100)), cancel(1, at=9, watermark=4))
    assert bench.give(6, late(0, (1, 99.0, 100), watermark=5)) == []
    (made,) = bars_of(bench.give(8, late(0, (2, 10.0, 5), watermark=7)))
    assert (made.revision, made.o, made.h, made.l, made.c, made.v) == (0, 10.0, 10.0, 10.0, 10.0, 5)


def test_a_bar_whose_trades_were_all_cancelled_keeps_its_prices() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    (emptied,) = bars_of(bench.give(6, cancel(1, at=4, watermark=5)))
    assert (emptied.revision, emptied.c, emptied.v, emptied.n, emptied.vwap) == (1, 10.0, 0, 0, None)
    (refilled,) = bars_of(bench.give(8, late(0, (2, 12.0, 5), watermark=7)))
    assert (refilled.revision, refilled.o, refilled.h, refilled.c, refilled.v) == (2, 10.0, 12.0, 10.0, 5)
    assert signal_of(bench.give(9, bar(9, (9, 14.0, 5)))).vwap_session == 13.0


# ---- what the VWAPs count


def test_the_rounding_of_fractional_sizes_after_cancels_does_not_become_a_vwap() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 0.1)))
    bench.give(6, late(0, (2, 11.0, 0.2), watermark=5))
    bench.give(8, cancel(1, at=6, watermark=7), cancel(2, at=6, watermark=7))
    nothing_yet = bar(9, (3, 20.0, 5.0))._replace(pv=0.0, vv=0.0)
    signal = signal_of(bench.give(9, nothing_yet))
    assert (signal.vwap_session, signal.vwap_rolling) == (None, None)


def test_volume_of_a_second_that_is_no_bar_enters_the_vwaps_when_it_becomes_one() -> None:
    only_volume_and_extremes = 1
    bench = Bench()
    window = bar(0, (1, 10.0, 100.0))._replace(o=None, c=None, trades=f"V|1|{only_volume_and_extremes}|10.0|100.0")
    assert bench.give(0, window) == []
    assert signal_of(bench.give(1, bar(1, (2, 20.0, 100.0)))).vwap_session == 20.0
    (made,) = bars_of(bench.give(6, late(0, (3, 30.0, 100.0), watermark=5)))
    assert made.vwap == 20.0
    assert signal_of(bench.give(7, bar(7, (4, 20.0, 100.0)))).vwap_session == pytest.approx((10 + 20 + 30 + 20) / 4)


def test_a_cancel_in_a_second_that_is_no_bar_takes_nothing_from_the_vwaps() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100.0))._replace(o=None, c=None, trades="V|1|1|10.0|100.0"))
    bench.give(1, bar(1, (2, 20.0, 100.0)))
    assert bench.give(6, cancel(1, at=4, watermark=5)) == []
    assert signal_of(bench.give(7, bar(7, (4, 40.0, 100.0)))).vwap_session == 30.0


# ---- restores: the watermark begins anew, behind what it was


def test_a_window_of_a_second_that_a_late_trade_made_a_bar_of_revises_that_bar() -> None:
    bench = Bench()
    bench.give(3, bar(3, (1, 10.0, 100)))
    bench.give(8, late(5, (2, 11.0, 20), watermark=7))
    bench.reload()
    (revised,) = bars_of(bench.give(5, bar(5, (2, 11.0, 20), (3, 12.0, 30))))
    assert (revised.revision, revised.v, revised.n, revised.h, revised.has_signal) == (1, 50, 2, 12.0, False)
    assert signal_of(bench.give(9, bar(9, (4, 10.0, 100)))).bars == 2


def test_a_window_takes_in_late_trades_that_made_no_bar_before_a_restore() -> None:
    bench = Bench()
    bench.give(3, bar(3, (1, 10.0, 100)))
    assert bench.give(8, late(5, (2, 11.0, 20), watermark=7, mask=ODD_LOT)) == []
    bench.reload()
    signal = signal_of(bench.give(5, bar(5, (3, 12.0, 30))))
    assert (signal.revision, signal.v, signal.n, signal.o, signal.vwap) == (0, 50, 2, 12.0, 12.0)
    (revised,) = bars_of(bench.give(9, cancel(2, at=7, watermark=8)))
    assert (revised.v, revised.n) == (30, 1)


def test_a_late_trade_is_beyond_the_horizon_of_what_was_final_before_the_restore() -> None:
    bench = Bench()
    bench.give(0, bar(0, (1, 10.0, 100)))
    bench.give(60, bar(60, (2, 10.0, 100)))
    bench.reload()
    outputs = bench.give(62, late(0, (3, 9.0, 1), watermark=57), cancel(1, at=61, watermark=57))
    assert bars_of(outputs) == []  # the bar of that second is forgotten: a new one would replace it
    assert sorted(reasons(outputs)) == ["beyond_horizon", "no_such_trade"]


def test_seconds_beyond_the_horizon_are_forgotten_though_no_window_becomes_final() -> None:
    bench = Bench()
    for second in range(0, 300, 10):
        bench.give(second + 6, late(second, (second, 10.0, 5), watermark=second + 5))
        kept = [end for end in range(300) if bench.engine.second_state(end_of(end)) is not None]
        assert min(kept) >= second - 60
    assert end_of(0) in bench.engine.changes.seconds


def test_previews_do_not_count_a_second_whose_window_gave_no_signal() -> None:
    bench = Bench(live=True)
    bench.give(3, bar(3, (1, 10.0, 100)))
    (preview,) = bench.engine.live(bar(5, (3, 12.0, 30), branch=rows.LIVE), end_of(5))
    assert preview.bars == 2
    bench.give(4, late(5, (2, 11.0, 20), watermark=3))  # as after a restore: a bar without a signal, before its window
    bench.give(5, bar(5, (3, 12.0, 30)))
    (preview,) = bench.engine.live(bar(6, (4, 13.0, 30), branch=rows.LIVE), end_of(6))
    final = bench.give(6, bar(6, (4, 13.0, 30)))[-1]
    assert isinstance(final, Signal)
    assert (preview.bars, preview.ema12, preview.vwap_session) == (2, final.ema12, final.vwap_session)


def test_a_second_that_has_a_bar_without_a_signal_is_not_previewed() -> None:
    bench = Bench(live=True)
    bench.give(3, bar(3, (1, 10.0, 100)))
    bench.give(8, late(5, (2, 11.0, 20), watermark=7))
    bench.reload()
    assert list(bench.engine.live(bar(5, (3, 12.0, 30), branch=rows.LIVE), end_of(5))) == []
    assert bench.counts["live_slices_after_final"] == 1
