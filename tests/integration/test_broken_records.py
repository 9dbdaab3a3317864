"""Broken records among good ones on a real Kafka: none lost, none used that must not be, good ones as if alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import KINDS, Kind, kind_of, topic_of, wrap
from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.logs.places import log_files
from ta_pipeline.logs.query import Query, answer
from ta_pipeline.settings import Settings
from tests.accounts import Place, place_of, require_accounted, require_as_it_was
from tests.broken_records import MIB, Broken, BrokenRecords
from tests.jobs import FAST, Message, counters, expected, on_time, running_clock, running_job, simulated
from tests.proofs import Say, all_committed, require_equal, stopped_at_exit
from tests.stack import RunningStack

SECONDS, RATE, SYMBOLS = 60, 200, 4
STALLED_SECONDS = 60
FORMATS = ["json", "avro-confluent"]


def _settings(stack: RunningStack, form: str) -> Settings:
    return stack.own_settings(
        schemas=True, startup_mode="earliest", input_format=form, output_format=form,
        clock_topic=f"ta.clock.broken.{form}", **FAST,
    )  # fmt: skip


@pytest.mark.timeout(180, func_only=True)
def test_a_few_thousand_broken_avro_records_are_all_accounted_for(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    _require_all_accounted_for(stack, _settings(stack, "avro-confluent"), tmp_path, say, broken=3_000, seed=1)


@pytest.mark.faults
@pytest.mark.timeout(900, func_only=True)
@pytest.mark.parametrize("form", FORMATS)
def test_a_hundred_thousand_broken_records_are_all_accounted_for(
    stack: RunningStack, tmp_path: Path, say: Say, form: str
) -> None:
    _require_all_accounted_for(stack, _settings(stack, form), tmp_path, say, broken=100_000, seed=2)


@pytest.mark.faults
@pytest.mark.timeout(180, func_only=True)
def test_a_topic_of_nothing_but_garbage_holds_no_other_one_back(stack: RunningStack, say: Say) -> None:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    garbage = [("ZZ1", b"garbage"), ("ZZ1", b'{"symbol":"ZZ1","payload":{"T":"q"}}')]
    with running_job(stack, settings) as runtime, ThreadPoolExecutor() as pool, stopped_at_exit() as stop:
        market = simulated(2, 100, 120, seed=9, start=time.time() + 1)
        pool.submit(feed, settings, on_time((m for m in market if m["T"] == "t"), settings), stop=stop)
        begun, found = time.monotonic(), {}
        while found.get("finals", 0) < 20:
            stack.produce(settings.quotes_topic, garbage)
            assert time.monotonic() - begun < 60, f"few bars while the quotes are garbage: {found}"
            time.sleep(0.2)
            found = counters(settings, runtime)
        say(f"garbage instead of quotes: {found['finals']:.0f} bars in {time.monotonic() - begun:.1f} s; {found}")
        (status,) = runtime.status()
    assert (status.state, status.restarts) == ("RUNNING", 0)


def _require_all_accounted_for(
    stack: RunningStack, settings: Settings, folder: Path, say: Say, *, broken: int, seed: int
) -> None:
    """A market of the last minute with `broken` broken records in it: what becomes of each, and of the good ones."""
    messages = simulated(SYMBOLS, RATE, SECONDS, seed=seed, start=int(time.time()) - SECONDS - 5)
    sent = _send(settings, messages, broken, seed)
    with (
        ThreadPoolExecutor() as pool,
        running_clock(settings),
        running_job(stack, settings) as runtime,
    ):
        computed = pool.submit(expected, folder, settings, messages)
        begun = time.monotonic()
        found = _await_all_read(settings, runtime, total=len(messages) + len(sent))
        seconds = time.monotonic() - begun
        right = computed.result()
        rejects, bars, signals = all_committed(
            stack, settings, settings.rejects_topic, settings.bars_topic, settings.signals_topic
        )
        counted = _counted(settings, runtime)
        (status,) = runtime.status()
    assert (status.state, status.restarts) == ("RUNNING", 0)

    _require_told(stack, settings, status.job_id)
    reasons = require_accounted(sent, rejects)
    assert {
        name.removeprefix("rejected_"): number for name, number in counted.items() if "rejected_" in name
    } == reasons
    by_topic = Counter(place[0] for place in sent) + Counter(topic_of(kind_of(m), settings) for m in messages)
    rejected = Counter(reject["topic"] for reject in rejects)
    for kind in KINDS:
        topic = topic_of(kind, settings)
        accepted = counted.get(f"accepted_{kind}", 0) + (counted.get("duplicates", 0) if kind == "trades" else 0)
        assert rejected[topic] + accepted == by_topic[topic]
    for reject in rejects:
        require_as_it_was(reject, sent[place_of(reject)], settings.max_record_bytes)

    good = {message["S"] for message in messages}
    assert right["bars"]
    for topic, records, wanted in (
        (settings.bars_topic, bars, right["bars"]), (settings.signals_topic, signals, right["signals"]),
    ):  # fmt: skip
        require_equal(topic, [record for record in records if record["symbol"] in good], wanted)
    say(
        f"{settings.input_format}: {broken:,} broken records among {len(messages):,} good ones, {found:,} read in "
        f"{seconds:.0f} s: {len(rejects):,} rejected for {len(reasons)} reasons, "
        f"{len(sent) + len(messages) - len(rejects):,} accepted; {len(right['bars'])} bars of good ones unchanged"
    )


def _require_told(stack: RunningStack, settings: Settings, job_id: str) -> None:
    """`ta logs` finds the rejected ones by their symbol, and Flink's own lines by the job."""
    with log_files(stack.local.dir, ["taskmanager"])[0] as file:
        lines = [line.fields for line in answer([file], Query())]
        topics = {topic_of(kind, settings) for kind in KINDS}
        rejected = [line for line in lines if line.get("channel") in topics and line["kind"].startswith("rejected_")]
        assert rejected
        for line in rejected:
            assert {"symbol", "partition", "offset"} <= set(line)
        symbol = rejected[-1]["symbol"]
        assert rejected[-1] in [line.fields for line in answer([file], Query(symbol=symbol))]
    assert job_id in {line.get("job_id") for line in lines}


