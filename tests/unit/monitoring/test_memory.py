from __future__ import annotations

import dataclasses

import pytest

from ta_pipeline.monitoring.history import History, Sample
from ta_pipeline.monitoring.incidents import advance
from ta_pipeline.monitoring.memory import AGAIN_MS, WELL_AGAIN_MS, Memory
from ta_pipeline.monitoring.verdicts import State, Verdict
from tests.status import NOW_MS


def verdict(state: State, name: str = "job_state") -> Verdict:
    return Verdict(name, state, "text", ticks=1)


def told(state: State, ago_ms: int) -> Memory:
    return Memory(told={"job_state": (state, NOW_MS - ago_ms)}, observed_ms=NOW_MS - ago_ms)


def test_it_is_text_and_back() -> None:
    incidents, _ = advance(Memory().incidents, [verdict("bad")], NOW_MS)
    memory = Memory(History((Sample(NOW_MS, "a", 1, 2, 3),)), incidents, {"job_state": ("bad", NOW_MS)}, NOW_MS)
    assert Memory.of_text(memory.to_text()) == memory


@pytest.mark.parametrize("text", [None, ""])
def test_without_a_cursor_it_is_fresh(text: str | None) -> None:
    assert Memory.of_text(text) == Memory()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 0}', '{"version": 1}', '{"version": 1, "told": 3}'])
def test_another_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Memory.of_text(text)


@pytest.mark.parametrize(
    ("before", "now", "ago_ms", "due"),
    [
        ("ok", "ok", AGAIN_MS, False), ("ok", "ok", WELL_AGAIN_MS - 1, False), ("ok", "ok", WELL_AGAIN_MS, True),
        ("ok", "bad", 1, True), ("bad", "bad", AGAIN_MS - 1, False), ("bad", "bad", AGAIN_MS, True),
        ("bad", "ok", 1, True), ("ok", "asleep", 1, True), ("warn", "warn", AGAIN_MS, True),
    ],
)  # fmt: skip
def test_a_verdict_is_told_when_it_changes_and_now_and_then(before: State, now: State, ago_ms: int, due: bool) -> None:
    assert bool(told(before, ago_ms).to_tell([verdict(now)], NOW_MS)) is due


@pytest.mark.parametrize(
    ("before", "now", "ago_ms", "due"),
    [("ok", "ok", AGAIN_MS - 1, False), ("ok", "ok", AGAIN_MS, True), ("ok", "bad", 1, True)],
)
def test_all_numbers_are_told_once_a_minute_and_when_a_verdict_changes(
    before: State, now: State, ago_ms: int, due: bool
) -> None:
    memory = told(before, ago_ms)
    assert memory.observes(memory.to_tell([verdict(now)], NOW_MS), NOW_MS) is due


def test_a_fresh_memory_tells_everything() -> None:
    both = [verdict("ok"), verdict("bad", "restarts")]
    assert Memory().to_tell(both, NOW_MS) == both
    assert Memory().observes(both, NOW_MS)


def test_everything_is_told_again_of_a_new_revision() -> None:
    memory = dataclasses.replace(told("ok", 1_000), revision=3)
    assert memory.of_revision(3).to_tell([verdict("ok")], NOW_MS) == []
    again = memory.of_revision(4)
    assert again.to_tell([verdict("ok")], NOW_MS) == [verdict("ok")]
    assert Memory.of_text(again.to_text()) == again
