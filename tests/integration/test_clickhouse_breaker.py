"""ClickHouse is away, hangs or is full: the market goes on, the table job waits, and then every row is there, once."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]

from ta_pipeline.breakers import Breaker, ask_breakers, waiting
from ta_pipeline.clickhouse import client_of
from ta_pipeline.feed import FeedReport
from ta_pipeline.feed import send as feed
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.monitoring.judge import judge
from ta_pipeline.monitoring.kafka_source import KafkaStatus, Unread
from ta_pipeline.monitoring.snapshot import StatusSnapshot, take_snapshot
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.platform import Platform
from ta_pipeline.preflight import CLICKHOUSE_SECONDS, problems
from ta_pipeline.settings import Settings
from tests.jobs import FAST, Message, on_time, running_job, running_table_job, simulated
from tests.outages import full, held_down, small_disk, standing_still
from tests.proofs import Say, all_committed, require_as_undisturbed, stopped_at_exit
from tests.stack import RunningStack, wait_for
from tests.table_rows import in_clickhouse, newest, require_rows, seconds

pytestmark = pytest.mark.timeout(1_200, func_only=True)

RATE, SYMBOLS = 100, 3
SHORT = {
    "clickhouse_flush_ms": 250, "clickhouse_max_retries": 1, "clickhouse_breaker_wait_seconds": 2,
    "clickhouse_conn_timeout_seconds": 2, **FAST,
}  # fmt: skip
BACKLOG = 100
"""Records of a topic, transaction markers among them."""


@pytest.fixture(autouse=True)
def _leave_the_stack_as_it_was(stack: RunningStack) -> Iterator[None]:
    yield
    stack.await_ready()


@dataclass(frozen=True)
class Outage:
    """One way for ClickHouse not to take rows.

    Attributes:
        name: of it, for what is said.
        begins: and ends with the block.
        seconds: how long it lasts once the breakers are open.
        overrides: settings.
        cause: the verdict that explains the breaker's; empty: that one calls.
        error: what the last error has to contain.
    """

    name: str
    begins: Callable[[RunningStack], AbstractContextManager[None]]
    seconds: float
    overrides: Mapping[str, Any] = field(default_factory=lambda: SHORT)
    cause: str = "clickhouse_reachable"
    error: str = ""


def _held_down(stack: RunningStack) -> AbstractContextManager[None]:
    return held_down(stack, "clickhouse")


def _standing_still(stack: RunningStack) -> AbstractContextManager[None]:
    return standing_still(stack, "clickhouse")


@contextmanager
def _renamed(stack: RunningStack) -> Iterator[None]:
    """The tables are not there, though ClickHouse is."""
    tables = ("ta_microbars", "ta_signals")
    with closing(client_of(stack.settings)) as client:
        for table in tables:
            client.command(f"RENAME TABLE torghut.{table} TO torghut.{table}_elsewhere")
        try:
            yield
        finally:
            for table in tables:
                client.command(f"RENAME TABLE torghut.{table}_elsewhere TO torghut.{table}")


@contextmanager
def _another_password(stack: RunningStack) -> Iterator[None]:
    """It was changed at ClickHouse, and not in the settings."""
    path = stack.local.dir / "clickhouse" / "front.json"
    known = path.read_text(encoding="utf-8")
    supervisor = stack.stack.supervisor

    def restart_with(config: str) -> None:
        supervisor.stop_process("clickhouse")
        path.write_text(config, encoding="utf-8")
        supervisor.start_process("clickhouse")

    restart_with(json.dumps({**json.loads(known), "password": secrets.token_hex(8)}))
    try:
        yield
    finally:
        restart_with(known)


def test_clickhouse_is_away_and_then_every_row_is_there_once(stack: RunningStack, tmp_path: Path, say: Say) -> None:
    prove(stack, tmp_path, say, Outage("away", _held_down, 5))


@pytest.mark.faults
def test_clickhouse_hangs_and_then_every_row_is_there_once(stack: RunningStack, tmp_path: Path, say: Say) -> None:
    prove(stack, tmp_path, say, Outage("hung", _standing_still, 60))


@pytest.mark.faults
def test_the_disk_of_clickhouse_is_full_and_then_every_row_is_there_once(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    with small_disk(stack) as disk:
        # It answers, so nothing else explains the breaker.
        outage = Outage("full", lambda _stack: full(disk), 60, cause="", error="NOT_ENOUGH_SPACE")
        prove(stack, tmp_path, say, outage)


@pytest.mark.faults
def test_clickhouse_refuses_rows_and_then_every_row_is_there_once(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    prove(stack, tmp_path, say, Outage("refusing", _renamed, 20, error="UNKNOWN_TABLE"))


@pytest.mark.faults
def test_clickhouse_does_not_take_the_password_and_then_every_row_is_there_once(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    prove(stack, tmp_path, say, Outage("another password", _another_password, 20, error="Authentication failed"))


@pytest.mark.faults
def test_clickhouse_is_away_for_ten_minutes_and_then_every_row_is_there_once(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    as_released = {"clickhouse_flush_ms": 250, **FAST}
    prove(stack, tmp_path, say, Outage("away", _held_down, 600, as_released))


@pytest.mark.faults
def test_a_table_job_that_waits_for_a_hung_clickhouse_ends_at_once_and_leaves_the_taskmanager_alone(
    stack: RunningStack, say: Say
) -> None:
    """A task that does not end within 180 s ends its TaskManager, and with it the Kafka path."""
    with running_market(stack, SHORT) as market, _standing_still(stack):
        await_open(market)
        asked = time.time()
        assert problems(market.settings) == []
        assert time.time() - asked < 2 * CLICKHOUSE_SECONDS
        before, asked = stack.process("taskmanager").pid, time.time()
        market.table_job.cancel()
        say(f"clickhouse hung: the table job ended {time.time() - asked:.1f} s after it was cancelled")
        assert time.time() - asked < 30
        assert stack.process("taskmanager").pid == before
        (status,) = market.job.status()
        assert (status.state, status.restarts) == ("RUNNING", 0)


@pytest.mark.faults
def test_a_table_job_may_be_deployed_while_clickhouse_is_away_and_goes_on_when_it_is_back(
    stack: RunningStack, say: Say
) -> None:
    """A rollout in an outage leaves a table job behind that waits, not one that somebody has to bring back."""
    with running_market(stack, SHORT) as market:
        with _held_down(stack):
            await_open(market)
            assert problems(market.settings) == []
            market.table_job.cancel()
            deployed = market.table_job.deploy()
            say(f"clickhouse away: the table job was deployed in {deployed.seconds:.1f} s")
            await_open(market)
        await_closed(stack, market)
        market.stop.set()
        settings = market.settings
        bars, signals = all_committed(stack, settings, settings.bars_topic, settings.signals_topic)
        for view, records in (("ta_microbars_latest", bars), ("ta_signals_latest", signals)):
            wanted = keys(newest(records))
            wait_for(f"{view} is complete", lambda: keys(market.rows(view)) >= wanted, 60)  # noqa: B023 - called here
        require_rows(stack, market.own, bars, signals)


@pytest.mark.faults
def test_an_outage_that_outlasts_the_retention_of_a_topic_is_told_and_the_rest_gets_there(
    stack: RunningStack, say: Say
) -> None:
    with running_market(stack, SHORT) as market:
        topic = market.settings.bars_topic
        with _held_down(stack):
            await_open(market)
            wait_for("a backlog", lambda: market.unread(topic).waiting > BACKLOG, 120)
            assert market.verdict("table_backlog").state == "ok"
            # What retention does, without waiting for it: the topic begins further on.
            begins = market.unread(topic).end - BACKLOG // 4
            admin = AdminClient(client_config(market.settings))
            (deleted,) = admin.delete_records([TopicPartition(topic, 0, begins)]).values()
            deleted.result(10)
            gone, found = market.unread(topic), market.verdict("table_backlog")
            say(f"retention: {found.state}: {found.message}")
            assert (found.state, gone.earliest, found.figures["lost"]) == ("bad", begins, begins - gone.committed)
            assert f"{topic}[0] {gone.committed:,} to {begins - 1:,}" in found.message
        await_closed(stack, market)
        market.stop.set()
        left = newest(*all_committed(stack, market.settings, topic))
        wait_for(
            "what the topic still has is in ClickHouse", lambda: keys(left) <= keys(market.rows("ta_microbars_latest"))
        )
        assert market.unread(topic).lost == 0


def prove(stack: RunningStack, tmp_path: Path, say: Say, outage: Outage) -> None:
    """An outage under a market that goes on: nothing of the Kafka path notices, and the tables are whole afterwards."""
    with running_market(stack, outage.overrides, outage.seconds) as market:
        with outage.begins(stack):
            begun = time.time()
            await_open(market)
            opened = time.time() - begun
            seen, verdicts = market.watched(outage.seconds)
            shown = waiting(market.settings, time.time_ns() // 1_000_000) or ""
        ended = time.time()
        assert {"open"} <= seen.keys() <= {"open", "half-open"}
        assert {one.state for one in verdicts} == {"bad"}
        assert {one.caused_by for one in verdicts} == {outage.cause}
        assert all(outage.error in one.message for one in verdicts)
        assert "records wait in the topics" in verdicts[-1].message
        assert all(f"{table} is " in shown for table in ("ta_microbars", "ta_signals"))
        await_closed(stack, market)
        closed = time.time() - ended
        market.stop.set()
        settings = market.settings
        # The market's last seconds become final meanwhile: the topics are read behind it.
        sent = market.messages[: market.fed.result().total]
        bars, signals = require_as_undisturbed(stack, settings, tmp_path, sent)
        for view, records in (("ta_microbars_latest", bars), ("ta_signals_latest", signals)):
            wanted = keys(newest(records))
            wait_for(f"{view} is complete", lambda: keys(market.rows(view)) >= wanted, 60)  # noqa: B023 - called here
        (status,), (table_status,), breakers = market.job.status(), market.table_job.status(), market.breakers()
        say(
            f"clickhouse {outage.name} for {ended - begun:.0f} s: open after {opened:.1f} s, closed {closed:.1f} s and "
            f"every row there {time.time() - ended:.1f} s after its end; {len(newest(bars))} bars and "
            f"{len(newest(signals))} signals once each, of {len(market.rows('ta_signals'))} rows not merged yet; "
            f"{', '.join(f'{one.table} opened {one.opened}, tried {one.tried}' for one in breakers)}; states seen "
            f"{dict(seen)}; restarts {status.restarts} and {table_status.restarts}"
        )
        require_rows(stack, market.own, bars, signals)
        assert [(one.state, one.restarts) for one in (status, table_status)] == [("RUNNING", 0)] * 2
        assert all(one.opened >= 1 and one.tried >= 1 and one.closed == one.opened for one in breakers)
        wait_for("Prometheus has it", lambda: in_prometheus(stack) >= {"ta_microbars", "ta_signals"})


@dataclass(frozen=True)
class RunningMarket:
    """Both jobs and a market that is fed, with symbols of its own: the tables are shared."""

    stack: RunningStack
    settings: Settings
    own: str
    job: LocalRuntime
    table_job: LocalRuntime
    messages: list[Message]
    fed: Future[FeedReport]
    stop: threading.Event

    def rows(self, table: str) -> list[Message]:
        """Of a table or view."""
        return in_clickhouse(self.stack, table, self.own)

    def breakers(self) -> tuple[Breaker, ...]:
        """As the metrics tell them."""
        (status,) = self.table_job.status()
        return ask_breakers(FlinkRest(self.settings.flink_rest_url), status.job_id)

    def states(self) -> set[str]:
        """Of both breakers; empty while one of them is not told."""
        found = self.breakers()
        return {one.state for one in found} if len(found) == 2 else set()

    def look(self) -> StatusSnapshot:
        """What monitoring sees."""
        return take_snapshot(Platform.of(self.settings, self.stack.local), time.time_ns() // 1_000_000)

    def verdict(self, name: str) -> Verdict:
        """What monitoring says."""
        (found,) = [one for one in judge(self.look()) if one.name == name]
        return found

    def unread(self, topic: str) -> Unread:
        """What the table job has not taken of a topic."""
        kafka = self.look().kafka
        assert isinstance(kafka, KafkaStatus)
        (found,) = [one for one in kafka.unread or () if one.topic == topic]
        return found

    def watched(self, seconds: float) -> tuple[Counter[str], list[Verdict]]:
        """How often which states were seen, and the verdicts, while the outage lasts."""
        seen: Counter[str] = Counter()
        verdicts = []
        end = time.time() + seconds
        while time.time() < end:
            seen.update(self.states())
            verdicts.append(self.verdict("clickhouse_breaker"))
            time.sleep(min(1.0, seconds / 10))
        return seen, verdicts


@contextmanager
def running_market(stack: RunningStack, overrides: Mapping[str, Any], lasting: float = 60.0) -> Iterator[RunningMarket]:
    """Rows are in ClickHouse; the market goes on for minutes longer than `lasting` seconds."""
    settings = stack.own_settings(startup_mode="earliest", **overrides)
    own = settings.group_id.rpartition("-")[2]
    with (
        running_job(stack, settings) as job,
        running_table_job(stack, settings) as table_job,
        ThreadPoolExecutor() as pool,
        stopped_at_exit() as stop,
    ):
        market = simulated(SYMBOLS, RATE, lasting + 240, seed=13, start=time.time() + 2)
        messages = [{**message, "S": f"{message['S']}.{own}"} for message in market]
        fed = pool.submit(feed, settings, on_time(messages, settings), stop=stop)
        found = RunningMarket(stack, settings, own, job, table_job, messages, fed, stop)
        wait_for("rows are in ClickHouse", lambda: len(found.rows("ta_signals_latest")) >= 10, 60)
        assert found.states() == {"closed"}
        yield found


def await_open(market: RunningMarket) -> None:
    """Both breakers."""
    wait_for("the breakers are open", lambda: bool(found := market.states()) and "closed" not in found, 90)


def await_closed(stack: RunningStack, market: RunningMarket) -> None:
    """Both breakers, once ClickHouse is there."""
    stack.await_ready(60, only="clickhouse")
    wait_for("the breakers are closed", lambda: market.states() == {"closed"}, 120)


def keys(records: list[Message]) -> set[tuple[str, float, int, int]]:
    """Key and revision of each."""
    return {(one["symbol"], seconds(one["event_ts"]), one["seq"], one["revision"]) for one in records}


def in_prometheus(stack: RunningStack) -> set[str]:
    """The tables whose breakers have opened and closed, as Flink's Prometheus endpoint says."""
    text = requests.get(f"http://127.0.0.1:{stack.local.taskmanager_metrics_port}/metrics", timeout=5).text
    lines = [
        line for line in text.splitlines() if line.startswith("flink_taskmanager_job_task_operator_breaker_closed{")
    ]
    found = [line for line in lines if float(line.rpartition(" ")[2]) >= 1]
    return {table for table in ("ta_microbars", "ta_signals") if any(table in line for line in found)}
