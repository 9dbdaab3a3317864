from __future__ import annotations

import math

import pytest

from ta_pipeline import rows
from ta_pipeline.rows import COLUMNS, TickRow
from ta_pipeline.signals.held import Held, Waiting

END_MS = 1_784_644_201_000


def row(branch: str, **columns: object) -> TickRow:
    fields = {**dict.fromkeys(COLUMNS), "branch": branch, "symbol": "AAA", "end_ms": END_MS, "log_offset": 1}
    return TickRow._make({**fields, **columns}.values())


@pytest.mark.parametrize(
    "held",
    [
        row(rows.BAR_1M, c=10.0, v=100.0, pv=math.inf, vv=100.0),
        row(rows.BAR_1M, c=10.0, v=100.0, pv=None, vv=None),
        row(rows.LATE, c=10.0, v=5.0, mask=0, trades="V|1|0|10.0|5.0", watermark_ms=END_MS),
    ],
    ids=["minute", "minute without vwap", "late trade"],
)
def test_a_held_row_comes_back_from_its_dump_as_it_was_infinite_sums_included(held: TickRow) -> None:
    item = Waiting().hold(held)
    assert Held.load(item.dump()) == item


def test_a_window_takes_effect_after_what_was_behind_an_earlier_watermark_and_before_what_is_behind_its_own() -> None:
    waiting = Waiting()
    earlier = waiting.hold(row(rows.LATE, watermark_ms=END_MS - 2))
    minute = waiting.hold(row(rows.BAR_1M))
    own = waiting.hold(row(rows.LATE, watermark_ms=END_MS - 1))
    window = Waiting.place(row(rows.FINAL))
    assert waiting.take_before(window) == earlier
    assert waiting.take_before(window) is None
    assert [waiting.take(END_MS), waiting.take(END_MS)] == [minute, own]
