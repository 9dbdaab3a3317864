"""`kill -9` while a market runs: what is committed is what an undisturbed run gives, nothing lost, nothing doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from tests.jobs import (
    FAST,
    on_time,
    running_job,
    running_table_job,
    simulated,
)
from tests.proofs import Say, all_committed, require_as_undisturbed, stopped_at_exit
from tests.stack import Record, RunningStack, wait_for
from tests.table_rows import in_clickhouse, newest, require_rows, seconds

pytestmark = [pytest.mark.kills, pytest.mark.timeout(300, func_only=True)]

RATE, SYMBOLS = 200, 4
LONGEST_SECONDS = 150
AFTERWARDS_SECONDS = 10
"""The market goes on for so long after the recovery."""


@pytest.fixture(autouse=True)
def _leave_the_stack_as_it_was(stack: RunningStack) -> Iterator[None]:
    yield
    stack.await_ready()


def test_clickhouse_killed_while_rows_flow_has_every_final_record_once(stack: RunningStack, say: Say) -> None:
    settings = stack.own_settings(startup_mode="earliest", clickhouse_flush_ms=250, **FAST)
    own = settings.group_id.rpartition("-")[2]  # the tables are shared: symbols of the test's own

    def count(table: str = "ta_microbars_latest") -> int:
        return len(in_clickhouse(stack, table, own))

    with running_job(stack, settings) as job, running_table_job(stack, settings) as table_job:
        market = simulated(SYMBOLS, RATE, 30, seed=11, start=time.time() + 1)
        messages = [{**message, "S": f"{message['S']}.{own}"} for message in market]
        with ThreadPoolExecutor() as pool:
            fed = pool.submit(feed, settings, on_time(messages, settings))
            wait_for("rows are in ClickHouse", lambda: count() >= 20, 60)
            before = stack.process("clickhouse").pid
            killed = stack.kill("clickhouse")
            wait_for("ClickHouse is back", lambda: _is_back(stack, "clickhouse", before))
            back, kept = time.time() - killed, count()
            wait_for("rows flow again", lambda: count() > kept, 60)
            say(f"clickhouse: ready {back:.1f} s, first new row {time.time() - killed:.1f} s after kill -9")
            fed.result()
        bars, signals = all_committed(stack, settings, settings.bars_topic, settings.signals_topic)
        wait_for("the last bar is in ClickHouse", lambda: count() >= len(newest(bars)), 60)
        wait_for("the last signal is in ClickHouse", lambda: count("ta_signals_latest") >= len(newest(signals)), 60)
        require_rows(stack, own, bars, signals)
        (status,), (table_status,) = job.status(), table_job.status()
        say(
            f"clickhouse: {len(newest(bars))} bars once each, in {count('ta_microbars')} rows not merged yet; "
            f"restarts of the table job: {table_status.restarts}; {table_status.exception or 'no exception'}"
        )
        assert (status.state, status.restarts) == ("RUNNING", 0)
        assert table_status.state == "RUNNING"


@pytest.mark.parametrize("component", ["taskmanager", "jobmanager", "kafka"])
def test_what_is_committed_across_a_kill_equals_an_undisturbed_run(
    stack: RunningStack, tmp_path: Path, say: Say, component: str
) -> None:
    settings = stack.own_settings(startup_mode="earliest", **FAST)
    with running_job(stack, settings) as job, ThreadPoolExecutor() as pool, stopped_at_exit() as stop:
        messages = simulated(SYMBOLS, RATE, LONGEST_SECONDS, seed=12, start=time.time() + 5)
        # Neither the market nor the clock waits: the first message is due when all is ready to send it.
        fed = pool.submit(feed, settings, on_time(messages, settings), stop=stop)
        stack.consume(settings.signals_topic, lambda records: len(records) >= 20)
        before = stack.process(component).pid
        killed = stack.kill(component)
        wait_for(f"{component} is back", lambda: _is_back(stack, component, before), 90)
        back = time.time() - killed
        stack.consume(settings.bars_topic, _emitted_after(killed), timeout_seconds=90)
        say(f"{component}: ready {back:.1f} s, first committed record {time.time() - killed:.1f} s after kill -9")
        time.sleep(AFTERWARDS_SECONDS)
        assert not fed.done()
        stop.set()
        bars, signals = require_as_undisturbed(stack, settings, tmp_path, messages[: fed.result().total])
        (status,) = job.status()
        say(
            f"{component}: {len(bars)} bars and {len(signals)} signals as undisturbed; restarts of the job: "
            f"{status.restarts}; {status.exception or 'no exception'}"
        )
        assert status.state == "RUNNING"


def test_a_job_that_ends_right_after_another_jobmanager_took_it_over_has_left_its_last_checkpoint(
    stack: RunningStack,
) -> None:
    settings = stack.own_settings(startup_mode="earliest", checkpoint_interval_ms=3_600_000)
    rest = FlinkRest(settings.flink_rest_url)
    with running_job(stack, settings) as job:
        (running,) = job.status()
        kept = running.checkpoint_path
        assert kept is not None
        stack.kill("jobmanager")
        stack.await_ready()
        wait_for("the job runs again", lambda: [one.state for one in job.status()] == ["RUNNING"], 90)
        assert rest.checkpoints(running.job_id).completed == 0
        job.cancel()
        wait_for("the job has ended", lambda: not job.status())
        left = job.last_state(running.job_id)
        assert left is not None
        assert (left.path, left.is_savepoint) == (kept, False)


def _is_back(stack: RunningStack, component: str, before: int) -> bool:
    (line,) = [line for line in stack.stack.status() if line.name == component]
    return line.state == "ready" and line.pid not in {None, before}


def _emitted_after(epoch: float) -> Callable[[Sequence[Record]], bool]:
    """The newest record was emitted after `epoch`, so it cannot have been committed before."""

    def holds(records: Sequence[Record]) -> bool:
        return bool(records) and seconds(orjson.loads(records[-1].value)["ingest_ts"]) > epoch

    return holds
