from __future__ import annotations

import math

import pytest

from ta_pipeline import rows
from ta_pipeline.rows import COLUMNS, TickRow
from ta_pipeline.signals.held import Held, Waiting

END_MS = 1_784_644_201_000
LARGEST = 1.7976931348623157e308


def row(branch: str, **columns: object) -> TickRow:
    fields = {**dict.fromkeys(COLUMNS), "branch": branch, "symbol": "AAA", "end_ms": END_MS, "log_offset": 1}
    return TickRow._make({**fields, **columns}.values())


def window(*trades: str, v: float | None, n: int, pv: float | None, vv: float | None) -> TickRow:
    return row(rows.FINAL, v=v, n=n, pv=pv, vv=vv, trades=";".join(trades))


@pytest.mark.parametrize(
    "held",
    [
        window("V|1|0|10.0|50.0", v=50.0, n=1, pv=500.0, vv=50.0),
        window(f"V|1|0|{LARGEST}|50.0", v=50.0, n=1, pv=math.inf, vv=50.0),
        window(f"V|1|0|1e-8|{LARGEST}", f"V|2|0|1e-8|{LARGEST}", v=math.inf, n=2, pv=2e-8 * LARGEST, vv=math.inf),
        window(f"V|1|0|10.0|{LARGEST}", f"V|2|0|10.0|{LARGEST}", v=math.inf, n=2, pv=math.inf, vv=math.inf),
        window("V|1|7|10.0|50.0", v=None, n=0, pv=None, vv=None),
        row(rows.BAR_1M, c=10.0, v=100.0, pv=math.inf, vv=100.0),
        row(rows.BAR_1M, c=10.0, v=100.0, pv=None, vv=None),
        row(rows.LATE, c=10.0, v=5.0, mask=0, trades="V|1|0|10.0|5.0", watermark_ms=END_MS),
    ],
    ids=["plain", "value", "volume", "both", "no volume", "minute", "minute without vwap", "late trade"],
)
def test_a_held_row_comes_back_from_its_dump_as_it_was_infinite_sums_included(held: TickRow) -> None:
    item = Waiting().hold(held)
    assert Held.load(item.dump()) == item


def test_a_window_of_odd_lots_alone_has_nothing_that_counts_for_a_vwap_after_a_restore() -> None:
    item = Waiting().hold(window("V|1|3|10.0|50.0", v=50.0, n=1, pv=None, vv=None))
    again = Held.load(item.dump()).row
    assert (again.v, again.n, again.pv or 0.0, again.vv or 0.0) == (50.0, 1, 0.0, 0.0)
