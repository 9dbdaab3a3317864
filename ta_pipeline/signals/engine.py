"""One symbol: rows in, bars and signals out. Flink's function around it keeps its state and its timers.

    FINAL, QUOTE           due(row): the watermark has passed it; applied, after what was held before it
    LATE, CANCEL, BAR_1M   hold(row); later take(watermark) applies what is due
    LIVE                   live(row): a preview, changes nothing that final results use

Rules: docs/market-semantics.md. Nothing here reads a clock: `now_ms` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from ta_pipeline import rows
from ta_pipeline.indicators.set import IndicatorSet, Values
from ta_pipeline.rows import CATCH_UP_MS, TickRow
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings
from ta_pipeline.signals.held import Held, Waiting
from ta_pipeline.signals.layouts import Upgrades, upgraded
from ta_pipeline.signals.live import LiveSeconds
from ta_pipeline.signals.outputs import MINUTE, SECOND, Late, Output, Signal
from ta_pipeline.signals.quotes import CarriedQuotes, Derived, Quote, derive
from ta_pipeline.signals.second import Second

VERSION = 1
"""Of what `symbol_state` saves."""
UPGRADES: Upgrades = {}
"""From older versions that `load` reads too."""
LOADS = tuple(UPGRADES)
_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_NO_VALUES = Values(*[None] * len(Values._fields))
_NO_QUOTE = (None, None, None, None, None, None)

Count = Callable[[str, int], None]


@dataclass(frozen=True)
class EngineSettings:
    """The settings that decide numbers, read once."""

    out_of_orderness_ms: int
    horizon_ms: int
    quote_stale_after_ms: int
    live_slice_ms: int
    vwap_window_ms: int
    vol_window_ms: int
    session: str
    live: bool

    @classmethod
    def of(cls, settings: Settings, *, live: bool) -> EngineSettings:
        """From the platform's settings; `live` is off in bounded runs."""
        return cls(
            settings.max_out_of_orderness_ms, settings.revision_horizon_ms, settings.quote_stale_after_ms,
            settings.live_slice_ms, settings.vwap_window_seconds * 1_000, settings.realized_vol_window_seconds * 1_000,
            settings.session, live,
        )  # fmt: skip


@dataclass
class Changes:
    """What of the state differs from what was saved; the shell saves it and calls `clear`."""

    symbol: bool = False
    indicators_1s: bool = False
    indicators_1m: bool = False
    seconds: set[int] = field(default_factory=set)
    held: dict[int, Held | None] = field(default_factory=dict)
    timers: set[int] = field(default_factory=set)

    def clear(self) -> None:
        """Everything is saved."""
        self.symbol = self.indicators_1s = self.indicators_1m = False
        self.seconds.clear()
        self.held.clear()
        self.timers.clear()


