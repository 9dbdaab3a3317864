"""The job on the real stack: what is committed equals the bounded run and its replay, formats and upgrades included."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.feed import send as feed
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.replay.days import replay_day
from ta_pipeline.replay.inputs import ALL
from ta_pipeline.replay.report import write_report
from ta_pipeline.sessions import NEW_YORK
from ta_pipeline.settings import Settings
from tests.jobs import (
    FAST,
    Message,
    await_counters,
    committed,
    decoded,
    expected,
    on_time,
    running_clock,
    running_job,
    send,
    simulated,
    without_ingest,
)
from tests.stack import Record, RunningStack, wait_for

SYMBOLS, SECONDS = 4, 40
HORIZON = {"revision_horizon_ms": 5_000}


@dataclass(frozen=True)
class Market:
    """A market of the last minute, and what `ta compute` gives for it."""

    start: float
    messages: list[Message]
    computed: Future[dict[str, list[dict[str, Any]]]]

    @property
    def right(self) -> dict[str, list[dict[str, Any]]]:
        return self.computed.result()


@dataclass(frozen=True)
class Production:
    """The job, which runs on: what it has committed of the market."""

    settings: Settings
    runtime: LocalRuntime
    bars: list[dict[str, Any]]
    signals: list[dict[str, Any]]


@pytest.fixture(scope="module")
def market(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    start = int(time.time()) - SECONDS - 5
    messages = simulated(SYMBOLS, 100, SECONDS, seed=1, start=start)
    with ThreadPoolExecutor() as pool:
        yield Market(
            start, messages, pool.submit(expected, tmp_path_factory.mktemp("market"), stack.settings, messages)
        )


@pytest.fixture(scope="module", params=["json", "avro-confluent"])
def production(stack: RunningStack, market: Market, request: pytest.FixtureRequest) -> Iterator[Production]:
    form = request.param
    settings = stack.own_settings(
        schemas=True, startup_mode="earliest", input_format=form, output_format=form,
        clock_topic=f"ta.clock.{form}", **FAST, **HORIZON,
    )  # fmt: skip
    send(stack, settings, market.messages)
    with ExitStack() as running:
        running.enter_context(running_clock(settings))
        # As on the stack: a job whose clock has not ticked yet goes by the wall clock (docs/decisions/0005).
        wait_for("the clock ticks", lambda: bool(stack.written(settings.clock_topic)), 60)
        runtime = running.enter_context(running_job(stack, settings))
        bars = committed(stack, settings, settings.bars_topic, _count(len(market.right["bars"])))
        signals = committed(stack, settings, settings.signals_topic, _count(len(market.right["signals"])))
        yield Production(settings, runtime, bars, signals)


def test_committed_bars_and_signals_equal_the_bounded_run_in_both_formats(
    stack: RunningStack, market: Market, production: Production
) -> None:
    assert without_ingest(production.bars) == market.right["bars"]
    assert without_ingest(production.signals) == market.right["signals"]
    await_counters(production.settings, production.runtime, {"finals": float(len(market.right["signals"]))})
    topic = production.settings.live_topic
    live = decoded(production.settings, topic, _all(stack, topic))
    assert {_key(signal) for signal in production.signals} <= {_key(signal) for signal in live}
    assert not any(signal["is_final"] for signal in live)


def test_what_production_committed_equals_its_replay_in_both_formats(
    stack: RunningStack, market: Market, production: Production, tmp_path: Path
) -> None:
    replay = replay_day(
        production.settings, _day_of(market.start), ALL, tmp_path / "scratch",
        source="topics", with_production=True, local=stack.local,
    )  # fmt: skip
    bars = len(market.right["bars"])
    against_pandas, against_production = replay.verdict.comparisons
    assert replay.verdict.is_green, replay.verdict.problems()
    assert against_pandas.table("bars").expected == bars
    assert bars - SYMBOLS * 8 < against_production.table("bars").expected < bars
    assert against_production.table("signals").expected == against_production.table("bars").expected
    assert replay.latency is not None
    report = write_report(replay, tmp_path / "report").read_text(encoding="utf-8")
    assert "## Production against replay" in report
    assert "(latency.png)" in report


@pytest.mark.kills
def test_a_job_stopped_with_a_savepoint_and_restored_gives_what_an_undisturbed_one_gives(
    stack: RunningStack, tmp_path: Path
) -> None:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    with running_job(stack, settings) as runtime, ThreadPoolExecutor() as pool:
        messages = simulated(SYMBOLS, 200, 20, seed=2, start=time.time() + 2)  # due when all is ready to send it
        fed = pool.submit(feed, settings, on_time(messages, settings))  # the market does not wait for the upgrade
        stack.consume(settings.signals_topic, _count(10))
        savepoint = runtime.stop()
        undisturbed = pool.submit(expected, tmp_path, settings, messages)
        with running_job(stack, settings, restore_from=savepoint):
            fed.result()
            right = undisturbed.result()
            bars = committed(stack, settings, settings.bars_topic, _count(len(right["bars"])))
            signals = committed(stack, settings, settings.signals_topic, _count(len(right["signals"])))
    assert without_ingest(bars) == right["bars"]
    assert without_ingest(signals) == right["signals"]


def _day_of(epoch: float) -> date:
    """The day that begins at 04:00 in New York."""
    return datetime.fromtimestamp(epoch - 4 * 3_600, UTC).astimezone(NEW_YORK).date()


def _count(number: int) -> Any:
    return lambda records: len(records) >= number


def _all(stack: RunningStack, topic: str) -> list[Record]:
    """What is on a topic by now: it stays the same for a second."""
    seen: list[int] = []

    def quiet(records: Sequence[Record]) -> bool:
        seen.append(len(records))
        return len(seen) > 20 and seen[-1] == seen[-20]

    return stack.consume(topic, quiet)


def _key(signal: dict[str, Any]) -> tuple[str, str]:
    return signal["symbol"], signal["event_ts"]
