"""The job when its input is bad, late or missing: nothing is lost, nothing closes too early, it stays RUNNING.

One job for the tests of the clock and the broker, in their order: the last one restarts it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import orjson
import pytest

from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import kind_of, topic_of, wrap
from ta_pipeline.errors import BadRecordError
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.settings import Settings
from tests.jobs import FAST, Message, await_counters, committed, counters, running_job, send
from tests.messages import BAD, at, cancel, correction, quote, trade
from tests.outages import standing_still
from tests.stack import RunningStack, wait_for

CLOSE_SECONDS = 5
CLOCK_AWAY_SECONDS = 8
"""Longer than a quiet bar waits for a clock that ticks."""
FIRST_FETCH_SECONDS = 15
"""Longer than a topic is waited for when no clock ticks."""
COMMIT_SECONDS = 4
"""A checkpoint of one second, its commit, and a busy machine."""


@dataclass(frozen=True)
class Running:
    """The job, and the numbers of the trades it is sent."""

    settings: Settings
    runtime: LocalRuntime
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


@pytest.fixture(scope="module")
def job(stack: RunningStack) -> Iterator[Running]:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    with running_job(stack, settings) as runtime:
        yield Running(settings, runtime)


@pytest.fixture(autouse=True)
def _leave_the_stack_as_it_was(stack: RunningStack) -> Iterator[None]:
    yield
    wait_for("the stack is well again", lambda: {line.state for line in stack.stack.status()} == {"ready"}, 60.0)


def test_every_kind_of_bad_input_is_counted_and_kept_and_the_job_runs_on(stack: RunningStack) -> None:
    # The log is there before the job, and what comes afterwards is within the horizon however long it takes to start:
    # by then the clock has closed every second of the market.
    settings = stack.own_settings(startup_mode="earliest", revision_horizon_ms=900_000, **FAST)
    base = time.time() - 25
    market: list[Message] = [
        trade(1, 0, 10.0, t=_at(base)), trade(1, 0, 99.0, t=_at(base)),  # a duplicate
        trade(2, 0, 10.2, t=_at(base + 1)), trade(3, 0, 10.3, t=_at(base + 2)), trade(4, 0, 11.0, t=_at(base + 20)),
    ]  # fmt: skip
    _send_raw(stack, settings, [message for _, message in BAD])
    send(stack, settings, market)
    with running_job(stack, settings) as runtime:
        reasons = [reason for reason, _ in BAD]
        rejects = committed(stack, settings, settings.rejects_topic, lambda found: len(found) >= len(reasons))
        assert sorted(record["reason"] for record in rejects) == sorted(reasons)
        assert all(record["topic"] and record["offset"] >= 0 and record["raw"] for record in rejects)

        committed(stack, settings, settings.bars_topic, lambda found: len(found) >= 4)
        afterwards: list[Message] = [
            trade(5, 0, 12.0, 50, t=_at(base + 10)),  # late: its second is final
            cancel(2, 0, t=_at(base + 21)), correction(3, 30, 0, 10.4, 300, t=_at(base + 22)),
            cancel(777, 0, t=_at(base + 23)), trade(6, 0, 11.1, t=_at(time.time())),
        ]  # fmt: skip
        send(stack, settings, afterwards, first_seq=len(market))
        (late,) = committed(stack, settings, settings.late_topic, lambda found: len(found) >= 1)
        assert late["reason"] == "no_such_trade"
        wanted = {f"rejected_{reason}": float(reasons.count(reason)) for reason in reasons}
        wanted |= {"late": 1.0, "cancels": 1.0, "corrections": 1.0, "late_no_such_trade": 1.0}
        await_counters(settings, runtime, wanted)
        (status,) = runtime.status()
        assert (status.state, status.restarts) == ("RUNNING", 0)


@pytest.mark.faults
def test_bars_come_although_quotes_went_ahead_of_silent_trades_and_no_clock_ticks(stack: RunningStack) -> None:
    """The watermark has passed their seconds by then, and no record will move it again."""
    settings = stack.own_settings(startup_mode="earliest", clock_topic="ta.clock.never", **FAST)
    with running_job(stack, settings):
        send(stack, settings, [quote(second + 0.2, 10.0, 10.1) for second in range(12)])
        time.sleep(FIRST_FETCH_SECONDS)
        send(stack, settings, [trade(second, second + 0.5, 10.0) for second in range(12)])
        bars = committed(stack, settings, settings.bars_topic, lambda found: len(found) >= 12, 30)
    assert [bar["event_ts"] for bar in bars] == [at(second + 1) for second in range(12)]


def test_the_last_bar_of_a_quiet_symbol_closes_by_the_clock_within_its_timeout(
    stack: RunningStack, job: Running
) -> None:
    settings = job.settings
    sent = time.time()
    send(stack, settings, [trade(next(job.numbers), 0, 10.0, t=_at(sent))])
    (bar,) = committed(stack, settings, settings.bars_topic, lambda found: len(found) >= 1, seconds=30)
    emitted = datetime.fromisoformat(bar["ingest_ts"]).timestamp()
    assert emitted - sent <= CLOSE_SECONDS + 1.5  # the clock ticks once a second
    assert time.time() - sent <= CLOSE_SECONDS + 1.5 + COMMIT_SECONDS
    await_counters(settings, job.runtime, {"bars_closed_by_clock": 1.0})


@pytest.mark.parametrize("fault", ["kill -9", "stands still"])
def test_a_quiet_bar_waits_for_a_clock_that_is_away_and_comes_once_and_whole(
    stack: RunningStack, job: Running, fault: str
) -> None:
    settings = job.settings
    with ExitStack() as away:
        if fault == "kill -9":
            stack.kill("clock")
        else:
            away.enter_context(standing_still(stack, "clock"))
        # On a busy machine it takes seconds to find the process: trades of before would be late.
        sent = int(time.time()) + 0.1
        send(stack, settings, _ticks(sent - 1, 1, job.numbers))
        time.sleep(CLOCK_AWAY_SECONDS)
    _require_whole_seconds(stack, settings, sent - 1, 1)
    assert counters(settings, job.runtime).get("late", 0) == 0


def test_neither_a_broker_that_stands_still_nor_a_backlog_after_it_closes_a_bar_early(
    stack: RunningStack, job: Running
) -> None:
    settings = job.settings
    frozen = time.time()
    with standing_still(stack, "kafka"):
        time.sleep(20)
    # What the market did meanwhile was kept by its producer, and comes now.
    send(stack, settings, _ticks(frozen, 20, job.numbers))
    send(stack, settings, _ticks(frozen + 20, 2, job.numbers))
    _require_whole_seconds(stack, settings, frozen, 20)
    found = counters(settings, job.runtime)
    assert found.get("late", 0) == 0
    assert [status.state for status in job.runtime.status()] == ["RUNNING"]


def test_a_restart_with_a_backlog_and_a_first_fetch_that_hangs_closes_no_bar_early(
    stack: RunningStack, job: Running
) -> None:
    settings, numbers = job.settings, job.numbers
    send(stack, settings, _ticks(time.time() - 2, 2, numbers))
    savepoint = job.runtime.stop()
    begin = time.time()
    time.sleep(12)  # the clock ticks on, the market too
    send(stack, settings, _ticks(begin, 12, numbers))
    with running_job(stack, settings, restore_from=savepoint) as runtime:
        with standing_still(stack, "kafka"):
            time.sleep(CLOSE_SECONDS + 2)
        _require_whole_seconds(stack, settings, begin, 12)
        assert counters(settings, runtime).get("late", 0) == 0


TICKS = 20
"""Trades a second."""


def _ticks(begin: float, seconds: int, numbers: Iterator[int]) -> list[Message]:
    """An even market of one symbol: `TICKS` trades in each whole second."""
    first = int(begin) + 1
    return [
        trade(next(numbers), 0, 10.0 + tick / 100, t=_at(first + second + tick / TICKS))
        for second in range(seconds)
        for tick in range(TICKS)
    ]


def _require_whole_seconds(stack: RunningStack, settings: Settings, begin: float, seconds: int) -> None:
    """Every second after `begin` has one bar, revision 0, with all of its trades."""
    ends = {_at(int(begin) + 1 + second + 1) for second in range(seconds)}

    def of_interest(records: Any) -> list[dict[str, Any]]:
        return [bar for bar in map(orjson.loads, (record.value for record in records)) if bar["event_ts"] in ends]

    records = stack.consume(settings.bars_topic, lambda found: len(of_interest(found)) >= seconds)
    bars = of_interest(records)
    assert {bar["event_ts"] for bar in bars} == ends
    assert {(bar["revision"], bar["count"]) for bar in bars} == {(0, TICKS)}


def _send_raw(stack: RunningStack, settings: Settings, messages: list[Message | bytes]) -> None:
    with EnvelopeEncoder(settings) as encoder:
        for number, message in enumerate(messages):
            if isinstance(message, bytes):
                stack.produce(settings.trades_topic, [("AAA", message)])
                continue
            try:
                topic = topic_of(kind_of(message), settings)
            except BadRecordError:
                topic = settings.trades_topic
            envelope = wrap(message, seq=number, ingest_ts=at(0))
            stack.produce(topic, [(str(message.get("S")), encoder.encode(topic, envelope))])


def _at(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
