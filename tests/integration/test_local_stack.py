from __future__ import annotations

import socket
import stat
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import orjson
import psutil
import pytest
import requests
from clickhouse_connect.driver.client import Client

from ta_pipeline.clickhouse import client_of, plan_migrations
from ta_pipeline.clock import DEAF_SECONDS
from ta_pipeline.kafka_admin import declared_topics, live_topics, plan_topics
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.settings import COMPONENTS
from ta_pipeline.local.supervisor_config import MARK
from ta_pipeline.schema_registry import declared_subjects, plan_schemas
from tests.outages import standing_still
from tests.sockets import listeners
from tests.stack import CLICKHOUSE_PASSWORD, RunningStack, wait_for


def members(stack: RunningStack) -> list[psutil.Process]:
    mark = str(stack.local.dir)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def pids(stack: RunningStack) -> dict[str, int | None]:
    return {line.name: line.pid for line in stack.stack.status()}


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    client = client_of(stack.settings)
    yield client
    client.close()


def test_every_component_is_ready_after_up(stack: RunningStack) -> None:
    assert {line.name: (line.state, line.detail) for line in stack.stack.status()} == dict.fromkeys(
        COMPONENTS, ("ready", "")
    )


def test_a_second_up_touches_nothing(stack: RunningStack) -> None:
    before = pids(stack)
    said: list[tuple[str, str]] = []
    stack.stack.up(report=lambda name, state: said.append((name, state)))
    assert pids(stack) == before
    assert "starting" not in {state for _, state in said}
    assert {name for name, state in said if state == "ready"} >= set(COMPONENTS)


def test_a_second_start_needs_neither_maven_nor_a_network(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert ensure_jars(stack.local.jars_dir) is False


def test_up_leaves_nothing_to_create(stack: RunningStack) -> None:
    declared = declared_topics(stack.settings)
    topics = plan_topics(declared, live_topics(stack.settings, [topic.name for topic in declared]))
    assert not topics.create
    assert not topics.drift
    assert {plan.action for plan in plan_schemas(stack.settings)} == {"unchanged"}
    assert len(plan_schemas(stack.settings)) == len(declared_subjects(stack.settings))
    assert not plan_migrations(stack.settings).pending


def test_every_socket_that_listens_is_on_the_loopback_interface_and_is_a_setting(stack: RunningStack) -> None:
    found = listeners(members(stack))
    assert not {one for one in found if not one.is_loopback}
    # Dagster's web interface and Prometheus are no components. PyFlink has ports of its own once a job has run.
    settings = set(stack.local.ports().values()) - {stack.local.ui_port, stack.local.prometheus_port}
    of_pyflink = {one.port for one in listeners([stack.process("taskmanager")])} - settings
    assert {one.port for one in found} - of_pyflink == settings


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_others_could_reach_would_be_seen(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as planted:
        planted.bind(("0.0.0.0", 0))  # noqa: S104 - what must not be
        if kind == socket.SOCK_STREAM:
            planted.listen()
        (found,) = [one for one in listeners([psutil.Process()]) if one.port == planted.getsockname()[1]]
        assert not found.is_loopback


def test_the_clock_ticks_once_a_second_one_second_ahead(stack: RunningStack) -> None:
    begin_ms = time.time() * 1_000
    everything = stack.consume(
        stack.settings.clock_topic,
        lambda records: sum(record.timestamp_ms >= begin_ms for record in records) >= 4,
        timeout_seconds=20,
    )
    records = [record for record in everything if record.timestamp_ms >= begin_ms]
    written = [record.timestamp_ms for record in records]
    ticks = [datetime.fromisoformat(orjson.loads(record.value)["event_ts"]).timestamp() * 1_000 for record in records]
    assert [tick - at for tick, at in zip(ticks, written, strict=True)] == pytest.approx([1_000] * len(ticks), abs=100)
    # On a busy machine one tick may come late; the next is on time again.
    assert all(400 < later - earlier < 1_900 for earlier, later in pairwise(written))


@pytest.mark.faults
def test_a_clock_that_hears_nothing_for_long_is_replaced_and_ticks_again(stack: RunningStack) -> None:
    before = pids(stack)["clock"]
    with standing_still(stack, "kafka"):
        wait_for("another clock", lambda: pids(stack)["clock"] not in {before, None}, DEAF_SECONDS + 20)
    stack.await_ready()


def test_secrets_are_neither_in_command_lines_nor_in_logs_nor_readable_by_others(stack: RunningStack) -> None:
    keys = (stack.settings.s3_secret_key, stack.settings.s3_access_key)
    secrets = [CLICKHOUSE_PASSWORD, *(key.get_secret_value() for key in keys)]
    for process in members(stack):
        command = " ".join(process.cmdline())
        assert not any(secret in command for secret in secrets), command
    for log in stack.stack.supervisor.layout.logs.iterdir():
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not any(secret in text for secret in secrets), log
    holding = [
        path
        for path in stack.local.dir.rglob("*")
        # The copies of the code have the local stack's own key as a default, as the checkout has.
        if "releases" not in path.parts
        and path.is_file()
        and path.stat().st_size < 1_000_000
        and any(s.encode() in path.read_bytes() for s in secrets)
    ]
    assert holding
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in holding} == dict.fromkeys(holding, 0o600)


def test_clickhouse_that_is_killed_comes_back_with_every_acknowledged_row(stack: RunningStack, client: Client) -> None:
    client.command("CREATE DATABASE IF NOT EXISTS kill_test")
    client.command("CREATE TABLE kill_test.rows (n UInt64) ENGINE = MergeTree ORDER BY n")
    for start in range(0, 50_000, 10_000):
        client.insert("kill_test.rows", [[n] for n in range(start, start + 10_000)], column_names=["n"])
    pid = pids(stack)["clickhouse"]
    assert pid is not None
    psutil.Process(pid).kill()

    def is_back() -> bool:
        line = next(line for line in stack.stack.status() if line.name == "clickhouse")
        return line.state == "ready" and line.pid not in {None, pid}

    wait_for("ClickHouse restarted by the supervisor", is_back)
    again = client_of(stack.settings)
    assert again.query("SELECT count(), uniqExact(n), max(n) FROM kill_test.rows").result_rows == [
        (50_000, 50_000, 49_999)
    ]
    again.command("DROP DATABASE kill_test")
    again.close()


def test_the_probe_reads_what_the_job_writes_and_costs_next_to_nothing(stack: RunningStack) -> None:
    probe = stack.process("probe")
    begin, before = time.monotonic(), sum(probe.cpu_times()[:2])
    time.sleep(10)
    share = (sum(probe.cpu_times()[:2]) - before) / (time.monotonic() - begin)
    print(f"the idle probe took {share:.2%} of a core and {probe.memory_info().rss / 2**20:.0f} MiB")  # noqa: T201
    assert share < 0.02
    metrics = requests.get(f"{stack.settings.probe_url}/metrics", timeout=2).text
    assert "\nta_probe_reading 1\n" in metrics
