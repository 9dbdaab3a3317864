"""A feed that makes up symbols: those known before go on, memory ends where the limit is, and metrics say so."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
import pytest
import requests

from ta_pipeline.envelope import wrap
from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.settings import Settings
from tests.broken_records import text_of
from tests.jobs import counters, expected, on_time, running_job, simulated
from tests.messages import quote, trade
from tests.proofs import Say, all_committed, require_equal, stopped_at_exit
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900, func_only=True)]

FLOOD, LIMIT = 100_000, 50_000
FLOOD_SECONDS = 30
BEHIND_SECONDS = 1.0
"""The flood's times: behind those of the market, which is not hurried by it."""


@dataclass(frozen=True)
class Size:
    """What the job takes: resident memory and heap of the TaskManager in MiB, its last checkpoint in MiB and ms."""

    rss: int
    heap: int
    checkpoint: float
    checkpoint_ms: int

    def __str__(self) -> str:
        return (
            f"RSS {self.rss} MiB, heap {self.heap} MiB, checkpoint {self.checkpoint:.1f} MiB in {self.checkpoint_ms} ms"
        )


def test_a_hundred_thousand_symbols_twice_leave_memory_bounded_and_known_symbols_as_they_are(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    settings = stack.own_settings(startup_mode="earliest", checkpoint_interval_ms=2_000, max_symbols=LIMIT)
    with running_job(stack, settings) as runtime, ThreadPoolExecutor() as pool, stopped_at_exit() as stop:
        messages = simulated(4, 100, 600, seed=7, start=time.time() + 2)
        fed = pool.submit(feed, settings, on_time(messages, settings), stop=stop)
        stack.consume(settings.signals_topic, lambda records: len(records) >= 20)
        good = {message["S"] for message in messages}
        sizes = [_size(stack, settings, runtime)]
        for wave in range(2):
            _flood(stack, settings, f"W{wave}.")
            _await_rejected(settings, runtime, 2 * FLOOD * (wave + 1) - 2 * (LIMIT - len(good)))
            sizes.append(_size(stack, settings, runtime))
        stop.set()
        right = expected(tmp_path, settings, messages[: fed.result().total])
        bars, rejects = all_committed(stack, settings, settings.bars_topic, settings.rejects_topic)
        known = _known(settings, runtime)
        (status,) = runtime.status()
        with running_job(stack, settings, restore_from=runtime.stop()) as again:
            assert _known(settings, again) == known
    for when, size in zip(("before", "after 100,000 symbols", "after 100,000 others"), sizes, strict=True):
        say(f"symbol flood, {when}: {size}")
    say(f"symbol flood: {known} known, {len(rejects):,} records rejected")
    assert (status.state, status.restarts) == ("RUNNING", 0)
    assert known == {"trades": LIMIT, "quotes": LIMIT}
    assert Counter(record["reason"] for record in rejects) == {"too_many_symbols": 4 * FLOOD - 2 * (LIMIT - len(good))}
    assert not good & {record["symbol"] for record in rejects}
    require_equal(settings.bars_topic, [bar for bar in bars if bar["symbol"] in good], right["bars"])
    # The second wave brings nothing that is kept.
    _, first, second = sizes
    assert second.checkpoint <= 1.05 * first.checkpoint
    assert second.rss <= min(1.15 * first.rss, stack.local.taskmanager_mb)


def _flood(stack: RunningStack, settings: Settings, prefix: str) -> None:
    """A trade and a quote of each of `FLOOD` symbols nobody has heard of."""
    slices = 100
    for part in range(slices):
        begun = time.monotonic()
        t = text_of(time.time() - BEHIND_SECONDS)
        symbols = [f"{prefix}{number}" for number in range(part * FLOOD // slices, (part + 1) * FLOOD // slices)]
        for topic, make in (
            (settings.trades_topic, lambda symbol, t=t: trade(1, 0, 10.0, S=symbol, t=t)),
            (settings.quotes_topic, lambda symbol, t=t: quote(0, 9.0, 10.0, S=symbol, t=t)),
        ):  # fmt: skip
            stack.produce(
                topic, [(symbol, orjson.dumps(wrap(make(symbol), seq=part, ingest_ts=t))) for symbol in symbols]
            )
        time.sleep(max(0.0, FLOOD_SECONDS / slices - (time.monotonic() - begun)))


def _await_rejected(settings: Settings, runtime: LocalRuntime, number: int) -> None:
    def rejected() -> int:
        return int(counters(settings, runtime).get("rejected_too_many_symbols", 0))

    wait_for(f"{number} records of too many symbols are rejected", lambda: rejected() >= number, 240)


def _known(settings: Settings, runtime: LocalRuntime) -> dict[str, int]:
    """How many symbols each log's gauge says are known."""
    (status,) = runtime.status()
    rest = FlinkRest(settings.flink_rest_url)
    logs = ("trades", "quotes")
    wait_for(
        "the gauges are there", lambda: all(rest.counters(status.job_id, f"{log}_log_known_symbols") for log in logs)
    )
    return {log: int(rest.counters(status.job_id, f"{log}_log_known_symbols")["symbols"]) for log in logs}


def _size(stack: RunningStack, settings: Settings, runtime: LocalRuntime) -> Size:
    """Once the checkpoint after this moment is there, so that what was read is in it."""
    (status,) = runtime.status()
    rest = FlinkRest(settings.flink_rest_url)
    before = rest.checkpoints(status.job_id).completed
    wait_for("two more checkpoints", lambda: rest.checkpoints(status.job_id).completed >= before + 2, 120)
    checkpoints = rest.checkpoints(status.job_id)
    (manager,) = requests.get(f"{settings.flink_rest_url}/taskmanagers", timeout=10).json()["taskmanagers"]
    heap = requests.get(
        f"{settings.flink_rest_url}/taskmanagers/{manager['id']}/metrics",
        params={"get": "Status.JVM.Memory.Heap.Used"}, timeout=10,
    ).json()  # fmt: skip
    return Size(
        psutil.Process(stack.process("taskmanager").pid).memory_info().rss >> 20,
        int(float(heap[0]["value"])) >> 20,
        (checkpoints.latest_bytes or 0) / (1 << 20),
        checkpoints.latest_duration_ms or 0,
    )
