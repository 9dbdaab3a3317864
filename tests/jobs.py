"""The job on the test session's stack: started, fed, read, always ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ta_pipeline.clock import Clock
from ta_pipeline.compute import OUTPUTS, compute
from ta_pipeline.decode import OutputDecoder
from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import kind_of, topic_of, wrap
from ta_pipeline.feed import Outgoing
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.instants import rfc3339
from ta_pipeline.local.runtime import LocalRuntime, table_runtime
from ta_pipeline.settings import Settings
from ta_pipeline.simulator import Market
from tests.messages import read_records, write_recording
from tests.stack import Record, RunningStack, variables_of

FAST = {"checkpoint_interval_ms": 1_000}
"""Commits every second: tests wait for them."""

Message = dict[str, Any]


@contextmanager
def running_job(stack: RunningStack, settings: Settings, *, restore_from: str | None = None) -> Iterator[LocalRuntime]:
    """The job RUNNING with a completed checkpoint; cancelled at the end."""
    runtime = LocalRuntime(settings, variables_of(settings), local=stack.local)
    try:
        runtime.deploy(restore_from=restore_from)
        yield runtime
    finally:
        runtime.cancel()


@contextmanager
def running_table_job(stack: RunningStack, settings: Settings) -> Iterator[LocalRuntime]:
    """The table job RUNNING with a completed checkpoint; cancelled at the end."""
    runtime = table_runtime(settings, variables_of(settings), stack.local)
    try:
        runtime.deploy()
        yield runtime
    finally:
        runtime.cancel()


def simulated(symbols: int, rate: float, seconds: float, seed: int, start: float) -> list[Message]:
    """Trades and quotes of a simulated market from `start` (epoch seconds) on, without late reports."""
    return list(simulating(symbols, rate, seconds, seed, start))


def simulating(symbols: int, rate: float, seconds: float, seed: int, start: float) -> Iterator[Message]:
    """As `simulated`, one after the other: for a market that goes on for hours."""
    market = Market(symbols=symbols, rate=rate, seconds=seconds, seed=seed)
    for offset, message, late in market.messages():
        if not late and message["T"] in {"t", "q"}:
            yield {**message, "t": rfc3339(start + offset)}


def on_time(messages: Iterable[Message], settings: Settings) -> Iterator[Outgoing]:
    """Each message when its own time has come, for `ta_pipeline.feed.send`."""
    begin = time.time()
    with EnvelopeEncoder(settings) as encoder:
        for number, message in enumerate(messages):
            kind = kind_of(message)
            value = encoder.encode(topic_of(kind, settings), wrap(message, seq=number, ingest_ts=message["t"]))
            due = datetime.fromisoformat(message["t"]).timestamp() - begin
            yield Outgoing(due, kind, message["S"], lambda _now, value=value: value)  # type: ignore[misc]


@contextmanager
def beside(target: Callable[..., Any], *arguments: Any) -> Iterator[None]:
    """Run `target(*arguments, stop)` in a thread, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(*arguments, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def running_clock(settings: Settings) -> AbstractContextManager[None]:
    """A clock of the test's own, on its clock topic and in its input format."""
    return beside(Clock(settings).run)


def send(stack: RunningStack, settings: Settings, messages: Iterable[Message], first_seq: int = 0) -> None:
    """Write Alpaca messages to their topics, in their order."""
    by_topic: dict[str, list[tuple[str, bytes]]] = {}
    with EnvelopeEncoder(settings) as encoder:
        for number, message in enumerate(messages, first_seq):
            topic = topic_of(kind_of(message), settings)
            envelope = wrap(message, seq=number, ingest_ts=message["t"])
            by_topic.setdefault(topic, []).append((message["S"], encoder.encode(topic, envelope)))
    for topic, records in by_topic.items():
        stack.produce(topic, records)


def expected(folder: Path, settings: Settings, messages: Iterable[Message]) -> dict[str, list[dict[str, Any]]]:
    """What `ta compute` gives for the same messages; `ingest_ts` left out."""
    out = folder / "expected"
    compute([write_recording(folder / "in.jsonl", messages)], out, settings, {})
    return {name: without_ingest(read_records(out / f"{name}.jsonl")) for name in OUTPUTS}


def committed(
    stack: RunningStack, settings: Settings, topic: str, until: Callable[[Sequence[Record]], bool], seconds: float = 60
) -> list[dict[str, Any]]:
    """The committed records of an output topic once `until` holds, decoded."""
    return decoded(settings, topic, stack.consume(topic, until, timeout_seconds=seconds))


def decoded(settings: Settings, topic: str, records: Iterable[Record]) -> list[dict[str, Any]]:
    """The records of an output topic as dictionaries."""
    if settings.output_format == "json":  # late and rejected records have no symbol's envelope: any object will do
        return [dict(orjson.loads(record.value)) for record in records]
    with OutputDecoder(settings) as decoder:
        return [dict(decoder.decode(topic, record.value)[1]) for record in records]


def without_ingest(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records without the time at which they were emitted, by event time, symbol and revision."""
    kept = [{name: value for name, value in record.items() if name != "ingest_ts"} for record in records]
    return sorted(kept, key=lambda record: (record.get("event_ts") or "", record["symbol"], record.get("revision", 0)))


def counters(settings: Settings, runtime: LocalRuntime) -> dict[str, float]:
    """The function's counters since the job (re)started."""
    (status,) = runtime.status()
    return FlinkRest(settings.flink_rest_url).counters(status.job_id)


def await_counters(
    settings: Settings, runtime: LocalRuntime, wanted: Mapping[str, float], timeout_seconds: float = 30.0
) -> None:
    """Return when the counters are as wanted; fail with those that are not."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = counters(settings, runtime)
        differing = {name: (found.get(name), number) for name, number in wanted.items() if found.get(name) != number}
        if not differing:
            return
        assert time.monotonic() < deadline, f"counter: (found, wanted) {differing}; all: {found}"
        time.sleep(0.5)
