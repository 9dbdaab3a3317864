"""The job on the real stack: what is committed equals the bounded run, formats and upgrades included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.feed import send as feed
from ta_pipeline.simulator import Market
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
    without_ingest,
)
from tests.stack import Record, RunningStack

SYMBOLS, SECONDS = 4, 20


def _market(seed: int, start: float) -> list[Message]:
    """A simulated market from `start` on, without late reports, cancels or corrections."""
    market = Market(symbols=SYMBOLS, rate=200, seconds=SECONDS, seed=seed).messages()
    return [
        {**message, "t": _rfc3339(start + offset)}
        for offset, message, late in market
        if not late and message["T"] in {"t", "q"}
    ]


def _rfc3339(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("form", ["json", "avro-confluent"])
def test_committed_bars_and_signals_equal_the_bounded_run_in_both_formats(
    stack: RunningStack, tmp_path: Path, form: str
) -> None:
    settings = stack.own_settings(
        schemas=True, startup_mode="earliest", input_format=form, output_format=form,
        clock_topic=f"ta.clock.{form}", **FAST,
    )  # fmt: skip
    messages = _market(seed=1, start=int(time.time()) - SECONDS - 5)
    right = expected(tmp_path, settings, messages)
    send(stack, settings, messages)
    with running_clock(settings), running_job(stack, settings) as runtime:
        bars = committed(stack, settings, settings.bars_topic, _count(len(right["bars"])))
        signals = committed(stack, settings, settings.signals_topic, _count(len(right["signals"])))
        assert without_ingest(bars) == right["bars"]
        assert without_ingest(signals) == right["signals"]
        await_counters(settings, runtime, {"finals": float(len(right["signals"]))})
    live = decoded(settings, settings.live_topic, _all(stack, settings.live_topic))
    assert {_key(signal) for signal in signals} <= {_key(signal) for signal in live}
    assert not any(signal["is_final"] for signal in live)


def test_a_job_stopped_with_a_savepoint_and_restored_gives_what_an_undisturbed_one_gives(
    stack: RunningStack, tmp_path: Path
) -> None:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    with running_job(stack, settings) as runtime, ThreadPoolExecutor() as pool:
        messages = _market(seed=2, start=time.time() + 5)  # due when all is ready to send it
        fed = pool.submit(feed, settings, on_time(messages, settings))  # the market does not wait for the upgrade
        stack.consume(settings.signals_topic, _count(10))
        savepoint = runtime.stop()
        with running_job(stack, settings, restore_from=savepoint):
            fed.result()
            right = expected(tmp_path, settings, messages)
            bars = committed(stack, settings, settings.bars_topic, _count(len(right["bars"])))
            signals = committed(stack, settings, settings.signals_topic, _count(len(right["signals"])))
    assert without_ingest(bars) == right["bars"]
    assert without_ingest(signals) == right["signals"]


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
