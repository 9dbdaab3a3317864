from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_pipeline import rows
from ta_pipeline.errors import StateVersionError
from ta_pipeline.rows import COLUMNS, TickRow
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import load_settings
from ta_pipeline.signals.engine import EngineSettings, SymbolEngine
from ta_pipeline.signals.outputs import Late, Output, Signal

T0 = 1_784_644_200_000  # 2026-07-21 14:30 UTC
LATENESS_MS = 2_000


def end_of(second: int) -> int:
    return T0 + second * 1_000 + 1_000


def row(branch: str, second: int, **columns: object) -> TickRow:
    fields = {
        **dict.fromkeys(COLUMNS), "branch": branch, "symbol": "AAA", "end_ms": end_of(second), "feed": "sip",
        "last_ms": end_of(second) - 100, "log_topic": "trades", "log_partition": 0, "log_offset": second, "ticks": 1,
    }  # fmt: skip
    return TickRow._make({**fields, **columns}.values())


def bar(second: int, *trades: tuple[int, float, float], branch: str = rows.FINAL, **columns: object) -> TickRow:
    """A window of trades (id, price, size)."""
    prices = [price for _, price, _ in trades]
    value = sum(price * size for _, price, size in trades)
    size = sum(size for _, _, size in trades)
    listed = ";".join(f"V|{number}|0|{price}|{size}" for number, price, size in trades)
    return row(
        branch, second, o=prices[0], h=max(prices), l=min(prices), c=prices[-1], v=size, n=len(trades), pv=value,
        vv=size, trades=listed if branch == rows.FINAL else None, unknown=0, ticks=len(trades), **columns,
    )  # fmt: skip


def late(second: int, trade: tuple[int, float, float], watermark: int, mask: int = 0) -> TickRow:
    number, price, size = trade
    return row(
        rows.LATE, second, c=price, v=size, mask=mask, unknown=0, kind="t", trades=f"V|{number}|{mask}|{price}|{size}",
        watermark_ms=end_of(watermark) - 1, log_offset=1_000 + number,
    )  # fmt: skip


def cancel(number: int, at: int, watermark: int) -> TickRow:
    return row(
        rows.CANCEL, at, kind="x", trades=f"V|{number}", watermark_ms=end_of(watermark) - 1, log_offset=2_000 + number
    )


def correction(old: int, new: tuple[int, float, float], at: int, watermark: int) -> TickRow:
    return row(
        rows.CANCEL, at, kind="c", trades=f"V|{old}", detail=f"V|{new[0]}", c=new[1], v=new[2], mask=0,
        watermark_ms=end_of(watermark) - 1, log_offset=3_000 + old,
    )  # fmt: skip


def quote(
    second: int, bid: float, ask: float, at_ms: int | None = None, sizes: tuple[float, float] = (3, 1)
) -> TickRow:
    return row(
        rows.QUOTE, second, bid_px=bid, ask_px=ask, bid_sz=sizes[0], ask_sz=sizes[1],
        quote_ms=end_of(second) - 10 if at_ms is None else at_ms,
    )  # fmt: skip


class Bench:
    """An engine with its counters, and the watermark at which things happen."""

    def __init__(self, *, live: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.settings = EngineSettings.of(load_settings(), live=live)
        self.engine = self.new()

    def new(self) -> SymbolEngine:
        return SymbolEngine("AAA", self.settings, Sessions("extended"), self._count)

    def hold(self, *held: TickRow) -> None:
        for item in held:
            self.engine.hold(item)

    def until(self, second: int) -> list[Output]:
        """Everything that is due when the watermark passes the end of `second`."""
        return list(self.engine.take(end_of(second) - 1, end_of(second) + LATENESS_MS))

    def give(self, second: int, *held: TickRow) -> list[Output]:
        self.hold(*held)
        return self.until(second)

    def reload(self) -> None:
        """Save, and go on in a new engine."""
        old, self.engine = self.engine, self.new()
        seconds = [state for end in range(200) if (state := old.second_state(end_of(end)))]
        held = [item.dump() for item in old._waiting._rows]
        self.engine.load(old.symbol_state(), old.indicators_1s_state(), old.indicators_1m_state(), seconds, held)

    def _count(self, name: str, number: int) -> None:
        self.counts[name] += number


def bars_of(outputs: Iterable[Output]) -> list[Signal]:
    return [output for output in outputs if isinstance(output, Signal) and output.has_bar]


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
@settings(max_examples=50, deadline=None)
def test_the_order_in_which_branches_arrive_between_two_watermarks_does_not_matter(seed: int) -> None:
    assert _run(seed) == _run(None)


@given(st.frozensets(st.integers(0, 11)))
@settings(max_examples=30, deadline=None)
def test_state_saved_and_loaded_anywhere_gives_the_same_outputs(places: frozenset[int]) -> None:
    assert _run(None, places) == _run(None)
