"""`SignalReader`: the typed stream of signals, bars and events that a strategy reads from Kafka.

    with SignalReader(load_settings(), symbols=["NVDA"]) as reader:
        for item in reader:
            match item:
                case Signal(is_final=True, size="PT1S", standing="newest" | "settles"): ...
                case Stale() | Disconnected(): ...

A thin shell: `Source` reads, `OutputDecoder` decodes, `Merge` decides. One thread; call `poll` often, or iterate.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Self

from ta_pipeline.decode import OutputDecoder, head_in
from ta_pipeline.errors import BadRecordError, SchemaError, SettingsError
from ta_pipeline.probe import MARGIN_MS
from ta_pipeline.reader.events import Assigned, BrokenRecord, Disconnected, Item, Reconnected, Revoked
from ta_pipeline.reader.merge import Limits, Merge
from ta_pipeline.reader.positions import Start, checked_start
from ta_pipeline.reader.progress import Arrival
from ta_pipeline.reader.records import handed_out
from ta_pipeline.reader.source import EVERYTHING, Plan, Source
from ta_pipeline.sessions import SessionKind
from ta_pipeline.settings import Settings
from ta_pipeline.shapes import TaBar, TaSignal

POLL_SECONDS = 1.0
_JUDGE_SECONDS = 0.1
_REGISTRY_RETRY_SECONDS = 1.0
_SECOND_MS = 1_000
_LEAST_KNOWN_MS = 60_000
_LEAST_REVISED_MS, _BESIDE_THE_HORIZON_MS = 180_000, 120_000


@dataclass(frozen=True)
class Options:
    """What is told when, and how much is remembered."""

    stale_after_seconds: float | None = 30.0
    """A symbol that is not heard of for longer is stale; None: never told."""
    session: SessionKind | None = None
    """Staleness is told within this session only; None: at any time."""
    warm_up_bars: int = 34
    """MACD's signal line is the last to have all its bars: 26 + 9 - 1."""
    final_within_seconds: float | None = None
    """A second with live signals has its final by then, and a bar its signal; None: as the settings promise."""
    remember_seconds: int | None = None
    """Windows older than this, beside the newest, are not known any more; None: two minutes more than the horizon of
    revisions (`TA_REVISION_HORIZON_MS`), 180 s at least."""
    know_seconds: int | None = None
    """Finals of so long before the start are read, not handed out: a correction of theirs is then known as one. None:
    the horizon of revisions and the time that a final takes, 60 s at least."""
    revisions: Literal["mark", "drop"] = "mark"
    """drop: what is of a past window is not handed out."""

    def limits(self, settings: Settings) -> Limits:
        """For `Merge`, in milliseconds.

        Raises:
            SettingsError: a number is not allowed.
        """
        for name in ("stale_after_seconds", "warm_up_bars", "final_within_seconds", "remember_seconds"):
            if (value := getattr(self, name)) is not None and value <= 0:
                raise SettingsError(f"{name}={value} is not allowed: it is above 0")
        if self.know_seconds is not None and self.know_seconds < 0:
            raise SettingsError(f"know_seconds={self.know_seconds} is not allowed: it is 0 or more")
        within, remember, stale = self.final_within_seconds, self.remember_seconds, self.stale_after_seconds
        return Limits(
            final_within_ms=_promised_ms(settings) if within is None else round(within * 1_000),
            remember_ms=_revised_ms(settings) if remember is None else remember * 1_000,
            stale_after_ms=None if stale is None else round(stale * 1_000),
            session=self.session,
            warm_up_bars=self.warm_up_bars,
            drop_revisions=self.revisions == "drop",
        )  # fmt: skip

    def known_ms(self, settings: Settings) -> int:
        """What was written so long before the start is read first."""
        if self.know_seconds is not None:
            return self.know_seconds * 1_000
        return max(_LEAST_KNOWN_MS, settings.revision_horizon_ms + _promised_ms(settings))


class _Ready(NamedTuple):
    item: Item
    share: int | None
    """None: of no share, so it stays when one is taken away."""
    arrival: Arrival | None