class SymbolEngine:
    """All that is known of one symbol."""

    def __init__(self, symbol: str, settings: EngineSettings, sessions: Sessions, count: Count) -> None:
        self.symbol = symbol
        self.changes = Changes()
        self._settings = settings
        self._sessions = sessions
        self._count = count
        self._waiting = Waiting()
        self._seconds: dict[int, Second] = {}
        self._quotes = CarriedQuotes()
        self._live = LiveSeconds()
        self._last_final_ms = 0
        self._last_minute: list[float | None] = []
        self._minute_revision = 0
        self._one_second = IndicatorSet("1s", settings.vwap_window_ms, settings.vol_window_ms, sessions)
        self._one_minute: IndicatorSet | None = None

    # ---- rows in

    def hold(self, row: TickRow) -> None:
        """Keep a row until the watermark says that all before it has come."""
        self._note(self._waiting.hold(row))

    def due(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        """Apply a window's row, and before it every held row that comes before it."""
        window = self._waiting.place(row)
        while (held := self._waiting.take_before(window)) is not None:
            self.changes.held[held.number] = None
            yield from self._apply(held, now_ms)
        yield from self._apply(window, now_ms)

    def take(self, watermark_ms: int, now_ms: int) -> Iterator[Output]:
        """Apply, in order, every row whose time has come."""
        while (held := self._waiting.take(watermark_ms)) is not None:
            self.changes.held[held.number] = None
            yield from self._apply(held, now_ms)

    def live(self, row: TickRow, now_ms: int) -> Iterator[Signal]:
        """A live slice: the signal as it would be if the second ended now; none for a second that is final."""
        known = self._seconds.get(row.end_ms)
        if row.end_ms <= self._last_final_ms or (known is not None and known.revision >= 0):
            self._count("live_slices_after_final", 1)
            return
        quote = _quote(row)
        if quote is not None:
            self._live.take_quote(quote)
        second = self._live.take_slice(Second.of(row)) if row.ticks else self._live.second(row.end_ms)
        if second is None or not second.is_bar:
            return
        if now_ms - row.end_ms > CATCH_UP_MS:
            # Of no use to anyone by now; the final result gives the one live update that every key gets.
            self._count("live_slices_of_a_catch_up", 1)
            return
        values = self._live.preview(second, self._one_second)
        carried = self._live.quote_as_of(row.end_ms, self._quotes.as_of(row.end_ms))
        newest = second.last_ms if carried is None else max(second.last_ms, carried.quote_ms)
        revision = self._live.next_revision(second.end_ms, now_ms, self._settings.live_slice_ms)
        self._count("previews", 1)
        yield self._signal(second, values, carried, now_ms, final=False, revision=revision, last_ms=newest)

    # ---- what a row does when its time has come

    def _apply(self, held: Held, now_ms: int) -> Iterable[Output]:
        row = held.row
        match row.branch:
            case rows.FINAL:
                return self._final(row, now_ms)
            case rows.QUOTE:
                self._quote_final(row)
                return ()
            case rows.LATE:
                return self._late(row, now_ms)
            case rows.LATE_QUOTE:
                return self._late_quote(row, now_ms)
            case rows.CANCEL:
                return self._cancel(held, now_ms)
            case _:
                return self._minute(row, now_ms)

    def _final(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        self._count("unknown_conditions", row.unknown or 0)
        known = self._seconds.get(row.end_ms)
        if row.end_ms <= self._last_final_ms or (known is not None and known.revision >= 0):
            yield from self._late_window(row, now_ms)
            return
        second = Second.of(row)
        if known is not None:
            # Late trades that made no bar, before a restore: the watermark began anew behind them.
            second.add_missing(known.trades, known.last_ms)
        self._take_back_waiting(second)
        self._last_final_ms = max(self._last_final_ms, row.end_ms)
        self._keep(second)
        self._forget_before(row.end_ms - 1)
        self.changes.symbol = True
        if not second.is_bar or second.c is None:
            self._live.became_final(second)
            return
        second.revision = 0
        never_live = self._settings.live and row.end_ms not in self._live.given_out
        revision = self._live.next_revision(row.end_ms, now_ms, self._settings.live_slice_ms) if never_live else 0
        values = self._one_second.advance(row.end_ms, row.end_ms - _SECOND_MS, second.c, second.pv, second.vv)
        self.changes.indicators_1s = True
        self._live.became_final(second)
        quote = self._quotes.as_of(row.end_ms)
        self._count("finals", 1)
        signal = self._signal(second, values, quote, now_ms, final=True, revision=0, last_ms=second.last_ms)
        if never_live:
            # A reader of the live topic alone sees every key, also those that a catch-up made final at once.
            yield signal._replace(is_final=False, has_bar=False, revision=revision)
        yield signal

    def _late(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        self._count("late", 1)
        self._count("unknown_conditions", row.unknown or 0)
        if self._newest(row) - row.end_ms > self._settings.horizon_ms:
            yield self._too_late(row, "beyond_horizon", now_ms)
            return
        second = self._seconds.get(row.end_ms) or Second(row.end_ms, feed=row.feed)
        before = _volume(second)
        price, size, mask, event_ms = _trade_of(row)
        second.add_trade(row.trades or "", mask, price, size, event_ms)
        self._take_back_waiting(second)
        self._late_volume(second, before)
        yield from self._revise(second, now_ms)
        self._forget_before(row.watermark_ms or 0)

    def _late_window(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        """Take in a window behind the newest final one.

        A job restored from a state that has no watermark begins without one (docs/decisions/0017): what would have been
        late comes in a window of its own.
        """
        self._count("late", row.ticks or 0)
        if self._last_final_ms + self._settings.out_of_orderness_ms - row.end_ms > self._settings.horizon_ms:
            yield self._too_late(row, "beyond_horizon", now_ms)
            return
        second = self._seconds.get(row.end_ms) or Second(row.end_ms, feed=row.feed)
        before = _volume(second)
        second.add_missing(row.trades or "", row.last_ms or 0)
        self._take_back_waiting(second)
        self._late_volume(second, before)
        # The final indicators will not have its close: the live ones must not either.
        self._live.became_final(second)
        self._live.state_changed()
        yield from self._revise(second, now_ms)

    def _cancel(self, held: Held, now_ms: int) -> Iterator[Output]:
        row = held.row
        if held.gives_up:
            yield self._too_late(row, "no_such_trade", now_ms)
            return
        newest = self._newest(row)
        for _, second in sorted(self._seconds.items(), reverse=True):  # an id used again: the newest trade is meant
            if newest - second.end_ms > self._settings.horizon_ms:
                continue
            before = _volume(second)
            if self._take_back(second, row):
                self._late_volume(second, before)
                yield from self._revise(second, now_ms)
                return
        if row.watermark_ms is not None and row.watermark_ms >= row.end_ms - 1:
            yield self._too_late(row, "no_such_trade", now_ms)
        else:
            self._note(self._waiting.hold_until_final(row))

    def _take_back_waiting(self, second: Second) -> None:
        """Give the cancels and corrections that came before their trade a look at `second`."""
        for waiting in self._waiting.unmatched():
            if self._take_back(second, waiting.row):
                self._waiting.release(waiting)
                self.changes.held[waiting.number] = None

    def _take_back(self, second: Second, row: TickRow) -> bool:
        """Take the trade that a cancel or correction names out of `second`, and put the corrected one in."""
        if row.trades is None or not second.remove_trade(row.trades):
            return False
        if row.kind == "c":
            self._count("unknown_conditions", row.unknown or 0)
            price, size, mask, _ = _trade_of(row)
            second.add_trade(f"{row.detail}|{mask}|{price}|{size}", mask, price, size, second.last_ms)
            self._count("corrections", 1)
        else:
            self._count("cancels", 1)
        if second.n == 0 and second.revision < 0:
            # No volume left, so there never was a bar: a late trade for this second begins with prices of its own.
            second.o = second.h = second.l = second.c = None
        return True

    def _late_volume(self, second: Second, before: tuple[float, float]) -> None:
        after = _volume(second)
        pv, vv = after[0] - before[0], after[1] - before[1]
        if pv or vv:
            self._one_second.add_late(second.end_ms, second.end_ms - _SECOND_MS, pv, vv)
            self.changes.indicators_1s = True
            self._live.state_changed()

    def _revise(self, second: Second, now_ms: int) -> Iterator[Output]:
        """Give the bar again; indicators already given out are not rewritten."""
        self._keep(second)
        if second.revision < 0 and not second.is_bar:
            return
        second.revision += 1
        self._count("revisions", 1)
        signal = self._signal(
            second, _NO_VALUES, None, now_ms, final=True, revision=second.revision, last_ms=second.last_ms
        )
        yield signal._replace(has_signal=False)

    def _quote_final(self, row: TickRow) -> None:
        quote = _quote(row)
        if quote is not None:
            self._quotes.take(quote)
            self.changes.symbol = True

    def _late_quote(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        self._count("late_quotes", 1)
        quote = _quote(row)
        if quote is not None and self._quotes.take(quote):
            self.changes.symbol = True
        else:
            yield self._too_late(row, "newer_quote_known", now_ms)

    def _minute(self, row: TickRow, now_ms: int) -> Iterator[Output]:
        bar = [row.end_ms, row.o, row.h, row.l, row.c, row.v, row.n, row.pv]
        newest = self._last_minute[0] if self._last_minute else None
        if (newest is not None and row.end_ms < newest) or self._waiting.newer_minute_before(row):
            self._count("late", 1)
            yield self._too_late(row, "older_minute", now_ms)
            return
        if bar == self._last_minute:
            self._count("duplicate_minutes", 1)
            return
        if self._one_minute is None:
            self._one_minute = IndicatorSet(
                "1m", self._settings.vwap_window_ms, self._settings.vol_window_ms, self._sessions
            )
        again = newest == row.end_ms
        compute = self._one_minute.readvance if again else self._one_minute.advance
        close, start_ms = row.c or 0.0, row.end_ms - _MINUTE_MS
        values = compute(row.end_ms, start_ms, close, row.pv or 0.0, row.vv or 0.0)
        self._minute_revision = self._minute_revision + 1 if again else 0
        self._last_minute = bar
        self.changes.symbol = self.changes.indicators_1m = True
        self._count("minute_signals", 1)
        minute = Second.of(row)
        quote = self._quotes.as_of(row.end_ms)
        # Which of its ticks was the newest it does not say; the event time of the record is the minute's start.
        signal = self._signal(
            minute, values, quote, now_ms, final=True, revision=self._minute_revision, last_ms=row.end_ms
        )
        yield signal._replace(has_bar=False, size=MINUTE, start_ms=start_ms, seq=row.end_ms // _MINUTE_MS)

    # ---- rows out

    def _signal(
        self,
        second: Second,
        values: Values,
        quote: Quote | None,
        now_ms: int,
        *,
        final: bool,
        revision: int,
        last_ms: int,
    ) -> Signal:
        if quote is None:
            group: tuple[float | None, ...] = _NO_QUOTE
        else:
            derived: Derived = derive(quote, second.end_ms if final else last_ms, self._settings.quote_stale_after_ms)
            if derived.problem is not None and final:
                self._count(f"quotes_{derived.problem}", 1)
            group = (derived.spread, derived.imbalance, quote.bid_px, quote.ask_px, quote.bid_sz, quote.ask_sz)
        return Signal(
            final, final, True, SECOND, self.symbol, now_ms, second.end_ms, second.end_ms - _SECOND_MS, last_ms,
            second.feed, second.end_ms // _SECOND_MS, revision, second.o, second.h, second.l, second.c, second.v,
            second.vwap, second.n, *values, *group,
        )  # fmt: skip

    def _too_late(self, row: TickRow, reason: str, now_ms: int) -> Late:
        self._count(f"late_{reason}", 1)
        return Late(
            self.symbol, now_ms, reason, row.kind or "", row.log_topic, row.log_partition, row.log_offset,
            row.last_ms or 0, row.end_ms, row.watermark_ms, row.c, row.v, row.trades,
        )  # fmt: skip

    # ---- state

    def _newest(self, row: TickRow) -> int:
        """Newest event time in the log when `row` came; after a restore the watermark may begin behind it."""
        return max(row.watermark_ms or 0, self._last_final_ms - 1) + self._settings.out_of_orderness_ms

    def _keep(self, second: Second) -> None:
        self._seconds[second.end_ms] = second
        self.changes.seconds.add(second.end_ms)

    def _forget_before(self, watermark_ms: int) -> None:
        oldest = watermark_ms + self._settings.out_of_orderness_ms - self._settings.horizon_ms
        # In the order in which they came: a late one leaves with those it came among.
        while self._seconds and (end_ms := next(iter(self._seconds))) < oldest:
            del self._seconds[end_ms]
            self.changes.seconds.add(end_ms)

    def _note(self, held: Held) -> None:
        self.changes.held[held.number] = held
        self.changes.timers.add(held.due_ms)

    def second_state(self, end_ms: int) -> bytes | None:
        """A kept second, to be saved; None when it was forgotten."""
        second = self._seconds.get(end_ms)
        return second.dump() if second else None

    def symbol_state(self) -> bytes:
        """Everything small, to be saved."""
        return orjson.dumps(
            [VERSION, self._last_final_ms, self._quotes.dump(), self._last_minute, self._minute_revision]
        )

    def indicators_1s_state(self) -> bytes:
        """The 1-second indicators, to be saved."""
        return self._one_second.to_bytes()

    def indicators_1m_state(self) -> bytes:
        """The 1-minute indicators, to be saved; empty while there was no 1-minute bar."""
        return self._one_minute.to_bytes() if self._one_minute else b""

    def load(
        self,
        symbol_state: bytes | None,
        indicators_1s: bytes | None,
        indicators_1m: bytes | None,
        seconds: Iterable[bytes],
        held: Iterable[bytes],
    ) -> None:
        """Take over what was saved.

        Raises:
            StateVersionError: it was saved by a version this code does not know.
        """
        if symbol_state:
            version, *rest = orjson.loads(symbol_state)
            self._last_final_ms, quotes, self._last_minute, self._minute_revision = upgraded(
                self.symbol, rest, version, VERSION, UPGRADES
            )
            self._quotes = CarriedQuotes.load(quotes)
        windows = (self._settings.vwap_window_ms, self._settings.vol_window_ms, self._sessions)
        if indicators_1s:
            self._one_second = IndicatorSet.from_bytes(indicators_1s, "1s", *windows)
        if indicators_1m:
            self._one_minute = IndicatorSet.from_bytes(indicators_1m, "1m", *windows)
        loaded = sorted(map(Second.load, seconds), key=lambda second: second.end_ms)
        self._seconds = {second.end_ms: second for second in loaded}
        self._waiting = Waiting([Held.load(item) for item in held])


def _quote(row: TickRow) -> Quote | None:
    if row.bid_px is None or row.bid_sz is None or row.ask_px is None or row.ask_sz is None or row.quote_ms is None:
        return None
    return Quote(row.end_ms, row.bid_px, row.bid_sz, row.ask_px, row.ask_sz, row.quote_ms)


def _volume(second: Second) -> tuple[float, float]:
    """What the VWAPs count of a second: only what is in a bar."""
    return (second.pv, second.vv) if second.revision >= 0 or second.is_bar else (0.0, 0.0)


def _trade_of(row: TickRow) -> tuple[float, float, int, int]:
    return row.c or 0.0, row.v or 0.0, row.mask or 0, row.last_ms or 0
