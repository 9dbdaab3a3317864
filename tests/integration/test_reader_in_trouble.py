"""`SignalReader` while things break: rebalances, a broker that is away, a job that restarts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from ta_pipeline.bench.output_market import OutputMarket
from ta_pipeline.feed import send as feed
from ta_pipeline.kafka_admin import DAY_MS, Topic, create_topics
from ta_pipeline.reader import (
    Assigned,
    Disconnected,
    Item,
    Missing,
    Options,
    Reconnected,
    Revoked,
    Signal,
    SignalReader,
)
from ta_pipeline.schema_registry import ensure_schemas
from ta_pipeline.settings import Settings
from tests.jobs import FAST, on_time, running_job, simulated
from tests.outages import held_down, standing_still
from tests.output_records import live, signal
from tests.proofs import all_committed, stopped_at_exit
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.more, pytest.mark.timeout(300, func_only=True)]

LONGEST_SECONDS = 90.0
SYMBOLS = ("AAPL", "NVDA", "TSLA", "AMD")
Key = tuple[str, int, bool, int]


class Reading:
    """A reader in a thread, and all it has handed out."""

    def __init__(self, settings: Settings, **arguments: Any) -> None:
        self.items: list[Item] = []
        self._reader = SignalReader(settings, **arguments)
        self._pool = ThreadPoolExecutor(1)
        self._reading = self._pool.submit(self._run)

    def _run(self) -> None:
        with self._reader as reader:
            self.items.extend(reader)

    def stop(self) -> None:
        """Leave as a reader does that ends."""
        self._reader.stop()
        self._reading.result(60)
        self._pool.shutdown()

    def of(self, *kinds: type) -> list[Any]:
        """What it has handed out of these kinds."""
        return [item for item in list(self.items) if isinstance(item, kinds)]

    def signals(self) -> list[Key]:
        return [(item.symbol, item.end_ms, item.is_final, item.revision) for item in self.of(Signal)]

    def await_that(self, what: str, holds: Callable[[], bool]) -> None:
        def ended_or_holds() -> bool:
            if self._reading.done():
                self._reading.result()
                raise AssertionError(f"the reader ended before {what}")
            return holds()

        wait_for(what, ended_or_holds, LONGEST_SECONDS)


@contextmanager
def reading(settings: Settings, **arguments: Any) -> Iterator[Reading]:
    found = Reading(settings, **arguments)
    try:
        yield found
    finally:
        found.stop()


def with_partitions(stack: RunningStack, count: int, **overrides: Any) -> Settings:
    settings = stack.own_settings(topics=False, **overrides)
    names = (settings.bars_topic, settings.signals_topic, settings.live_topic)
    create_topics(settings, [Topic(name, DAY_MS, partitions=count) for name in names])
    return settings


def write(stack: RunningStack, settings: Settings, end_ms: int) -> list[Key]:
    """A second of each symbol: two live signals and the final one, on the partition of the symbol."""
    return [*write_live(stack, settings, end_ms), *write_finals(stack, settings, end_ms)]


def write_live(stack: RunningStack, settings: Settings, end_ms: int) -> list[Key]:
    """Two live signals of a second, of each symbol."""
    records = [live(symbol, end_ms, 1.0, revision) for symbol in SYMBOLS for revision in (1, 2)]
    return _written(stack, settings.live_topic, end_ms, records)


def write_finals(stack: RunningStack, settings: Settings, end_ms: int) -> list[Key]:
    """The final signal of a second, of each symbol."""
    return _written(stack, settings.signals_topic, end_ms, [signal(symbol, end_ms, 1.0) for symbol in SYMBOLS])


def _written(stack: RunningStack, topic: str, end_ms: int, records: list[dict[str, Any]]) -> list[Key]:
    for record in records:
        symbol = record["symbol"]
        stack.produce(topic, [(symbol, orjson.dumps(record))], partition=SYMBOLS.index(symbol) % 2)
    return [(one["symbol"], end_ms, bool(one["is_final"]), int(one["revision"])) for one in records]


def finals(keys: Sequence[Key]) -> Counter[Key]:
    return Counter(key for key in keys if key[2])


def test_two_readers_of_a_group_share_the_symbols_and_each_final_is_handed_out_once(stack: RunningStack) -> None:
    settings = with_partitions(stack, 2)
    t, wanted = int(time.time()) * 1_000, Counter[Key]()
    with reading(settings, group="strategy", bars=False) as first:
        first.await_that("the first has both partitions", lambda: first.of(Assigned) == [Assigned((0, 1))])
        wanted += finals(write(stack, settings, t))
        first.await_that("the first has everything", lambda: finals(first.signals()) == wanted)
        with reading(settings, group="strategy", bars=False) as second:
            second.await_that("the second has a partition", lambda: bool(second.of(Assigned)))
            first.await_that("the first gave one away", lambda: len(first.of(Assigned)) == 2)
            assert Revoked((0, 1)) in first.of(Revoked)
            mine, others = first.of(Assigned)[-1].partitions, second.of(Assigned)[-1].partitions
            assert sorted(mine + others) == [0, 1]
            write_live(stack, settings, t + 1_000)
            mine_now = {symbol for number, symbol in enumerate(SYMBOLS) if number % 2 in others}
            second.await_that(
                "the second has the live signals of its symbols, and of no others",
                lambda: {key[0] for key in second.signals() if not key[2]} == mine_now,
            )
            # Not before: a final that is read first supersedes them.
            wanted += finals(write_finals(stack, settings, t + 1_000))
            first.await_that(
                "together they have everything", lambda: finals(first.signals() + second.signals()) == wanted
            )
            # A correction of what the other reader has handed out is known as one.
            taken = SYMBOLS[others[0]]
            stack.produce(
                settings.signals_topic, [(taken, orjson.dumps(signal(taken, t, 2.0, revision=1)))], partition=others[0]
            )
            second.await_that("the correction came", lambda: (taken, t, True, 1) in second.signals())
            (corrected,) = [item for item in second.of(Signal) if item.revision == 1 and item.is_final]
            assert corrected.standing == "revises"
            wanted[taken, t, True, 1] += 1
        first.await_that("the first took it back", lambda: first.of(Assigned)[-1] == Assigned((0, 1)))
        wanted += finals(write(stack, settings, t + 2_000))
        first.await_that("everything came once", lambda: finals(first.signals() + second.signals()) == wanted)


def test_a_group_goes_on_where_it_was(stack: RunningStack) -> None:
    settings = with_partitions(stack, 2)
    t = int(time.time()) * 1_000
    with reading(settings, group="strategy", live=False, bars=False) as first:
        first.await_that("it has both partitions", lambda: bool(first.of(Assigned)))
        wanted = finals(write(stack, settings, t))
        first.await_that("it has everything", lambda: finals(first.signals()) == wanted)
    missed = finals(write(stack, settings, t + 1_000))
    with reading(settings, group="strategy", live=False, bars=False) as next_one:
        next_one.await_that("what was written meanwhile came", lambda: finals(next_one.signals()) == missed)


@pytest.mark.parametrize("away", [held_down, standing_still])
def test_a_broker_that_is_away_is_told_and_nothing_is_lost(stack: RunningStack, away: Any) -> None:
    settings = stack.own_settings()
    t = int(time.time()) * 1_000

    def produced(end_ms: int) -> None:
        stack.produce(settings.signals_topic, [("NVDA", orjson.dumps(signal("NVDA", end_ms)))])

    options = Options(stale_after_seconds=1_000)
    try:
        with reading(settings, bars=False, options=options) as one:
            produced(t)
            one.await_that("the first came", lambda: len(one.signals()) == 1)
            with away(stack, "kafka"):
                one.await_that("the reader says that Kafka is away", lambda: bool(one.of(Disconnected)))
            one.await_that("the reader says that it is back", lambda: bool(one.of(Reconnected)))
            stack.await_ready(only="kafka")
            produced(t + 1_000)
            one.await_that("the second came", lambda: len(one.signals()) == 2)
        told = one.of(Disconnected, Reconnected)
        assert [type(event) for event in told[:2]] == [Disconnected, Reconnected]
        assert told[0].component == "kafka"
        assert told[1].after_ms > 0
        assert [key[1] for key in one.signals()] == [t, t + 1_000]
    finally:
        stack.await_ready()


def test_kafka_is_not_back_because_the_group_is_lost(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = int(time.time()) * 1_000
    try:
        with reading(settings, group="strategy", bars=False, options=Options(stale_after_seconds=1_000)) as one:
            one.await_that("it has its partition", lambda: bool(one.of(Assigned)))
            with held_down(stack, "kafka"):
                one.await_that("the reader says that Kafka is away", lambda: bool(one.of(Disconnected)))
                one.await_that("its group is lost", lambda: bool(one.of(Revoked)))
                time.sleep(5.0)
                assert not one.of(Reconnected)
            one.await_that("the reader says that it is back", lambda: bool(one.of(Reconnected)))
            assert len(one.of(Assigned)) == 2
            stack.await_ready(only="kafka")
            stack.produce(settings.signals_topic, [("NVDA", orjson.dumps(signal("NVDA", t)))])
            one.await_that("the signal came", lambda: len(one.signals()) == 1)
    finally:
        stack.await_ready()


def test_whoever_waits_for_a_group_is_told_that_kafka_is_away(stack: RunningStack) -> None:
    settings = stack.own_settings()
    items: list[Item] = []
    try:
        with SignalReader(settings, group="strategy", bars=False) as one:

            def told(kind: type) -> bool:
                if (item := one.poll(0.2)) is not None:
                    items.append(item)
                return any(isinstance(item, kind) for item in items)

            with held_down(stack, "kafka"):
                wait_for("the reader says that Kafka is away", lambda: told(Disconnected), LONGEST_SECONDS)
                assert not told(Assigned)
            wait_for("the reader says that it is back", lambda: told(Reconnected), LONGEST_SECONDS)
            assert told(Assigned)
    finally:
        stack.await_ready()


def test_whoever_is_slow_is_not_told_that_kafka_is_away(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = int(time.time()) * 1_000
    # More than the client takes before it is asked for the next.
    large = [{**signal("NVDA", t + 1_000 * second), "note": "x" * 20_000} for second in range(1_500)]
    stack.produce(settings.signals_topic, [("NVDA", orjson.dumps(record)) for record in large])
    items: list[Item] = []
    with SignalReader(settings, live=False, bars=False, start="earliest") as one:
        while len(items) < len(large):
            if (item := one.poll(5.0)) is not None:
                items.append(item)
                if len(items) == 2:
                    time.sleep(16.0)
    assert {type(item) for item in items} == {Signal}


def test_a_registry_that_is_away_is_told_and_its_records_are_waited_for(stack: RunningStack) -> None:
    settings = stack.own_settings(schemas=True, output_format="avro-confluent")
    dues = OutputMarket(10, 1).records(settings, int(time.time()))
    finals_only = [(due.key, due.value) for due in dues if due.topic == settings.signals_topic]
    try:
        with reading(settings, bars=False, live=False) as one:
            with held_down(stack, "registry"):
                stack.produce(settings.signals_topic, finals_only)
                one.await_that("the reader says that the registry is away", lambda: bool(one.of(Disconnected)))
                assert one.signals() == []
            one.await_that("the signal came", lambda: len(one.signals()) == 1)
        assert [event.component for event in one.of(Disconnected, Reconnected)] == ["registry", "registry"]
    finally:
        stack.await_ready()


def test_a_reader_that_waits_for_the_registry_is_still_of_its_group(stack: RunningStack) -> None:
    settings = with_partitions(stack, 2, output_format="avro-confluent")
    ensure_schemas(settings)
    dues = OutputMarket(10, 1).records(settings, int(time.time()))
    records = [(due.key, due.value) for due in dues if due.topic == settings.signals_topic]
    try:
        with reading(settings, group="strategy", bars=False, live=False) as first:
            first.await_that("it has both partitions", lambda: bool(first.of(Assigned)))
            with held_down(stack, "registry"):
                for partition in (0, 1):
                    stack.produce(settings.signals_topic, records, partition=partition)
                first.await_that("it says that the registry is away", lambda: bool(first.of(Disconnected)))
                with reading(settings, group="strategy", bars=False, live=False) as second:
                    second.await_that("the second has a partition", lambda: bool(second.of(Assigned)))
                    first.await_that("the first gave one away", lambda: len(first.of(Assigned)) == 2)
                    assert second.signals() == []
                first.await_that("the first took it back", lambda: len(first.of(Assigned)) == 3)
                assert first.signals() == []
            first.await_that("both signals came", lambda: len(first.signals()) == 2)
    finally:
        stack.await_ready()


def test_a_job_that_restarts_is_read_without_a_gap_and_without_going_back(stack: RunningStack) -> None:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    with running_job(stack, settings), reading(settings, start="earliest") as one, stopped_at_exit() as stop:
        messages = simulated(4, 100, 45, seed=5, start=time.time() + 1)
        with ThreadPoolExecutor() as pool:
            fed = pool.submit(feed, settings, on_time(messages, settings), stop=stop)
            one.await_that("finals come", lambda: sum(finals(one.signals()).values()) > 20)
            stack.kill("taskmanager")
            fed.result()
        _, signals = all_committed(stack, settings, settings.bars_topic, settings.signals_topic)
        wanted = len(signals)
        one.await_that("every final came", lambda: sum(finals(one.signals()).values()) >= wanted)
    stack.await_ready()
    assert max(finals(one.signals()).values()) == 1
    assert sum(finals(one.signals()).values()) == wanted
    for symbol in {item.symbol for item in one.of(Signal)}:
        own = [item for item in one.of(Signal) if item.symbol == symbol]
        ends = [item.end_ms for item in own if item.standing == "newest"]
        assert ends == sorted(ends)
        settled = [item.end_ms for item in own if item.is_final and item.standing != "revises"]
        assert settled == sorted(settled)
    assert not [event for event in one.of(Missing) if event.why == "passed"]
