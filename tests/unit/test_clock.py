"""The clock's gate: when a tick may be written; and what a tick says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.clock import PERIOD_MS, ClockGate, tick
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.recordings import seconds_of

SILENCE_MS = 5_000


def _run(gate: ClockGate, answers: list[bool], start_ms: int = 0) -> list[bool]:
    """Whether a tick was allowed, one period after the other."""
    return [gate.allows(start_ms + number * PERIOD_MS, broker_answers=answer) for number, answer in enumerate(answers)]


def _ticking() -> ClockGate:
    """A gate that ticks at 10 s."""
    gate = ClockGate(SILENCE_MS)
    assert _run(gate, [True] * 11)[-1]
    return gate


def test_a_clock_that_starts_is_silent_first() -> None:
    assert _run(ClockGate(SILENCE_MS), [True] * 8) == [False] * 5 + [True] * 3


def test_a_clock_whose_broker_is_not_there_never_ticks() -> None:
    gate = ClockGate(SILENCE_MS)
    assert not any(_run(gate, [False] * 60))
    assert gate.state == "outage"


def test_no_tick_is_allowed_while_the_broker_does_not_answer_nor_until_the_silence_is_over() -> None:
    gate = _ticking()
    answers = [True, True, False, False, False] + [True] * 8
    assert _run(gate, answers, 11_000) == [True, True] + [False] * 8 + [True] * 3


def test_a_second_outage_in_the_silence_begins_it_anew() -> None:
    gate = _ticking()
    assert _run(gate, [False, True, True, False] + [True] * 7, 11_000) == [False] * 9 + [True] * 2


def test_a_tick_that_was_not_acknowledged_is_an_outage() -> None:
    gate = _ticking()
    gate.not_acknowledged()
    assert gate.state == "outage"
    assert _run(gate, [True] * 7, 11_000) == [False] * 5 + [True] * 2


def test_a_clock_that_stood_still_itself_is_silent_before_it_ticks_again() -> None:
    gate = _ticking()
    assert _run(gate, [True] * 7, 20_000) == [False] * 5 + [True] * 2


def test_a_period_that_took_a_little_longer_is_no_outage() -> None:
    gate = _ticking()
    assert gate.allows(10_000 + 2 * PERIOD_MS, broker_answers=True)


@given(st.lists(st.tuples(st.integers(900, 6_000), st.booleans(), st.booleans()), max_size=80))
def test_no_tick_is_ever_allowed_within_the_silence_after_trouble(steps: list[tuple[int, bool, bool]]) -> None:
    gate = ClockGate(SILENCE_MS)
    now, trouble, before = 0, 0, None
    for passed, answers, acknowledged in steps:
        now += passed
        if not answers or (before is not None and now - before > 3 * PERIOD_MS):
            trouble = now
        before = now
        if gate.allows(now, broker_answers=answers):
            assert now - trouble >= SILENCE_MS
            if not acknowledged:
                gate.not_acknowledged()
                trouble = now


def test_a_tick_is_one_period_ahead_of_the_time_it_is_written_at() -> None:
    written = tick(7, 1_900_000_000.25)
    assert written["seq"] == 7
    assert (written["channel"], written["symbol"]) == ("clock", "*")
    assert seconds_of(str(written["ingest_ts"])) == 1_900_000_000.25
    assert seconds_of(str(written["event_ts"])) == 1_900_000_001.25
    assert written["payload"] == {"T": "clock", "S": "*", "t": written["event_ts"]}


def test_a_clock_that_hears_nothing_ends_so_that_another_is_started() -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        bootstrap = f"{LOOPBACK}:{silent.getsockname()[1]}"
        impatient = "from ta_pipeline import clock; clock.DEAF_SECONDS = 2.0; clock.main()"
        ended = subprocess.run(
            [sys.executable, "-c", impatient], env={**os.environ, "TA_KAFKA_BOOTSTRAP": bootstrap}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "nothing heard from the broker for 2 s" in ended.stdout
