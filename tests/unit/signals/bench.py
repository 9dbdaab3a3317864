"""Rows as the query gives them, and an engine to give them to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ta_pipeline import rows
from ta_pipeline.rows import COLUMNS, TickRow
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import load_settings
from ta_pipeline.signals.engine import EngineSettings, SymbolEngine
from ta_pipeline.signals.held import Waiting
from ta_pipeline.signals.outputs import Output, Signal

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
    """A trade (id, price, size) that came at a watermark past the end of its second."""
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


def minute(number: int, close: float, vwap: float | None = None, size: float = 100.0, **columns: object) -> TickRow:
    """An upstream 1-minute bar, as the query gives it: its own time is its start."""
    end_ms = T0 + (number + 1) * 60_000
    fields = {
        "end_ms": end_ms, "last_ms": end_ms - 60_000, "o": close, "h": close, "l": close, "c": close, "v": size,
        "n": 9, "pv": None if vwap is None else vwap * size, "vv": None if vwap is None else size, "kind": "b",
        "log_topic": "bars", "log_offset": number,
    }  # fmt: skip
    return row(rows.BAR_1M, 0, **{**fields, **columns})


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
        self.windows: list[TickRow] = []

    def new(self) -> SymbolEngine:
        """An engine without state."""
        return SymbolEngine("AAA", self.settings, Sessions("extended"), self._count)

    def hold(self, *held: TickRow) -> None:
        """Rows come, and wait: windows outside of the engine, as they do in the job."""
        for item in held:
            if item.branch in {rows.FINAL, rows.QUOTE}:
                self.windows.append(item)
            else:
                self.engine.hold(item)

    def until(self, second: int) -> list[Output]:
        """Everything that is due when the watermark passes the end of `second`."""
        due = sorted((row for row in self.windows if row.end_ms <= end_of(second)), key=Waiting.place)
        self.windows = [row for row in self.windows if row.end_ms > end_of(second)]
        now_ms = end_of(second) + LATENESS_MS
        outputs = [output for row in due for output in self.engine.due(row, now_ms)]
        return outputs + list(self.engine.take(end_of(second) - 1, now_ms))

    def give(self, second: int, *held: TickRow) -> list[Output]:
        """Rows come, and then the watermark passes the end of `second`."""
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