def _send(settings: Settings, messages: list[Message], broken: int, seed: int) -> dict[Place, Broken]:
    """Write the messages with `broken` broken records evenly among them; returns where each of those stands."""
    placed: dict[Place, Broken] = {}
    refused: list[str] = []
    options = {"acks": "all", "enable.idempotence": True, "message.max.bytes": 2 * MIB, "log_level": 0}
    producer = Producer(client_config(settings, **options))

    def produce(topic: str, value: bytes | None, key: bytes | None, record: Broken | None) -> None:
        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                refused.append(str(error))
            elif record is not None:
                placed[message.topic(), message.partition(), message.offset()] = record

        while len(producer) > 5_000:  # of which some have a MiB
            producer.poll(0.1)
        producer.produce(topic, value, key=key, partition=0, on_delivery=delivered)
        producer.poll(0)

    for kind, value, key, record in _mixed(settings, messages, broken, seed):
        produce(topic_of(kind, settings), value, key, record)
    assert producer.flush(120) == 0
    assert not refused, refused[0]
    assert len(placed) == broken
    return placed


def _mixed(
    settings: Settings, messages: list[Message], broken: int, seed: int
) -> Iterator[tuple[Kind, bytes | None, bytes | None, Broken | None]]:
    with EnvelopeEncoder(settings) as encoder:

        def encode(kind: Kind, envelope: Message) -> bytes:
            return encoder.encode(topic_of(kind, settings), envelope)

        source = BrokenRecords(seed, encode, avro=settings.input_format != "json")
        sent = 0
        for number, message in enumerate(messages):
            kind = kind_of(message)
            yield kind, encode(kind, wrap(message, seq=number, ingest_ts=message["t"])), message["S"].encode(), None
            due = broken * (number + 1) // len(messages)
            for record in source.take(due - sent, datetime.fromisoformat(message["t"]).timestamp()):
                yield record.kind, record.value, record.key, record
            sent = due


def _counted(settings: Settings, runtime: LocalRuntime) -> dict[str, float]:
    """The counters of the function, and as `duplicates` what the deduplication took in and did not give out."""
    (status,) = runtime.status()
    taken, given = (f"trades_log_deduplicate.numRecords{way}" for way in ("In", "Out"))
    seen = FlinkRest(settings.flink_rest_url).metrics(status.job_id, (taken, given))
    return {**counters(settings, runtime), "duplicates": seen.get(taken, 0.0) - seen.get(given, 0.0)}


def _await_all_read(settings: Settings, runtime: LocalRuntime, total: int) -> int:
    """Return when every record is accepted, a duplicate or rejected; fails with what was counted otherwise."""
    deadline = time.monotonic() + 600
    best, grown = -1, time.monotonic()
    while True:
        found = _counted(settings, runtime)
        number = int(sum(n for name, n in found.items() if name.startswith(("accepted_", "rejected_", "duplicates"))))
        if number == total:
            return number
        if number > best:
            best, grown = number, time.monotonic()
        told = f"{number} of {total} records are accounted for: {found}; {runtime.status()}"
        assert number < total, told
        assert time.monotonic() < min(deadline, grown + STALLED_SECONDS), told
        time.sleep(1)
