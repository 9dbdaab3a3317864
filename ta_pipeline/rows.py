"""The one row type that SQL hands to the signal function: every branch fills what it has, the rest is null.

`COLUMNS` is the order on the wire; `TickRow` reads it by name. Times are epoch milliseconds, prices and sizes as in
the input. `end_ms` is the end of the second (or minute) the row is about.
"""

from __future__ import annotations

from typing import NamedTuple

FINAL = "F"  # a second's trades, when the watermark has passed it
QUOTE = "Q"  # a second's last quote, when the watermark has passed it
LIVE = "L"  # a slice of a second, in processing time: trades and quotes
LATE = "T"  # one trade behind the watermark
LATE_QUOTE = "U"  # one quote behind the watermark
CANCEL = "X"  # one cancel or correction
BAR_1M = "M"  # one upstream 1-minute bar
STATUS = "S"  # one trading status
CLOCK = "K"  # one tick of the platform's clock
REJECT = "R"  # one record that cannot be used

CATCH_UP_MS = 10_000
"""A second that ended longer ago is the past: it is computed, but no preview of it is of use to anyone."""


class TickRow(NamedTuple):
    """One row of any branch."""

    branch: str
    symbol: str
    end_ms: int
    o: float | None
    h: float | None
    l: float | None  # noqa: E741 - the field's name everywhere
    c: float | None
    """Close; of a late trade or a correction: its price."""
    v: float | None
    """Volume; of a late trade or a correction: its size."""
    n: int | None
    """Trades that count for the volume; of a reject: the bytes the record has."""
    pv: float | None
    """Sum of price x size over the trades that count for vwap."""
    vv: float | None
    """Sum of sizes over the same trades."""
    last_ms: int | None
    """Newest event time among the trades."""
    bid_px: float | None
    bid_sz: float | None
    ask_px: float | None
    ask_sz: float | None
    quote_ms: int | None
    """Event time of the quote."""
    trades: str | None
    """The trades of the window, one `exchange|id|mask|price|size` each, joined by `;`."""
    mask: int | None
    """What a late trade or a correction may not set: 1 open and close, 2 high and low, 4 volume."""
    unknown: int | None
    """Conditions not known, or not of that tape."""
    ticks: int | None
    """Records behind the row."""
    watermark_ms: int | None
    """The watermark when the record came, where lateness depends on it."""
    log_topic: str | None
    log_partition: int | None
    log_offset: int | None
    feed: str | None
    kind: str | None
    """T of the message; of a reject: the reason."""
    detail: str | None
    raw: bytes | None
    """Of a reject: how the record begins."""


COLUMNS = TickRow._fields
