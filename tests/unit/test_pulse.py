from __future__ import annotations

from ta_pipeline import rows
from ta_pipeline.rows import COLUMNS, TickRow
from ta_pipeline.signals.outputs import MINUTE, SECOND, Late, Signal
from ta_pipeline.signals.pulse import ClockClosings, Pulse

NOW = 1_767_364_200_000


def _row(branch: str, **columns: object) -> TickRow:
    return TickRow._make({**dict.fromkeys(COLUMNS), "branch": branch, "symbol": "AAA", **columns}.values())


def _signal(*, final: bool, bar: bool = True, signal: bool = True, size: str = SECOND) -> Signal:
    values = {**dict.fromkeys(Signal._fields), "is_final": final, "has_bar": bar, "has_signal": signal, "size": size}
    return Signal._make(values.values())


def test_a_beat_counts_records_by_topic_and_what_went_out() -> None:
    pulse = Pulse()
    pulse.row(_row(rows.FINAL, ticks=5, last_ms=NOW - 10))
    pulse.row(_row(rows.LATE, ticks=1, last_ms=NOW - 9_000))
    pulse.row(_row(rows.CANCEL))
    pulse.row(_row(rows.QUOTE, ticks=7))
    pulse.row(_row(rows.BAR_1M, last_ms=NOW - 60_000))
    pulse.row(_row(rows.STATUS))
    pulse.row(_row(rows.REJECT))
    pulse.row(_row(rows.LIVE, ticks=5, last_ms=NOW - 5))  # the same trades as of the final row: not counted again
    for output in (_signal(final=True), _signal(final=False, bar=False), _signal(final=True, bar=False, size=MINUTE)):
        pulse.output(output)
    pulse.output(Late._make([None] * len(Late._fields)))
    beat = pulse.beat(NOW, NOW - 2_000)
    assert beat._asdict() == {
        "now_ms": NOW, "lag_ms": 2_000, "last_event_ms": NOW - 5, "trades": 7, "quotes": 7, "bars_1m": 1, "status": 1,
        "bars": 1, "signals": 2, "live": 1, "late": 1, "rejects": 1,
    }  # fmt: skip


def test_a_beat_comes_at_most_once_a_second_and_counts_from_the_one_before() -> None:
    pulse = Pulse()
    pulse.row(_row(rows.STATUS))
    assert pulse.is_due(NOW)
    pulse.beat(NOW, 0)
    pulse.row(_row(rows.STATUS))
    assert not pulse.is_due(NOW + 999)
    assert pulse.is_due(NOW + 1_000)
    assert pulse.beat(NOW + 1_000, 0).status == 1


def test_before_the_first_watermark_the_lag_is_not_known() -> None:
    beat = Pulse().beat(NOW, -9_223_372_036_854_775_808)
    assert beat.lag_ms is None
    assert beat.last_event_ms is None


def test_a_bar_that_a_later_trade_closed_was_not_closed_by_the_clock() -> None:
    closings = ClockClosings(out_of_orderness_ms=2_000, grace_ms=300)
    closings.closed(NOW, NOW + 2_000)
    closings.trade(NOW + 2_000)  # seen a slice after it moved the watermark
    assert closings.count(NOW + 2_300) == 0


def test_a_bar_without_a_later_trade_was_closed_by_the_clock_and_is_judged_only_when_a_slice_must_have_come() -> None:
    closings = ClockClosings(out_of_orderness_ms=2_000, grace_ms=300)
    closings.trade(NOW - 100)
    closings.closed(NOW, NOW + 4_000)
    assert closings.count(NOW + 4_299) == 0
    assert closings.count(NOW + 4_300) == 1
    assert closings.count(NOW + 9_000) == 0
