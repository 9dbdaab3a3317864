"""Live and final records of one share of the symbols, merged into one stream that never goes back in time; pure.

A share is a partition of a reader in a group, or everything. It is fed with what names a record and the reader's
clock, and says where the record stands and what is to be told. Memory is bounded: windows are remembered for a time,
symbols for as long as the reader has the share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, get_args

from ta_pipeline.decode import Channel, Head
from ta_pipeline.reader.events import Event, Missing, TooOld, WarmedUp, WarmingUp
from ta_pipeline.reader.followers import Followers
from ta_pipeline.reader.records import Standing
from ta_pipeline.reader.series import LeftOut, Series
from ta_pipeline.reader.silence import Silence
from ta_pipeline.reader.steady import Steady
from ta_pipeline.sessions import Sessions
from ta_pipeline.signals.outputs import SECOND

_LEFT_OUT = frozenset(get_args(LeftOut))


@dataclass(frozen=True)
class Limits:
    """Times, in milliseconds, and counts that a merge goes by."""

    final_within_ms: int
    """Longest time from the last live update of a second to its final, and from a bar to its signal."""
    remember_ms: int = 180_000
    """The default horizon of revisions, and two minutes."""
    stale_after_ms: int | None = 30_000
    session: str | None = None
    """Staleness is told within this session only (`ta_pipeline.sessions`); None: at any time."""
    warm_up_bars: int = 34
    """MACD's signal line is the last to have all its bars: 26 + 9 - 1."""
    drop_revisions: bool = False
    """Leave out what is of a past window."""


class Taken(NamedTuple):
    """What becomes of a record: handed out with `standing`, or left out; `events` come before it."""

    standing: Standing | None
    left_out: LeftOut | None
    events: list[Event]


class Merge:
    """The state of one share.

    Args:
        limits: what it goes by.
        symbols: expected, though not heard of yet.
        now_ms: the reader's clock.
    """

    def __init__(self, limits: Limits, symbols: Iterable[str] = (), now_ms: int = 0) -> None:
        self._limits = limits
        self._steady = Steady(now_ms)
        self._series: dict[tuple[bool, str, str], Series] = {}
        self._warm: dict[tuple[str, str], bool] = {}
        self._no_final = Followers(limits.final_within_ms)
        self._no_signal = Followers(limits.final_within_ms)
        sessions = Sessions(limits.session) if limits.session else None
        self._silence = Silence(limits.stale_after_ms, sessions, symbols, now_ms)

    def take(self, channel: Channel, head: Head, bars: int | None, now_ms: int, *, is_told: bool = True) -> Taken:
        """Take in one record.

        Args:
            channel: bars, signals or live.
            head: what names it.
            bars: of a signal: bars since its indicator state began; None: it does not say, so it counts as none.
            now_ms: the reader's clock.
            is_told: False for what was handed out before: it is known then, and nothing is told.
        """
        now_ms = self._steady.at(now_ms)
        events: list[Event] = []
        if (heard := self._silence.hear(head.symbol, now_ms)) is not None:
            events.append(heard)
        is_bar = channel == "bars"
        series = self._of(is_bar, head.symbol, head.size)
        is_first, is_new = series.newest_final is None, not series.has_live(head.event_ms)
        found = series.take(head.event_ms, head.revision, is_final=head.is_final)
        if found in _LEFT_OUT:
            if found == "too old":
                events.append(TooOld(head.symbol, head.size, head.event_ms, head.revision, head.is_final))
            return Taken(None, found, events if is_told else [])  # type: ignore[arg-type]
        if head.size == SECOND:
            if is_bar:
                if found != "revises":
                    self._expect_signal(head, now_ms, events)
            elif head.is_final:
                self._followed(head, is_first, events)
            else:
                self._expect_final(series, head, is_new, now_ms, events)
        if not is_told:
            return Taken(found, None, [])  # type: ignore[arg-type]
        if not is_bar and found == "newest":
            # One that does not say of how many bars it is, is not to be acted on.
            self._judge_warm_up(head, bars or 0, events)
        if found == "revises" and self._limits.drop_revisions:
            return Taken(None, "past", events)
        return Taken(found, None, events)  # type: ignore[arg-type]

    def judge(self, now_ms: int) -> list[Event]:
        """What time alone has brought about: staleness, and what is overdue."""
        steady_ms = self._steady.at(now_ms)
        events: list[Event] = list(self._silence.judge(steady_ms, now_ms))
        events += [Missing("final", *key, "overdue") for key in self._no_final.overdue(steady_ms)]
        events += [Missing("signal", *key, "overdue") for key in self._no_signal.overdue(steady_ms)]
        return events

    def count_from(self, now_ms: int) -> None:
        """Nothing could come until now: silence and waiting are counted from here on."""
        now_ms = self._steady.at(now_ms)
        self._silence.count_from(now_ms)
        self._no_final.wait_again(now_ms)
        self._no_signal.wait_again(now_ms)

    def _of(self, is_bar: bool, symbol: str, size: str) -> Series:
        key = (is_bar, symbol, size)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(self._limits.remember_ms)
        return series

    def _expect_final(self, series: Series, head: Head, is_new: bool, now_ms: int, events: list[Event]) -> None:
        if series.newest_final is None or head.event_ms > series.newest_final:
            self._no_final.expect(head.symbol, head.event_ms, now_ms)
        elif is_new and series.would_know(head.event_ms):
            events.append(Missing("final", head.symbol, head.event_ms, "passed"))

    def _expect_signal(self, head: Head, now_ms: int, events: list[Event]) -> None:
        signals = self._of(False, head.symbol, head.size)
        if signals.has_final(head.event_ms):
            return
        if signals.newest_final is None or head.event_ms > signals.newest_final:
            self._no_signal.expect(head.symbol, head.event_ms, now_ms)
        elif signals.would_know(head.event_ms):
            events.append(Missing("signal", head.symbol, head.event_ms, "passed"))

    def _followed(self, head: Head, is_first: bool, events: list[Event]) -> None:
        for what, followers in (("final", self._no_final), ("signal", self._no_signal)):
            for end_ms in followers.came(head.symbol, head.event_ms, is_first=is_first):
                events.append(Missing(what, head.symbol, end_ms, "passed"))  # type: ignore[arg-type]  # noqa: PERF401

    def _judge_warm_up(self, head: Head, bars: int, events: list[Event]) -> None:
        key = (head.symbol, head.size)
        is_warm, was_warm = bars >= self._limits.warm_up_bars, self._warm.get(key)
        if is_warm == was_warm:
            return
        self._warm[key] = is_warm
        if not is_warm:
            events.append(WarmingUp(*key, bars, self._limits.warm_up_bars))
        elif was_warm is not None:
            events.append(WarmedUp(*key, bars))
