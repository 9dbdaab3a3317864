"""Who is idle, and when: no second is over behind all sources before each of them has closed it (decision 0005)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flink.watermarks import Sources

pytestmark = pytest.mark.usefixtures("flink_home")

NOW_MS = 1_785_000_000_000
IDLE_MS = 3_000
FIRST_TICK_MS = 3 * IDLE_MS
"""So long a reader waits for the clock."""
ROUNDS_MS = 1_000
"""Flink asks for watermarks every 200 ms, and who goes idle takes a few rounds."""


def _sources(
    trades: Sequence[Sequence[str]] = (("t0", "clock"),), quotes: Sequence[Sequence[str]] = (("q0", "clock"),)
) -> Sources:
    # PyFlink starts its JVM when it is first used, with the environment of that moment; what it imports warns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tests.flink.watermarks import Sources  # noqa: PLC0415

        return Sources({"trades": trades, "quotes": quotes})


def _read_backlog(sources: Sources) -> None:
    """The last second has trades and quotes, and is not over."""
    for name, partition in (("trades", "t0"), ("quotes", "q0")):
        for second in range(10):
            sources[name].read(partition, NOW_MS + second * 1_000 + 300)


def _tick(sources: Sources, after_ms: int, *names: str) -> None:
    """The clock is one period ahead; a reader sees the tick when the test says so."""
    for name in names:
        sources[name].read("clock", NOW_MS + 11_000 + after_ms, "clock")


@pytest.mark.parametrize("late_ms", [600, 4_600, FIRST_TICK_MS - 200, FIRST_TICK_MS, FIRST_TICK_MS + 400, 20_000])
@pytest.mark.parametrize("order", [("trades", "quotes"), ("quotes", "trades")])
@pytest.mark.parametrize("alone", [False, True], ids=["clock with trades", "clock in a subtask of its own"])
def test_a_first_tick_that_one_source_sees_before_the_other_leaves_none_behind(
    late_ms: int, order: tuple[str, str], alone: bool
) -> None:
    sources = _sources([("clock",), ("t0",)], [("q0",), ("clock",)]) if alone else _sources()
    _read_backlog(sources)
    sources.pass_time(late_ms)
    for name in order:
        _tick(sources, late_ms, name)
        sources.emit(name)
    assert sources.overtaken == set()
    _run(sources, seconds=10 if alone else 4, after_ms=late_ms)
    assert sources.overtaken == set()
    assert sources.watermark_ms >= NOW_MS + late_ms + 11_000, "the clock closes what is quiet"


def test_a_pause_of_whoever_writes_a_backlog_closes_nothing_while_the_clock_is_waited_for() -> None:
    sources = _sources()
    _read_backlog(sources)
    sources.pass_time(FIRST_TICK_MS - 200)
    assert sources.watermark_ms < NOW_MS + 9_000, "the second of the newest records is not over"


def test_without_any_clock_all_that_was_read_is_closed_in_the_end() -> None:
    sources = _sources()
    _read_backlog(sources)
    sources.pass_time(FIRST_TICK_MS + ROUNDS_MS)
    assert sources.watermark_ms == NOW_MS + 9_999
    assert sources.overtaken == set()
    _read_later(sources, 30_000)
    sources.pass_time(IDLE_MS + ROUNDS_MS)
    assert sources.watermark_ms == NOW_MS + 30_999, "it has waited for the clock once"


def test_without_any_clock_a_topic_that_never_had_a_record_holds_no_other_back() -> None:
    sources = _sources()
    sources["trades"].read("t0", NOW_MS)
    sources.pass_time(FIRST_TICK_MS + ROUNDS_MS)
    assert sources.watermark_ms == NOW_MS + 999


def test_a_partition_that_never_had_a_record_holds_no_other_back() -> None:
    sources = _sources(trades=[("t0", "t1", "clock")], quotes=[("q0", "q1", "clock")])
    _read_backlog(sources)
    _run(sources, seconds=4)
    assert sources.watermark_ms >= NOW_MS + 9_999
    assert sources.overtaken == set()


def test_in_an_outage_nobody_is_idle_and_whoever_is_back_first_waits_for_the_others() -> None:
    sources = _sources()
    _read_backlog(sources)
    _run(sources, seconds=4)
    closed = sources.watermark_ms
    sources.pass_time(20_000)
    sources["trades"].read("t0", NOW_MS + 34_000)
    sources.pass_time(IDLE_MS)
    assert sources.watermark_ms == closed


def test_a_subtask_without_a_partition_of_the_clock_holds_the_other_back_no_longer_than_a_timeout() -> None:
    sources = _sources(trades=[("t0", "clock"), ("t1",)], quotes=[("q0", "clock"), ("q1",)])
    _read_backlog(sources)
    sources["trades"].read("t1", NOW_MS + 9_300)
    sources["quotes"].read("q1", NOW_MS + 9_300)
    _run(sources, seconds=(FIRST_TICK_MS + ROUNDS_MS) // 1_000)
    assert sources.watermark_ms >= NOW_MS + 9_999
    sources["trades"].read("t1", NOW_MS + 20_300)
    _run(sources, seconds=(IDLE_MS + ROUNDS_MS) // 1_000, after_ms=FIRST_TICK_MS + ROUNDS_MS)
    assert sources.watermark_ms >= NOW_MS + 20_999
    assert sources.overtaken == set()


def _read_later(sources: Sources, after_ms: int) -> None:
    sources["trades"].read("t0", NOW_MS + after_ms)
    sources["quotes"].read("q0", NOW_MS + after_ms)


def _run(sources: Sources, *, seconds: int, after_ms: int = 0) -> None:
    """Time passes and the clock ticks."""
    for second in range(seconds):
        sources.pass_time(1_000)
        _tick(sources, after_ms + (second + 1) * 1_000, "trades", "quotes")
        sources.emit()
