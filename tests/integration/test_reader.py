"""`SignalReader` on a real broker: what a strategy gets of what is on the topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ta_pipeline.bench.output_market import OutputMarket
from ta_pipeline.kafka_config import client_config
from ta_pipeline.reader import Assigned, Bar, BrokenRecord, Item, Options, RecordsLost, Signal, SignalReader, Stale
from ta_pipeline.reader.records import Macd, VolRealized
from ta_pipeline.settings import Settings
from tests.output_records import bar, live, signal
from tests.stack import RunningStack

LONGEST_SECONDS = 60.0


def now_second() -> int:
    return int(time.time()) * 1_000


def written(stack: RunningStack, topic: str, *records: dict[str, Any]) -> None:
    stack.produce(topic, [(record["symbol"], orjson.dumps(record)) for record in records])


def read(reader: SignalReader, until: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """What the reader yields until `until` holds; fails with what came."""
    items: list[Item] = []
    deadline = time.monotonic() + LONGEST_SECONDS
    while not until(items):
        assert time.monotonic() < deadline, f"only {len(items)} in {LONGEST_SECONDS:g} s: {items}"
        if (item := reader.poll(0.2)) is not None:
            items.append(item)
    return items


def has_final(end_ms: int) -> Callable[[Sequence[Item]], bool]:
    return lambda items: any(isinstance(item, Signal) and item.is_final and item.end_ms == end_ms for item in items)


def said(items: Sequence[Item]) -> list[tuple[str, int, int, bool, str]]:
    return [
        (type(item).__name__, item.end_ms, item.revision, item.is_final, item.standing)
        for item in items
        if isinstance(item, Signal | Bar)
    ]


def test_live_and_final_records_come_as_one_stream_and_what_is_not_committed_does_not(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    with SignalReader(settings, symbols=["NVDA"]) as reader:
        written(stack, settings.live_topic, live("NVDA", t, 1.0, 9), live("AAPL", t, 9.0, 9), live("NVDA", t, 1.5, 10))
        items = read(reader, lambda items: len(said(items)) == 2)
        aborted(settings, signal("NVDA", t, 6.0))
        written(stack, settings.bars_topic, bar("NVDA", t))
        items += read(reader, lambda items: len(said(items)) == 1)
        written(stack, settings.signals_topic, signal("NVDA", t, 2.0), signal("NVDA", t, 2.0))
        written(stack, settings.signals_topic, signal("NVDA", t + 1_000, 2.5), signal("NVDA", t, 2.1, revision=1))
        items += read(reader, lambda items: len(said(items)) == 3)
    assert said(items) == [
        ("Signal", t, 9, False, "newest"), ("Signal", t, 10, False, "newest"),
        ("Bar", t, 0, True, "newest"),
        ("Signal", t, 0, True, "newest"), ("Signal", t + 1_000, 0, True, "newest"), ("Signal", t, 1, True, "revises"),
    ]  # fmt: skip
    assert [item.c for item in items if isinstance(item, Signal)] == [1.0, 1.5, 2.0, 2.5, 2.1]


def test_broken_records_and_records_that_retention_took_are_told_and_reading_goes_on(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    with SignalReader(settings, live=False, bars=False, start="earliest") as reader:
        written(stack, settings.signals_topic, signal("NVDA", t))
        stack.produce(settings.signals_topic, [("NVDA", b"{"), ("NVDA", orjson.dumps({"symbol": "NVDA"}))])
        written(stack, settings.signals_topic, signal("NVDA", t + 1_000))
        items = read(reader, has_final(t + 1_000))
        broken = [(item.offset, item.reason) for item in items if isinstance(item, BrokenRecord)]
        assert broken == [(1, "not_json"), (2, "missing_field")]
    with SignalReader(settings, live=False, bars=False, group="one") as reader:
        read(reader, bool)  # it has partitions
        written(stack, settings.signals_topic, signal("NVDA", t + 2_000))
        assert said(read(reader, has_final(t + 2_000))) == [("Signal", t + 2_000, 0, True, "newest")]
    written(stack, settings.signals_topic, signal("NVDA", t + 3_000), signal("NVDA", t + 4_000))
    deleted(settings, settings.signals_topic, before=6)
    with SignalReader(settings, live=False, bars=False, group="one") as reader:
        items = read(reader, has_final(t + 4_000))
    assert [item for item in items if isinstance(item, RecordsLost)] == [
        RecordsLost(settings.signals_topic, 0, wanted_offset=5, next_offset=6)
    ]
    assert said(items) == [("Signal", t + 4_000, 0, True, "newest")]


def test_a_reader_that_begins_at_a_time_knows_what_was_before(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    written(stack, settings.signals_topic, signal("NVDA", t - 2_000), signal("NVDA", t - 1_000))
    time.sleep(0.05)  # Kafka's times are of milliseconds
    since = datetime.now(UTC)
    written(stack, settings.signals_topic, signal("NVDA", t - 2_000, revision=1), signal("NVDA", t))
    with SignalReader(settings, live=False, bars=False, start=since) as reader:
        items = read(reader, has_final(t))
    assert said(items) == [("Signal", t - 2_000, 1, True, "revises"), ("Signal", t, 0, True, "newest")]


@pytest.mark.parametrize("form", ["json", "avro-confluent"])
def test_both_formats_are_read(stack: RunningStack, form: str) -> None:
    settings = stack.own_settings(schemas=form != "json", output_format=form)
    begin = now_second() / 1_000 - 10
    dues = list(OutputMarket(10, 2).records(settings, begin))
    for topic in {due.topic for due in dues}:
        stack.produce(topic, [(due.key, due.value) for due in dues if due.topic == topic])
    end = round(begin + 2) * 1_000
    with SignalReader(settings, start="earliest", options=Options(stale_after_seconds=None)) as reader:
        items = read(reader, lambda items: has_final(end)(items) and sum(isinstance(item, Bar) for item in items) == 2)
    bars, finals = ([item for item in items if isinstance(item, kind) and item.is_final] for kind in (Bar, Signal))
    assert [(item.end_ms, item.revision, item.standing) for item in bars] == [
        (end - 1_000, 0, "newest"), (end, 0, "newest"),
    ]  # fmt: skip
    assert [item.end_ms for item in finals] == [end - 1_000, end]
    assert bars[0].o == 170.0
    assert isinstance(finals[0], Signal)
    assert finals[0].macd == Macd(0.1, 0.05, 0.05)
    assert finals[0].vol_realized == VolRealized(0.000123, None)
    assert not [item for item in items if isinstance(item, BrokenRecord)]


@pytest.mark.parametrize("group", [None, "one"])
def test_what_is_deleted_while_it_is_read_is_told_and_reading_goes_on(stack: RunningStack, group: str | None) -> None:
    settings = stack.own_settings()
    t = now_second()
    with SignalReader(settings, live=False, group=group, start="earliest") as reader:
        # More than the client takes before it is asked for the next.
        large = [{**signal("NVDA", t + 1_000 * second), "note": "x" * 20_000} for second in range(1_500)]
        written(stack, settings.signals_topic, *large)
        items = read(reader, has_final(t))
        time.sleep(2.0)
        deleted(settings, settings.signals_topic, before=1_500)
        written(stack, settings.signals_topic, signal("NVDA", t + 1_500_000))
        written(stack, settings.bars_topic, bar("NVDA", t))
        items += read(reader, has_final(t + 1_500_000))
        ends = [item.end_ms for item in items if isinstance(item, Signal)]
        (lost,) = [item for item in items if isinstance(item, RecordsLost)]
        assert (lost.topic, lost.next_offset) == (settings.signals_topic, 1_500)
        assert ends == [*(t + 1_000 * second for second in range(lost.wanted_offset)), t + 1_500_000]
        written(stack, settings.signals_topic, signal("NVDA", t + 1_501_000))
        items += read(reader, has_final(t + 1_501_000))
        assert [item.end_ms for item in items if isinstance(item, Bar)] == [t]


def test_a_correction_is_known_as_one_however_long_its_group_was_away(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    options = Options(know_seconds=1)
    with SignalReader(settings, live=False, bars=False, group="one", options=options) as reader:
        read(reader, bool)
        written(stack, settings.signals_topic, *(signal("NVDA", t + 1_000 * second) for second in range(5)))
        read(reader, has_final(t + 4_000))
    time.sleep(2.0)
    for _ in range(2):  # whoever takes over and leaves at once leaves the group as it was
        with SignalReader(settings, live=False, bars=False, group="one", options=options) as reader:
            items = read(reader, lambda items: any(isinstance(item, Assigned) for item in items))
    written(stack, settings.signals_topic, signal("NVDA", t, 2.0, revision=1), signal("NVDA", t + 5_000))
    with SignalReader(settings, live=False, bars=False, group="one", options=options) as reader:
        items = read(reader, has_final(t + 5_000))
    assert said(items) == [("Signal", t, 1, True, "revises"), ("Signal", t + 5_000, 0, True, "newest")]


def test_a_group_goes_on_after_what_is_of_other_symbols(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    with SignalReader(settings, symbols=["NVDA"], live=False, bars=False, group="one") as reader:
        read(reader, bool)
        written(stack, settings.signals_topic, signal("NVDA", t), *(signal("AAPL", t) for _ in range(5)))
        read(reader, has_final(t))
        assert reader.poll(2.0) is None
    deleted(settings, settings.signals_topic, before=6)
    written(stack, settings.signals_topic, signal("NVDA", t + 1_000))
    with SignalReader(settings, symbols=["NVDA"], live=False, bars=False, group="one") as reader:
        items = read(reader, has_final(t + 1_000))
    assert not [item for item in items if isinstance(item, RecordsLost)]


def test_a_reader_that_is_left_in_the_middle_of_what_came_goes_on_there(stack: RunningStack) -> None:
    settings = stack.own_settings()
    t = now_second()
    ends: list[int] = []
    for stop in (3, 5, 10):
        with SignalReader(settings, live=False, bars=False, group="one", start="earliest") as reader:
            if not ends:
                read(reader, bool)
                written(stack, settings.signals_topic, *(signal("NVDA", t + 1_000 * second) for second in range(10)))
            ends += [
                item.end_ms for item in read(reader, has_final(t + 1_000 * (stop - 1))) if isinstance(item, Signal)
            ]
    assert ends == [t + 1_000 * second for second in range(10)]


def test_events_do_not_wait_for_records(stack: RunningStack) -> None:
    settings = stack.own_settings()
    options = Options(stale_after_seconds=0.5)
    with SignalReader(settings, symbols=["NVDA"], live=False, bars=False, options=options) as reader:
        began = time.monotonic()
        assert isinstance(reader.poll(30.0), Stale)
        assert time.monotonic() - began < 10.0


def aborted(settings: Settings, record: dict[str, Any]) -> None:
    """Write it in a transaction that is given up."""
    config = client_config(settings, **{"transactional.id": f"{settings.transactional_id_prefix}-aborted"})
    producer = Producer({**config, "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(settings.signals_topic, orjson.dumps(record), key=record["symbol"])
    assert producer.flush(30) == 0
    producer.abort_transaction(30)


def deleted(settings: Settings, topic: str, *, before: int) -> None:
    """As retention does."""
    admin = AdminClient(client_config(settings, log_level=0))
    for future in admin.delete_records([TopicPartition(topic, 0, before)]).values():
        future.result(timeout=30)
