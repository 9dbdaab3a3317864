"""The keyed function: rows of one symbol in, bars and signals out. All numbers come from `ta_pipeline.signals`.

State per symbol, all of it bytes of plain values (JSON, or packed doubles for the indicators); the versions are
declared in ta_pipeline/signals/states.py:

    symbol          the carried quotes, the newest final second, the newest minute
    indicators_1s   ta_pipeline.indicators.set
    indicators_1m   the same for upstream 1-minute bars
    seconds         slot -> a second that may still be revised; one that is older than the horizon is overwritten
    held            number -> a row that waits for the watermark

An engine lives in memory between rows and writes what changed; it is read back only when it is not in memory.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from pyflink.common import Row, Types
from pyflink.common.time import Time
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import MapState, MapStateDescriptor, StateTtlConfig, ValueState, ValueStateDescriptor

from flink.counters import Counters
from flink.logs import Log
from ta_pipeline import rows
from ta_pipeline.rows import TickRow
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings
from ta_pipeline.signals import states
from ta_pipeline.signals.engine import EngineSettings, SymbolEngine
from ta_pipeline.signals.outputs import Late, Output, Reject, Signal
from ta_pipeline.signals.published import Published
from ta_pipeline.signals.pulse import Beat, ClockClosings, Pulse
from ta_pipeline.signals.states import State

_NUMBER, _FLOAT, _TEXT, _FLAG = Types.LONG(), Types.DOUBLE(), Types.STRING(), Types.BOOLEAN()

INSTANTS = frozenset({"ingest_ms", "event_ms", "start_ms", "last_ms"})
"""Fields of `Signal` that are text in its row: RFC 3339, UTC."""

SIGNAL_TYPE = Types.ROW_NAMED(
    [
        "is_final", "has_bar", "has_signal", "size", "symbol", "ingest_ts", "event_ts", "start_ts", "last_event_ts",
        "feed", "seq", "revision", "o", "h", "l", "c", "v", "vwap", "n", "ema12", "ema26", "macd", "macd_signal",
        "macd_hist", "rsi14", "boll_mid", "boll_upper", "boll_lower", "vwap_session", "vwap_rolling", "vol_realized",
        "vol_realized_30", "bars", "spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz",
    ],
    [_FLAG] * 3 + [_TEXT] * 7 + [_NUMBER] * 2 + [_FLOAT] * 6 + [_NUMBER] + [_FLOAT] * 13
    + [_NUMBER] + [_FLOAT] * 6,
)  # fmt: skip
LATE_TYPE = Types.ROW_NAMED(
    [
        "symbol", "ingest_ms", "reason", "kind", "log_topic", "log_partition", "log_offset", "event_ms", "end_ms",
        "watermark_ms", "price", "size", "trade",
    ],
    [_TEXT, _NUMBER, _TEXT, _TEXT, _TEXT, _NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, _FLOAT, _FLOAT, _TEXT],
)  # fmt: skip
REJECT_TYPE = Types.ROW_NAMED(
    ["symbol", "ingest_ms", "reason", "detail", "log_topic", "log_partition", "log_offset", "raw", "raw_size"],
    [_TEXT, _NUMBER, _TEXT, _TEXT, _TEXT, _NUMBER, _NUMBER, Types.PRIMITIVE_ARRAY(Types.BYTE()), _NUMBER],
)
BEAT_TYPE = Types.ROW_NAMED(list(Beat._fields), [_NUMBER] * len(Beat._fields))
LATE_TAG = OutputTag("late", LATE_TYPE)
BEAT_TAG = OutputTag("beats", BEAT_TYPE)
REJECT_TAG = OutputTag("rejects", REJECT_TYPE)

_SAVED = frozenset({rows.FINAL, rows.QUOTE, rows.LATE, rows.LATE_QUOTE, rows.CANCEL, rows.BAR_1M})
"""Branches whose rows change what is saved."""
_ACCEPTED = {
    rows.FINAL: "trades", rows.LATE: "trades", rows.CANCEL: "trades", rows.QUOTE: "quotes", rows.LATE_QUOTE: "quotes",
    rows.BAR_1M: "bars_1m", rows.STATUS: "status",
}  # fmt: skip
"""Branches whose rows stand for records that were accepted, and of which topic. With what the deduplication dropped and
what was rejected, that is every record that was read."""
_IN_MEMORY = 20_000  # symbols; a flood of others is read back from the state


class SignalFunction(KeyedProcessFunction):  # type: ignore[misc]
    """Bars and signals of each symbol, as the watermark and the slices come; none that is `published`."""

    def __init__(self, settings: Settings, *, live: bool, published: Published | None = None) -> None:
        # The function travels inside the job graph: only what it needs, and no secret.
        self._engine_settings = EngineSettings.of(settings, live=live)
        self._state_ttl_days = settings.state_ttl_days
        self._fail_on_reject = settings.on_bad_record == "fail"
        self._live = live
        self._published = published
        # Two seconds within the horizon never have the same slot.
        self._slots = settings.revision_horizon_ms // 1_000 + 2
        # A slice ends, is computed and travels: after three of them it has been seen.
        self._closing_grace_ms = 3 * settings.live_slice_ms
        self._out_of_orderness_ms = settings.max_out_of_orderness_ms

    def open(self, runtime_context: RuntimeContext) -> None:
        """Bind the state and the counters.

        Raises:
            RuntimeError: the function does not run in thread mode; Flink falls back to another one silently.
        """
        if not type(runtime_context).__module__.startswith("pyflink.fn_execution.datastream.embedded"):
            raise RuntimeError(
                "the signal function must run in thread mode (python.execution-mode=thread), but runs in "
                f"{type(runtime_context).__module__}: live signals would be seconds late"
            )
        self._counters = Counters(runtime_context.get_metrics_group())
        self._log = Log()
        self._pulse = Pulse()
        self._closings = ClockClosings(self._out_of_orderness_ms, self._closing_grace_ms)
        self._sessions = Sessions(self._engine_settings.session)
        self._engines: OrderedDict[str, SymbolEngine] = OrderedDict()
        # Flink's default for the heap, said in words: with the default itself PyFlink asks a Java of its own for the
        # default of RocksDB, and starts that Java beside each TaskManager's.
        ttl = (
            StateTtlConfig.new_builder(Time.days(self._state_ttl_days))
            .set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)
            .disable_cleanup_in_background()
            .cleanup_incrementally(5, False)
            .build()
        )
        self._symbol = self._value(states.SYMBOL, runtime_context, ttl)
        self._indicators_1s = self._value(states.INDICATORS_1S, runtime_context, ttl)
        self._indicators_1m = self._value(states.INDICATORS_1M, runtime_context, ttl)
        self._seconds = self._map(states.SECONDS, runtime_context, ttl)
        self._held = self._map(states.HELD, runtime_context, ttl)

    def process_element(self, value: tuple[Any, ...], ctx: KeyedProcessFunction.Context) -> Iterator[object]:
        """Take in rows of one symbol, in order: one of any branch, or the windows that have become due."""
        now_ms = _now_ms()
        signals: list[tuple[Any, ...]] = []
        for values in value:
            row = TickRow._make(values)
            if self._live:
                yield from self._beat(row, now_ms, ctx)
            if row.branch in _ACCEPTED:
                self._counters.add(f"accepted_{_ACCEPTED[row.branch]}", row.ticks or 0)
            match row.branch:
                case rows.FINAL | rows.QUOTE:
                    due = self._engine(row.symbol).due(row, now_ms)
                    yield from self._side_outputs(due, signals, row.end_ms - 1, now_ms)
                case rows.LIVE:
                    live = self._engine(row.symbol).live(row, now_ms)
                    yield from self._side_outputs(live, signals, row.end_ms - 1, now_ms)
                case rows.REJECT:
                    reject = self._reject(row, now_ms)
                    if self._published is None or self._published.new_of(reject) is not None:
                        yield REJECT_TAG, Row(*reject)
                case rows.STATUS:
                    self._counters.add(f"status_{row.detail}", 1)
                case rows.CLOCK:
                    pass
                case _:
                    self._engine(row.symbol).hold(row)
        if row.branch in _SAVED:
            self._save(self._engine(row.symbol), ctx)
        self._counters.report()
        if signals:
            yield tuple(signals)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[object]:
        """Apply the held rows that the watermark has made due."""
        engine = self._engine(ctx.get_current_key())
        now_ms = _now_ms()
        signals: list[tuple[Any, ...]] = []
        yield from self._side_outputs(engine.take(timestamp, now_ms), signals, timestamp, now_ms)
        self._save(engine, ctx)
        self._counters.report()
        if signals:
            yield tuple(signals)

    def _side_outputs(
        self, outputs: Iterable[Output], signals: list[tuple[Any, ...]], watermark_ms: int, now_ms: int
    ) -> Iterator[object]:
        """Put the signals among `outputs` into `signals`, which leave as one; the others leave here."""
        for output in outputs if self._published is None else self._new(outputs, self._published):
            self._pulse.output(output)
            if isinstance(output, Late):
                self._log_late(output, now_ms)
                yield LATE_TAG, Row(*output)
            else:
                if isinstance(output, Signal) and output.revision > 0 and output.is_final and output.has_bar:
                    self._log_revision(output, watermark_ms, now_ms)
                signals.append(tuple(output))

    def _new(self, outputs: Iterable[Output], published: Published) -> Iterator[Output]:
        """What of `outputs` is not on the topics; the other is counted."""
        for output in outputs:
            new = published.new_of(output)
            if new != output:
                self._counters.add("already_published", 1)
            if new is not None:
                yield new

    def _beat(self, row: TickRow, now_ms: int, ctx: KeyedProcessFunction.Context) -> Iterator[object]:
        """Count the row; report when a report is due."""
        self._pulse.row(row)
        if row.branch == rows.FINAL:
            self._closings.closed(row.end_ms, now_ms)
        elif row.branch == rows.LIVE and row.last_ms is not None:
            self._closings.trade(row.last_ms)
        by_clock = self._closings.count(now_ms)
        if by_clock:
            self._counters.add("bars_closed_by_clock", by_clock)
        if self._pulse.is_due(now_ms):
            yield BEAT_TAG, Row(*self._pulse.beat(now_ms, ctx.timer_service().current_watermark()))

    def _engine(self, symbol: str) -> SymbolEngine:
        engine = self._engines.get(symbol)
        if engine is None:
            engine = SymbolEngine(symbol, self._engine_settings, self._sessions, self._counters.add)
            state = self._symbol.value()
            if state is not None:
                engine.load(
                    state, self._indicators_1s.value(), self._indicators_1m.value(),
                    list(self._seconds.values()), list(self._held.values()),
                )  # fmt: skip
            else:
                engine.changes.symbol = True
            self._engines[symbol] = engine
            if len(self._engines) > _IN_MEMORY:
                self._engines.popitem(last=False)
        return engine

    def _save(self, engine: SymbolEngine, ctx: KeyedProcessFunction.Context) -> None:
        changes = engine.changes
        if changes.symbol:
            self._symbol.update(engine.symbol_state())
        if changes.indicators_1s:
            self._indicators_1s.update(engine.indicators_1s_state())
        if changes.indicators_1m:
            self._indicators_1m.update(engine.indicators_1m_state())
        kept = {end_ms: state for end_ms in changes.seconds if (state := engine.second_state(end_ms)) is not None}
        if kept:
            self._seconds.put_all({end_ms // 1_000 % self._slots: state for end_ms, state in kept.items()})
        for number, held in changes.held.items():
            if held is None:
                self._held.remove(number)
            else:
                self._held.put(number, held.dump())
        timers = ctx.timer_service()
        for due_ms in changes.timers:
            timers.register_event_time_timer(due_ms)
        changes.clear()

    def _log_late(self, late: Late, now_ms: int) -> None:
        self._log.write(
            f"late_{late.reason}", f"late: {late.reason}", now_ms, symbol=late.symbol, channel=late.log_topic,
            event_ts=late.event_ms, watermark=late.watermark_ms, lag_ms=now_ms - late.event_ms, offset=late.log_offset,
        )  # fmt: skip

    def _log_revision(self, signal: Signal, watermark_ms: int, now_ms: int) -> None:
        self._log.write(
            "revised", "a final bar was revised", now_ms, symbol=signal.symbol, channel="bars_1s",
            event_ts=signal.event_ms, watermark=watermark_ms, lag_ms=now_ms - signal.last_ms, revision=signal.revision,
        )  # fmt: skip

    def _reject(self, row: TickRow, now_ms: int) -> Reject:
        self._counters.add(f"rejected_{row.kind}", 1)
        self._log.write(
            f"rejected_{row.kind}", f"rejected: {row.kind}", now_ms, symbol=row.symbol, channel=row.log_topic,
            partition=row.log_partition, offset=row.log_offset, detail=row.detail,
        )  # fmt: skip
        if self._fail_on_reject:
            self._counters.report()
            raise RuntimeError(
                f"TA_ON_BAD_RECORD=fail: {row.log_topic} partition {row.log_partition} offset {row.log_offset} is "
                f"rejected: {row.kind} {row.detail or ''}; mend the record's producer, or set TA_ON_BAD_RECORD=reject"
            )
        return Reject(
            row.symbol, now_ms, row.kind or "", row.detail, row.log_topic, row.log_partition, row.log_offset, row.raw,
            row.n,
        )  # fmt: skip

    @staticmethod
    def _value(state: State, context: RuntimeContext, ttl: StateTtlConfig) -> ValueState:
        descriptor = ValueStateDescriptor(state.name, Types.PICKLED_BYTE_ARRAY())
        descriptor.enable_time_to_live(ttl)
        return context.get_state(descriptor)

    @staticmethod
    def _map(state: State, context: RuntimeContext, ttl: StateTtlConfig) -> MapState:
        descriptor = MapStateDescriptor(state.name, Types.LONG(), Types.PICKLED_BYTE_ARRAY())
        descriptor.enable_time_to_live(ttl)
        return context.get_map_state(descriptor)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
