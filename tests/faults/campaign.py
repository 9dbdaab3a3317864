"""A row of faults under a running market, and the proof afterwards.

A fault changes nothing that is committed: the reference is a bounded run over the log as it was written, since a
killed broker may change the log. The market is busy and in order, and each second of it ends by the market's own time,
so that both runs give the same records. The platform's clock closes nothing here: when the network of the broker comes
back, the clock may be there before the feed is, and then closes bars that the feed's backlog revises. The clock has
tests of its own (tests/integration/test_job_in_trouble.py).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from ta_pipeline.compute import compute
from ta_pipeline.envelope import KINDS, topic_of
from ta_pipeline.feed import FeedReport
from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.instants import rfc3339
from ta_pipeline.settings import Settings
from tests.faults.faults import KILL, Fault, Ground
from tests.faults.watch import COMMITTED, LIVE, Watch
from tests.jobs import FAST, Message, decoded, on_time, running_job, running_table_job, send, simulating, without_ingest
from tests.messages import quote, read_records, trade
from tests.proofs import Say, all_committed, require_equal
from tests.stack import RunningStack, wait_for
from tests.table_rows import in_clickhouse, newest, require_rows

RATE, SYMBOLS = 200, 4
RECOVERY_SECONDS = 180.0
PAUSE_SECONDS = (1.0, 5.0)
"""Between a recovery and the next fault."""
AFTERWARDS_SECONDS = 5.0
_NO_CLOCK_MS = 600_000
_END = "END"
"""Of this symbol is the message that closes the last second of the others."""
_AGAIN = ("taskmanager", "jobmanager", "kafka")
_LONGEST_SECONDS = 2 * 3_600.0


@dataclass(frozen=True)
class Outcome:
    """One fault survived. Times are seconds."""

    fault: Fault
    at: float
    """Since the campaign began."""
    broken: float
    """From the beginning of the fault until the component might recover."""
    back: float
    """From then until the component itself was ready again."""
    ready: float
    """From then until every component was: the clock keeps silent for a while after the broker came."""
    committed: float
    """From then until a committed record came that was emitted later."""
    live_silence: float
    """The longest time without a live record, from the beginning of the fault to the recovery."""
    silence: float
    """The same for committed records."""

    def __str__(self) -> str:
        return (
            f"{self.fault.name}: all ready after {self.ready:.1f} s, committed after {self.committed:.1f} s; "
            f"silent for {self.silence:.1f} s, live for {self.live_silence:.1f} s"
        )

    @property
    def committed_after_back(self) -> float:
        """The part of it that is not the component's own start."""
        return max(0.0, self.committed - self.back)


@dataclass
class Proof:
    """What was found at the end."""

    sent: int = 0
    bars: int = 0
    signals: int = 0
    rows: int = 0
    live_keys: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0


def drawn(choices: Sequence[Fault], count: int, seed: int) -> list[Fault]:
    """So many faults in a random order: each choice once, then kills of what recovery has an aim for."""
    assert count >= len(choices), f"{count} faults are fewer than the {len(choices)} there are"
    again = cycle(fault for fault in choices if fault.kind == KILL and fault.component in _AGAIN)
    found = [*choices, *islice(again, count - len(choices))]
    random.Random(seed).shuffle(found)
    return found


def run(stack: RunningStack, chosen: Sequence[Fault], seed: int, folder: Path, say: Say) -> Proof:
    """Break the stack so often while a market runs, then compare all that was committed; fails if anything is amiss."""
    settings = stack.own_settings(
        startup_mode="earliest", clickhouse_flush_ms=250, bar_close_timeout_ms=_NO_CLOCK_MS, **FAST
    )
    own = settings.group_id.rpartition("-")[2]
    draw = random.Random(seed)
    proof = Proof()
    with running_job(stack, settings) as job, running_table_job(stack, settings), Watch(settings) as watch:
        began = time.time()
        with _market(settings, own, seed) as market:
            watch.await_first(COMMITTED, began, 60)
            for fault in chosen:
                time.sleep(draw.uniform(*PAUSE_SECONDS))
                proof.outcomes.append(_survive(fault, Ground(stack, settings, job), watch, began))
                say(str(proof.outcomes[-1]))
            time.sleep(AFTERWARDS_SECONDS)
        proof.sent = market[0].total
        _close_last_second(stack, settings)
        with ThreadPoolExecutor() as pool:
            reference = pool.submit(_reference, stack, settings, folder)
            committed = all_committed(stack, settings, settings.bars_topic, settings.signals_topic)
            bars, signals = map(_but_the_end, committed)
            proof.seconds = time.time() - began
            right = reference.result()
        (status,) = job.status()
        assert status.state == "RUNNING"
        require_equal(settings.bars_topic, bars, _but_the_end(right["bars"]))
        require_equal(settings.signals_topic, signals, _but_the_end(right["signals"]))
        assert not right["late"]
        proof.bars, proof.signals = len(bars), len(signals)
        proof.live_keys = _require_live(stack, settings, signals)
        proof.rows = _require_tables(stack, own, bars, signals)
    return proof


