"""Rows that wait for the watermark, in the order in which they take effect.

The branches of the query reach the function unordered. Every row therefore names its `due`: the watermark at which
all that comes before it has come. Rows take effect by (watermark, class, log position), so that the same log gives
the same results whatever the branches' timing. Windows come when they are due (flink/java, `Sequencer`); the others
wait here:

    a quote, then the bar, of the second that ends at E      when the watermark reaches E - 1 ms
    a late trade or quote, a cancel or correction            after all that was final at the watermark it came at
    an upstream 1-minute bar that ends at E                  after the second that ends at E
    a cancel whose trade is not known yet                    gives up when its own second is final
"""

from __future__ import annotations

import math
from bisect import insort
from typing import NamedTuple

from ta_pipeline import rows
from ta_pipeline.rows import TickRow
from ta_pipeline.signals.layouts import Upgrades, pack, unchanged, unpack

VERSION = 2
"""Of what `Held.dump` writes."""
UPGRADES: Upgrades = {1: unchanged}
"""From older versions that `Held.load` reads too; version 1 did not say its own."""
LOADS = tuple(UPGRADES)

_QUOTE, _BAR, _BAR_1M, _GIVE_UP, _BEHIND = range(5)
_CLASS = {rows.QUOTE: _QUOTE, rows.FINAL: _BAR, rows.BAR_1M: _BAR_1M}


class Held(NamedTuple):
    """A row that waits; tuples compare by the order in which they take effect."""

    at_ms: int
    order: int
    log_offset: int
    number: int
    due_ms: int
    row: TickRow

    @property
    def gives_up(self) -> bool:
        """A cancel that was applied before and found nothing."""
        return self.order == _GIVE_UP

    def dump(self) -> bytes:
        """Plain values."""
        return pack(VERSION, [*self[:5], *self.row])

    @classmethod
    def load(cls, data: bytes) -> Held:
        """The inverse of `dump`.

        Raises:
            StateVersionError: it was written by a version this code does not know.
        """
        values = unpack("a held row", data, VERSION, UPGRADES)
        return cls._make([*values[:5], _with_all_sums(TickRow._make(values[5:]))])


class Waiting:
    """The held rows of one symbol."""

    __slots__ = ("_number", "_rows")

    def __init__(self, held: list[Held] | None = None) -> None:
        self._rows = sorted(held or [])
        self._number = max((item.number for item in self._rows), default=0)

    @staticmethod
    def place(row: TickRow, number: int = 0) -> Held:
        """Where `row` comes in the order; it is not kept."""
        order = _CLASS.get(row.branch, _BEHIND)
        if order == _BEHIND:
            # Rows of one watermark come before the next one: the next one is what to wait for.
            at_ms = row.watermark_ms if row.watermark_ms is not None else 0
            return Held(at_ms, order, row.log_offset or 0, number, at_ms + 1, row)
        return Held(row.end_ms - 1, order, row.log_offset or 0, number, row.end_ms - 1, row)

    def hold(self, row: TickRow) -> Held:
        """Keep `row` until its time."""
        return self._keep(self.place(row, self._next_number()))

    def hold_until_final(self, row: TickRow) -> Held:
        """Keep a cancel that found no trade until its own second is final."""
        at_ms = row.end_ms - 1
        return self._keep(Held(at_ms, _GIVE_UP, row.log_offset or 0, self._next_number(), at_ms, row))

    def take(self, watermark_ms: int) -> Held | None:
        """The next row whose time has come."""
        if self._rows and self._rows[0].due_ms <= watermark_ms:
            return self._rows.pop(0)
        return None

    def take_before(self, window: Held) -> Held | None:
        """The next row that comes before `window`."""
        if self._rows and self._rows[0][:2] < window[:2]:
            return self._rows.pop(0)
        return None

    def release(self, held: Held) -> None:
        """Forget a row before its time."""
        self._rows.remove(held)

    def unmatched(self) -> list[Held]:
        """The cancels that wait for their trade."""
        return [held for held in self._rows if held.order == _GIVE_UP]

    def newer_minute_before(self, row: TickRow) -> bool:
        """Whether a later minute, before `row` in the log, still waits."""
        return any(
            held.order == _BAR_1M and held.row.end_ms > row.end_ms and held.log_offset < (row.log_offset or 0)
            for held in self._rows
        )

    def __len__(self) -> int:
        return len(self._rows)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _keep(self, held: Held) -> Held:
        insort(self._rows, held)
        return held


def _with_all_sums(row: TickRow) -> TickRow:
    """`row` with a minute's sum that is too large for a double: JSON has no infinity, so it came back as null."""
    if row.branch == rows.BAR_1M and row.pv is None and row.vv is not None:
        return row._replace(pv=math.inf)
    return row