class SignalReader:
    """Signals and bars, live and final, merged; with events that say what cannot be relied on.

    Args:
        settings: how to reach Kafka (and the registry, with Avro), and what the topics are called.
        symbols: only these; empty: all. One that is never heard of is stale too, but for a reader in a group.
        start: "latest", "earliest", or a time with a zone: what was written since.
        group: readers of one group share the symbols by partition, and go on where the group was. None: everything.
        live: read live signals too.
        bars: read final bars too.
        options: what is told when.
        clock: epoch milliseconds.

    Raises:
        SettingsError: an argument is not allowed.
        KafkaSetupError: a topic does not exist, or Kafka cannot be reached or refuses.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        symbols: Iterable[str] = (),
        start: Start = "latest",
        group: str | None = None,
        live: bool = True,
        bars: bool = True,
        options: Options | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        chosen = options or Options()
        self._limits = chosen.limits(settings)
        self._symbols = frozenset([symbols] if isinstance(symbols, str) else symbols)
        self._clock = clock
        self._is_closed = False
        self._ready: deque[_Ready] = deque()
        self._handed: Arrival | None = None
        self._retry_at = 0.0
        self._down: dict[str, int] = {}
        self._judged_at = time.monotonic()
        self._merges: dict[int, Merge] = {}
        if group is None:
            self._merges[EVERYTHING] = Merge(self._limits, self._symbols, clock())
        plan = Plan(
            finals=(settings.bars_topic, settings.signals_topic) if bars else (settings.signals_topic,),
            live=settings.live_topic if live else None,
            symbols=self._symbols,
            start=checked_start(start),
            group=group,
            known_ms=chosen.known_ms(settings),
        )  # fmt: skip
        self._decoder = OutputDecoder(settings)
        try:
            self._source = Source(settings, plan, self, clock)
        except BaseException:
            self._decoder.close()
            raise

    def poll(self, timeout_seconds: float = POLL_SECONDS) -> Item | None:
        """The next signal, bar or event; None when there was none in time.

        What was handed out before counts as dealt with: a group goes on after it.

        Raises:
            KafkaSetupError: reading cannot go on: a topic is gone, or access is refused.
        """
        self._handed = None
        deadline = time.monotonic() + timeout_seconds
        while not self._ready and not self._is_closed:
            left = deadline - time.monotonic()
            self._fill(max(0.0, left))
            if left <= 0:
                break
        if not self._ready or self._is_closed:
            return None
        self._handed = self._ready[0].arrival
        return self._ready.popleft().item

    def __iter__(self) -> Iterator[Item]:
        while not self._is_closed:
            if (item := self.poll()) is not None:
                yield item

    def stop(self) -> None:
        """End the iteration after this item; may be called from a signal handler or another thread."""
        self._is_closed = True

    def close(self) -> None:
        """Leave the group and let go of Kafka and the registry; harmless when done before."""
        self._is_closed = True
        self._source.close()
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._handed = None
        self.close()

    def assigned(self, shares: tuple[int, ...]) -> None:
        """Told by the source: the group gave these partitions."""
        for share in shares:
            self._merges[share] = Merge(self._limits)
        self._tell(Assigned(shares))

    def revoked(self, shares: tuple[int, ...]) -> None:
        """Told by the source: the group took these partitions. What was not handed out of them, another one will."""
        for share in shares:
            self._merges.pop(share, None)
        self._handed = None
        self._ready = deque(ready for ready in self._ready if ready.share not in shares)
        self._tell(Revoked(shares))

    def not_dealt_with(self) -> list[Arrival]:
        """Told to the source: whoever asks for the next item is done with the last one."""
        return [arrival for arrival in (self._handed, *(ready.arrival for ready in self._ready)) if arrival is not None]

    def _fill(self, wait_seconds: float) -> None:
        if self._source.arrived:
            self._source.wait(min(wait_seconds, max(0.0, self._retry_at - time.monotonic())))
        else:
            self._source.read(wait_seconds)
        now_ms = self._clock()
        while self._source.lost:
            self._tell(self._source.lost.popleft())
        self._notice("kafka", self._source.trouble, now_ms)
        if self._source.arrived and time.monotonic() >= self._retry_at:
            self._take_all(now_ms)
        if not self._down and time.monotonic() - self._judged_at >= _JUDGE_SECONDS:
            self._judged_at = time.monotonic()
            for share, merge in self._merges.items():
                self._ready.extend(_Ready(event, share, None) for event in merge.judge(now_ms))

    def _take_all(self, now_ms: int) -> None:
        arrived = self._source.arrived
        for number, arrival in enumerate(arrived):
            try:
                self._take(arrival, now_ms)
            except SchemaError as error:
                del arrived[:number]
                self._retry_at = time.monotonic() + _REGISTRY_RETRY_SECONDS
                self._notice("registry", str(error), now_ms)
                return
        arrived.clear()
        self._notice("registry", None, now_ms)

    def _take(self, arrival: Arrival, now_ms: int) -> None:
        share, merge = arrival.share, self._merges.get(arrival.share)
        if merge is None:
            return
        try:
            channel, record, shape = self._decoder.read(arrival.topic, arrival.value)
            assert isinstance(shape, TaSignal | TaBar)  # noqa: S101 - a reader has no other topics
            if self._symbols and shape.symbol not in self._symbols:
                return
            head, bars = head_in(shape), None if isinstance(shape, TaBar) else shape.bars
            taken = merge.take(channel, head, bars, now_ms, is_told=arrival.is_told)
        except BadRecordError as error:
            if arrival.is_told:
                place = (arrival.topic, arrival.partition, arrival.offset)
                self._ready.append(_Ready(BrokenRecord(*place, error.reason, str(error)), share, arrival))
            return
        for event in taken.events:
            self._ready.append(_Ready(event, share, None))
        if (standing := taken.standing) is not None and arrival.is_told:
            self._ready.append(_Ready(handed_out(shape, record, head, standing), share, arrival))

    def _tell(self, event: Item) -> None:
        self._ready.append(_Ready(event, None, None))

    def _notice(self, component: Literal["kafka", "registry"], trouble: str | None, now_ms: int) -> None:
        if trouble is not None and component not in self._down:
            self._down[component] = now_ms
            self._tell(Disconnected(component, trouble))
        elif trouble is None and component in self._down:
            self._tell(Reconnected(component, now_ms - self._down.pop(component)))
            for merge in self._merges.values():
                merge.count_from(now_ms)


def _promised_ms(settings: Settings) -> int:
    """A second closes when the watermark passes it, in a quiet market by the close timeout; then it is committed."""
    closes_ms = _SECOND_MS + max(settings.max_out_of_orderness_ms, settings.bar_close_timeout_ms)
    return closes_ms + settings.checkpoint_interval_ms + MARGIN_MS


def _revised_ms(settings: Settings) -> int:
    """How long before the newest window a revision may be: the horizon, and room for an updated minute and the rest."""
    return max(_LEAST_REVISED_MS, settings.revision_horizon_ms + _BESIDE_THE_HORIZON_MS)