def _survive(fault: Fault, ground: Ground, watch: Watch, began: float) -> Outcome:
    start = time.time()
    try:
        healed = fault.act(ground)
        ground.stack.await_ready(RECOVERY_SECONDS, only=fault.component)
        back = time.time()
        ground.stack.await_ready(RECOVERY_SECONDS)
        ready = time.time()
        committed = watch.await_first(COMMITTED, healed, RECOVERY_SECONDS)
        live = watch.await_first(LIVE, committed - 1, RECOVERY_SECONDS)
        wait_for("every task runs", lambda: _all_run(ground), RECOVERY_SECONDS)
    except Exception as error:
        raise AssertionError(f"{fault.name}, {start - began:.0f} s into the campaign: {error}") from error
    return Outcome(
        fault, start - began, healed - start, back - healed, ready - healed, committed - healed,
        watch.longest_gap(LIVE, start, live), watch.longest_gap(COMMITTED, start, committed),
    )  # fmt: skip


def _all_run(ground: Ground) -> bool:
    return all(FlinkRest(ground.settings.flink_rest_url).is_running(job.job_id) for job in ground.job.status())


@contextmanager
def _market(settings: Settings, own: str, seed: int) -> Iterator[list[FeedReport]]:
    """Trades and quotes from now on until the block ends; symbols end with `own`. Gives what was sent, afterwards."""
    stop, report = threading.Event(), []
    with ThreadPoolExecutor() as pool, ExitStack() as ending:
        ending.callback(stop.set)
        fed = pool.submit(feed, settings, on_time(_messages(own, seed), settings), stop=stop)
        yield report
        stop.set()
        report.append(fed.result())


def _messages(own: str, seed: int) -> Iterator[Message]:
    for message in simulating(SYMBOLS, RATE, _LONGEST_SECONDS, seed, start=time.time() + 1):
        yield {**message, "S": f"{message['S']}.{own}"}


def _close_last_second(stack: RunningStack, settings: Settings) -> None:
    late = rfc3339(time.time() + 2 * settings.max_out_of_orderness_ms / 1_000)
    send(stack, settings, [trade(1, 0, 10.0, S=_END, t=late), quote(0, 10.0, 10.1, S=_END, t=late)])


def _but_the_end(records: Iterable[Message]) -> list[Message]:
    return [record for record in records if record["symbol"] != _END]


def _reference(stack: RunningStack, settings: Settings, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What a bounded run gives for the log that was written."""
    logs = []
    for kind in KINDS:
        records = stack.written(topic_of(kind, settings))
        if records:
            logs.append(folder / f"{kind}.jsonl")
            logs[-1].write_bytes(b"".join(record.value + b"\n" for record in records))
    compute(logs, folder / "right", settings, {})
    return {
        name: without_ingest(read_records(folder / "right" / f"{name}.jsonl")) for name in ("bars", "signals", "late")
    }


def _require_live(stack: RunningStack, settings: Settings, signals: Iterable[Message]) -> int:
    """Each final key has a live update."""
    live = {_key(message) for message in decoded(settings, settings.live_topic, stack.written(settings.live_topic))}
    missing = sorted({_key(signal) for signal in signals} - live)
    assert not missing, f"{settings.live_topic}: {len(missing)} final keys have no live update, the first {missing[:5]}"
    return len(live)


def _key(message: Message) -> tuple[str, str]:
    return message["symbol"], message["event_ts"]


def _require_tables(stack: RunningStack, own: str, bars: list[Message], signals: list[Message]) -> int:
    """ClickHouse has each key once, as the topics have it."""
    tables = {"ta_microbars_latest": len(newest(bars)), "ta_signals_latest": len(newest(signals))}
    for table, wanted in tables.items():
        wait_for(f"{table} has every key", lambda: len(in_clickhouse(stack, table, own)) >= wanted, 120)  # noqa: B023
    require_rows(stack, own, bars, signals)
    return sum(tables.values())
