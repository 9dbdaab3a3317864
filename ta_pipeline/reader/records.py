"""What a reader hands to a strategy: `Signal` and `Bar`, typed as the schemas TaSignal and TaBar1s (schema/avro).

Times are epoch milliseconds, prices and sizes as in the input. A group of a signal is None where it has no value. A
field that a newer job adds is kept in `extra`, so that an older reader goes on. They cannot be changed;
`msgspec.structs.asdict` makes a dict of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from ta_pipeline.decode import Head, Record, epoch_ms
from ta_pipeline.shapes import Boll, Ema, Imbalance, Macd, TaBar, TaSignal, VolRealized, Vwap

Standing = Literal["newest", "settles", "revises"]
"""What a record is beside those handed out before, of the same symbol and window size; bars and signals apart.

newest   no later window was handed out: the value to go by
settles  a final, or a correction of it, of a window that live signals have passed; no later final was handed out
revises  of a window that is past: a correction of it, never a new value
"""


class Windowed(Struct, frozen=True):
    """What signals and bars have in common; (symbol, end_ms, seq) is the key of each."""

    symbol: str
    size: str
    """PT1S or PT1M."""
    end_ms: int
    seq: int
    is_final: bool
    """False: provisional, another record of this key follows."""
    revision: int
    standing: Standing
    last_event_ms: int
    """The newest tick in it."""
    ingest_ts: str | None
    """When the job emitted it, ISO-8601."""
    feed: str | None

    @property
    def end(self) -> datetime:
        """The end of its window, UTC."""
        return datetime.fromtimestamp(self.end_ms / 1_000, UTC)


class Signal(Windowed, frozen=True):
    """Indicator values at the end of a window."""

    c: float | None
    """The close it is about."""
    bars: int | None
    """Bars since the indicator state began."""
    ema: Ema | None
    macd: Macd | None
    rsi14: float | None
    boll: Boll | None
    vwap: Vwap | None
    imbalance: Imbalance | None
    vol_realized: VolRealized | None
    vwap_window_s: int | None
    vol_window_s: int | None
    extra: Mapping[str, Any]
    """Fields that this reader does not know."""


class Bar(Windowed, frozen=True):
    """A final 1-second bar."""

    o: float | None
    h: float | None
    l: float | None  # noqa: E741 - the field's name everywhere
    c: float | None
    v: float | None
    vwap: float | None
    count: int | None
    """Trades that count for the volume."""
    extra: Mapping[str, Any]


_CONSTANT = frozenset({"channel", "source", "version"})
"""Of each record, and the same in all of a topic."""
SIGNAL_FIELDS = _CONSTANT.union(TaSignal.__struct_fields__)
BAR_FIELDS = _CONSTANT.union(TaBar.__struct_fields__)


def handed_out(shape: TaSignal | TaBar, record: Record, head: Head, standing: Standing) -> Signal | Bar:
    """A record as a strategy gets it; pure.

    Args:
        shape: as it was read.
        record: as it was written: has what this reader does not know.
        head: what names it.
        standing: what it is beside those before.
    """
    if isinstance(shape, TaBar):
        return Bar(
            head.symbol, head.size, head.event_ms, head.seq, head.is_final, head.revision, standing,
            head.last_event_ms, shape.ingest_ts, shape.feed, shape.o, shape.h, shape.l, shape.c, shape.v, shape.vwap,
            shape.count, _unknown(record, BAR_FIELDS),
        )  # fmt: skip
    return Signal(
        head.symbol, head.size, head.event_ms, head.seq, head.is_final, head.revision, standing, head.last_event_ms,
        shape.ingest_ts, shape.feed, shape.c, shape.bars, shape.ema, shape.macd, shape.rsi14, shape.boll, shape.vwap,
        shape.imbalance, shape.vol_realized, shape.vwap_window_s, shape.vol_window_s, _unknown(record, SIGNAL_FIELDS),
    )  # fmt: skip


def ingest_ms(record: Windowed) -> int | None:
    """When the job emitted it, epoch milliseconds; not asked for each record, so it is read when it is.

    Raises:
        BadRecordError: `not_an_instant`.
    """
    return None if record.ingest_ts is None else epoch_ms(record.ingest_ts)


def _unknown(record: Record, known: frozenset[str]) -> Mapping[str, Any]:
    if record.keys() <= known:
        return {}
    return {name: value for name, value in record.items() if name not in known}
