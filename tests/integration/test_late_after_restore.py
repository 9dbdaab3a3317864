"""What comes late while the job is down is late for the restored one: revised or given out as late, never lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from ta_pipeline.clock import SYMBOL, tick
from ta_pipeline.settings import Settings
from tests.jobs import FAST, Message, committed, expected, running_job, send, without_ingest
from tests.messages import START, at, cancel, quote, trade
from tests.stack import Record, RunningStack

SYMBOLS = [f"S{number}" for number in range(6)]
STOPPED, ENDED = 80, 90
"""Seconds of the market until the stop, and to its end."""
OPEN = 3
"""So many of the last seconds are not final: the watermark is two seconds and a half behind the newest end."""
TOO_LATE = 3
"""A second that is further behind the stop than revisions go."""


def _market(first: int, last: int) -> list[Message]:
    """A quote and a trade of each symbol in each second."""
    return [
        message
        for second in range(first, last)
        for number, symbol in enumerate(SYMBOLS)
        for message in (
            quote(second + 0.2, 10 + number, 10.5 + number, S=symbol),
            trade(second * 100 + number, second + 0.5, 10.25 + number + second / 100, S=symbol),
        )
    ]


def _late() -> list[Message]:
    """Of seconds that were final before the stop, for every symbol; the last ones are older than the horizon."""
    final = STOPPED - 6
    messages = []
    for number, symbol in enumerate(SYMBOLS):
        messages += [
            trade(90_000 + number, final + 0.7, 99.0, 7, S=symbol),
            cancel((final - 1) * 100 + number, final - 1 + 0.5, S=symbol),
            quote(final - 2 + 0.3, 1.0, 2.0, S=symbol),
            trade(91_000 + number, TOO_LATE + 0.7, 98.0, 5, S=symbol),
        ]
    return [*messages, trade(92_000, final + 0.1, 55.0, 11, S="NEW")]


@pytest.mark.stack
@pytest.mark.parametrize("parallelism", [1, pytest.param(2, marks=pytest.mark.kills)])
def test_what_came_late_while_the_job_was_down_is_as_late_as_for_an_undisturbed_one(
    stack: RunningStack, tmp_path: Path, parallelism: int
) -> None:
    # Its clock ticks when the test says so, and nobody is ever idle: what is late does not depend on the machine.
    settings = stack.own_settings(
        startup_mode="earliest", parallelism=parallelism, clock_topic=f"ta.clock.ahead.{parallelism}",
        bar_close_timeout_ms=600_000, **FAST,
    )  # fmt: skip
    before, late, after = _market(0, STOPPED), _late(), _market(STOPPED, ENDED)
    _tick(stack, settings)
    send(stack, settings, before)
    with ThreadPoolExecutor() as pool, running_job(stack, settings) as runtime:
        undisturbed = pool.submit(expected, tmp_path, settings, [*before, *late, *after])
        committed(stack, settings, settings.bars_topic, _count(len(SYMBOLS) * (STOPPED - OPEN)))
        savepoint = runtime.stop()
    right = undisturbed.result()
    assert len(right["late"]) == 2 * len(SYMBOLS), "the late quotes, and the trades beyond the horizon"
    send(stack, settings, late)
    with running_job(stack, settings, restore_from=savepoint):
        _tick(stack, settings)
        send(stack, settings, after)
        wanted = {name: _closed(right[name]) for name in ("bars", "signals", "late")}
        found = {
            name: without_ingest(committed(stack, settings, topic, _count(len(wanted[name]))))
            for name, topic in _topics(settings).items()
        }
    revised = [bar for bar in found["bars"] if bar["revision"] > 0]
    assert len(revised) == 2 * len(SYMBOLS), "a late trade and a cancel each"
    assert found["bars"] == wanted["bars"]
    assert found["signals"] == wanted["signals"]
    assert [_place_left_out(one) for one in found["late"]] == [_place_left_out(one) for one in wanted["late"]]


def _tick(stack: RunningStack, settings: Settings) -> None:
    """The clock is ahead of all of the market, so that it holds nothing back."""
    stack.produce(settings.clock_topic, [(SYMBOL, orjson.dumps(tick(0, START.timestamp() + 2 * ENDED)))])


def _topics(settings: Settings) -> dict[str, str]:
    return {"bars": settings.bars_topic, "signals": settings.signals_topic, "late": settings.late_topic}


def _closed(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the last seconds, which only the end of a bounded run makes final."""
    return [record for record in records if record["event_ts"] <= at(ENDED - OPEN)]


def _place_left_out(record: dict[str, Any]) -> dict[str, Any]:
    """A file's lines are numbered otherwise than a topic's records."""
    return {name: value for name, value in record.items() if name not in {"topic", "partition", "offset"}}


def _count(number: int) -> Callable[[Sequence[Record]], bool]:
    return lambda records: len(records) >= number
