"""Up and down, on a stack of one component and with its own ports, so that the session's stack stays up."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from ta_pipeline.clickhouse import client_of
from ta_pipeline.errors import ClickHouseError, PortTakenError, StackError
from ta_pipeline.local.ports import is_free
from ta_pipeline.local.settings import LocalSettings, load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.local.supervisor_config import MARK
from ta_pipeline.settings import load_settings
from tests.stack import settings_of, wait_for

FIRST, SECOND = SecretStr("first"), SecretStr("second")


@pytest.fixture
def local() -> Iterator[LocalSettings]:
    # Not tmp_path: a unix socket's path may not be long.
    directory = Path(tempfile.mkdtemp(prefix="ta-"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    yield load_local_settings(dir=directory, components=("clickhouse",), clickhouse_port=port)
    shutil.rmtree(directory)


@pytest.fixture
def stack(local: LocalSettings) -> Iterator[Stack]:
    stack = Stack(local, load_settings(clickhouse_password=FIRST))
    yield stack
    stack.down()


def processes(local: LocalSettings) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(local.dir) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def pid(stack: Stack) -> int:
    found = next(line.pid for line in stack.status() if line.name == "clickhouse")
    assert found is not None
    return found


def supervisor_of(stack: Stack) -> psutil.Process:
    return psutil.Process(int(stack.supervisor.layout.pid_file.read_text()))


def kill_supervisor(stack: Stack) -> None:
    supervisor = supervisor_of(stack)
    supervisor.kill()
    wait_for("the supervisor has ended", lambda: supervisor not in processes(stack.local))


def query(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with closing(client_of(settings_of(stack))) as client:
        return [tuple(row) for row in client.query(statement).result_rows]


def test_down_leaves_no_process_socket_or_port_and_the_next_up_finds_the_data(
    stack: Stack, local: LocalSettings
) -> None:
    stack.up()
    with closing(client_of(settings_of(stack))) as client:
        client.command("CREATE TABLE torghut.kept (n UInt64) ENGINE = MergeTree ORDER BY n")
        client.insert("torghut.kept", [[1], [2]], column_names=["n"])
    assert stack.down() == []
    assert processes(local) == []
    assert is_free(local.clickhouse_port)
    assert not (local.dir / "run").exists()
    assert {line.state for line in stack.status()} == {"stopped"}
    stack.up()
    assert query(stack, "SELECT n FROM torghut.kept ORDER BY n") == [(1,), (2,)]


def test_a_component_whose_configuration_changed_is_restarted(stack: Stack, local: LocalSettings) -> None:
    stack.up()
    before = pid(stack)
    changed = Stack(local, load_settings(clickhouse_password=SECOND))
    changed.up()
    assert pid(changed) != before
    assert query(changed, "SELECT 1") == [(1,)]
    with pytest.raises(ClickHouseError, match="Authentication failed"):
        query(stack, "SELECT 1")


def test_down_ends_what_a_killed_supervisor_left_behind(stack: Stack, local: LocalSettings) -> None:
    stack.up()
    kill_supervisor(stack)
    assert len(processes(local)) == 1
    assert len(stack.down()) == 1
    assert processes(local) == []
    assert is_free(local.clickhouse_port)


def test_down_ends_a_supervisor_that_no_longer_listens(stack: Stack, local: LocalSettings) -> None:
    stack.up()
    stack.supervisor.layout.socket.unlink()
    assert len(stack.down()) >= 2
    assert processes(local) == []
    assert is_free(local.clickhouse_port)


def test_up_replaces_what_a_killed_supervisor_left_behind(stack: Stack, local: LocalSettings) -> None:
    stack.up()
    orphan = pid(stack)
    kill_supervisor(stack)
    stack.up()
    assert pid(stack) != orphan
    assert {process.pid for process in processes(local)} == {
        pid(stack),
        int(stack.supervisor.layout.pid_file.read_text()),
    }


def test_a_taken_port_is_an_error_that_names_port_holder_and_setting(stack: Stack, local: LocalSettings) -> None:
    with socket.create_server(("127.0.0.1", local.clickhouse_port)), pytest.raises(PortTakenError) as raised:
        stack.up()
    message = str(raised.value)
    assert f"port {local.clickhouse_port} is held by" in message
    assert f"(pid {os.getpid()})" in message
    assert "TA_LOCAL_CLICKHOUSE_PORT" in message
    assert processes(local) == []


def test_a_component_that_keeps_dying_is_an_error_that_ends_with_its_log(stack: Stack, local: LocalSettings) -> None:
    (local.dir / "clickhouse").mkdir()
    (local.dir / "clickhouse" / "data").write_text("not a directory")
    with pytest.raises(StackError, match=r"clickhouse does not start(.|\n)*FileExistsError"):
        stack.up()


def test_down_of_a_stack_that_never_was_up_is_harmless(stack: Stack) -> None:
    assert stack.down() == []


def test_a_component_that_is_none_is_refused_before_anything_starts(stack: Stack, local: LocalSettings) -> None:
    with pytest.raises(StackError, match=r"no such component: kafak; there are kafka, "):
        stack.up("kafak")
    assert processes(local) == []
