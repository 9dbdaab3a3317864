"""A restart loop of fifty: the last restore takes what the first one took, and nothing is left behind on the broker.

A refused producer ends the TaskManager itself now and then: its writer throws once more while Flink 2.2 closes it.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.broker import TransactionBroker
from ta_pipeline.transactions.look import SINKS, Transaction, prefix_of
from tests.jobs import expected, on_time, running_job, simulated
from tests.proofs import Say, all_committed, require_equal, stopped_at_exit
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800, func_only=True)]

RESTARTS = 50
COMPARED = 10
"""The first and the last so many restarts."""
SLOWER = 1.5
"""The quickest of the last restores may take so many times what the quickest of the first took. What slows every one of
them down shows there; a TaskManager that is new, and has its classes to load, or a busy machine slows some of them."""
CLOSED_SECONDS = 10
"""The platform's clock has closed every second of the market by then."""
_RESTORED = ("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING")


class Restore(NamedTuple):
    """How long the tasks of one attempt took until they ran; milliseconds of Flink's own clock."""

    attempt: int
    all_ms: int
    """The slowest task, from its creation on."""
    sinks_ms: int
    """The slowest sink alone, restoring its state: there transactions of before are aborted."""


def test_fifty_restarts_without_a_checkpoint_between_do_not_slow_the_restore_down(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    # Only the checkpoints that are asked for: all restarts restore the same one, and each leaves transactions open.
    settings = stack.own_settings(startup_mode="earliest", checkpoint_interval_ms=3_600_000, restart_max_delay_ms=1_000)
    rest = FlinkRest(settings.flink_rest_url)
    restores: list[Restore] = []
    ids: list[int] = []
    with running_job(stack, settings) as job, ThreadPoolExecutor() as pool, stopped_at_exit() as stop:
        (running,) = job.status()
        messages = simulated(2, 20, 1_500, seed=50, start=time.time() + 2)
        fed = pool.submit(feed, settings, on_time(messages, settings), stop=stop)
        with TransactionBroker(settings) as broker:
            while True:
                restores.append(_restored(settings, running.job_id, restores[-1].attempt + 1 if restores else 0))
                opened = _open_bars(broker, settings)
                ids.append(_ids(broker, settings))
                if len(restores) > RESTARTS:
                    break
                # What it writes next is refused, as by a second job of the same transactional ids.
                broker.abort(opened)
        assert not fed.done()
        stop.set()
        sent = fed.result().total
        time.sleep(CLOSED_SECONDS)
        before = rest.checkpoints(running.job_id).completed
        rest.trigger_checkpoint(running.job_id)
        wait_for("a checkpoint after the loop", lambda: rest.checkpoints(running.job_id).completed > before, 60)
        checkpoints = rest.checkpoints(running.job_id)
        (bars,) = all_committed(stack, settings, settings.bars_topic)
        failures = rest.failures(running.job_id)
    first, last = restores[1 : COMPARED + 1], restores[-COMPARED:]
    say(
        f"restart loop: {len(restores) - 1} failures, {restores[-1].attempt} restarts; "
        f"restore, quickest (median) of the first and last {COMPARED}: "
        f"{_shown(first, 'all_ms')} and {_shown(last, 'all_ms')} ms, of the sinks alone "
        f"{_shown(first, 'sinks_ms')} and {_shown(last, 'sinks_ms')} ms; the slowest of all "
        f"{max(one.all_ms for one in restores[1:])} ms; {checkpoints.completed} checkpoints, the last took "
        f"{checkpoints.latest_duration_ms} ms; "
        f"transactional ids on the broker {ids[0]} at first, {ids[-1]} at last; {len(bars)} bars; "
        f"the failure: {failures[0].cause[:120]}"
    )
    for what in ("all_ms", "sinks_ms"):
        assert _quickest(last, what) <= SLOWER * _quickest(first, what), what
    assert ids[COMPARED] == ids[-1] <= 3 * len(SINKS), "a restart takes the names of before again"
    require_equal(settings.bars_topic, bars, expected(tmp_path, settings, messages[:sent])["bars"])


def _restored(settings: Settings, job_id: str, attempt: int) -> Restore:
    """Of an attempt, once all of its tasks run."""
    found: list[dict[str, Any]] = []

    def runs() -> bool:
        found[:] = _subtasks(settings.flink_rest_url, job_id)
        return all(one["status"] == "RUNNING" and one["attempt"] >= attempt for one in found)

    wait_for(f"every task of attempt {attempt} runs", runs, 90)
    spent = [sum(max(0, one["status-duration"].get(state, 0)) for state in _RESTORED) for one in found]
    sinks = [one["status-duration"]["INITIALIZING"] for one in found if "sink" in one["task"].lower()]
    return Restore(max(one["attempt"] for one in found), max(spent), max(sinks))


def _subtasks(url: str, job_id: str) -> list[dict[str, Any]]:
    """Every subtask as Flink has it, with the name of its task."""
    return [
        {**subtask, "task": vertex["name"]}
        for vertex in _answer(f"{url}/jobs/{job_id}")["vertices"]
        for subtask in _answer(f"{url}/jobs/{job_id}/vertices/{vertex['id']}")["subtasks"]
    ]


def _answer(url: str) -> Any:
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.json()


def _open_bars(broker: TransactionBroker, settings: Settings) -> Transaction:
    """The transaction that the job writes bars in."""
    found: list[Transaction] = []

    def begun() -> bool:
        found[:] = [
            one
            for one in broker.look(time.time_ns() // 1_000_000).transactions
            if one.id.startswith(f"{settings.transactional_id_prefix}-bars-") and one.state == "Ongoing"
        ]
        return bool(found)

    wait_for("the job writes bars", begun, 60)
    return found[0]


def _ids(broker: TransactionBroker, settings: Settings) -> int:
    look = broker.look(time.time_ns() // 1_000_000)
    return sum(prefix_of(name) == settings.transactional_id_prefix for name in look.ids)


def _quickest(restores: list[Restore], what: str) -> int:
    return min(getattr(one, what) for one in restores)


def _shown(restores: list[Restore], what: str) -> str:
    return f"{_quickest(restores, what)} ({statistics.median(getattr(one, what) for one in restores):.0f})"
