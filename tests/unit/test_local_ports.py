from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from ta_pipeline.errors import PortTakenError
from ta_pipeline.local.components import NotReadyError
from ta_pipeline.local.ports import first_free, free_port, holder, is_free, ports_to_give, require_free
from ta_pipeline.local.probes import answers, listens


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    return free_port()


def test_a_port_is_free_as_soon_as_nobody_listens(free: int, taken: int) -> None:
    assert is_free(free)
    assert not is_free(taken)


def test_a_port_whose_last_connection_lingers_is_free(free: int) -> None:
    with (
        socket.create_server(("127.0.0.1", free)) as server,
        socket.create_connection(("127.0.0.1", free)) as client,
    ):
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""
    assert is_free(free)


def test_the_holder_of_a_port_is_named_with_its_pid(taken: int) -> None:
    assert f"(pid {os.getpid()})" in holder(taken)


def test_every_taken_port_is_in_the_error_with_the_variable_that_moves_it(taken: int, free: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        second = other.getsockname()[1]
        with pytest.raises(PortTakenError) as raised:
            require_free({"kafka_port": taken, "s3_port": free, "registry_port": second})
    message = str(raised.value)
    assert f"port {taken} is held by" in message
    assert f"port {second} is held by" in message
    assert "TA_LOCAL_KAFKA_PORT" in message
    assert "TA_LOCAL_REGISTRY_PORT" in message
    assert "TA_LOCAL_S3_PORT" not in message


def test_free_ports_are_accepted(free: int) -> None:
    require_free({"kafka_port": free})


def test_a_port_that_is_given_away_is_none_that_an_outgoing_connection_may_take(tmp_path: Path) -> None:
    (tmp_path / "range").write_text("32768\t60999\n", encoding="ascii")
    given = list(islice(ports_to_give(tmp_path / "range"), 4_000))
    assert sorted(given) == list(range(28_768, 32_768))


@pytest.mark.parametrize("told", ["1024\t65535\n", "", "all of them\n"])
def test_the_system_chooses_where_it_has_nearly_all_ports_or_does_not_tell(told: str, tmp_path: Path) -> None:
    (tmp_path / "range").write_text(told, encoding="ascii")
    assert all(is_free(port) for port in islice(ports_to_give(tmp_path / "range"), 10))


def test_a_port_that_is_held_is_passed_over_and_none_comes_twice(taken: int) -> None:
    given = [free_port() for _ in range(10)]
    assert len(set(given)) == len(given)
    assert first_free(iter([taken, taken, given[0]])) == given[0]


def test_nobody_there_is_not_ready(free: int, taken: int) -> None:
    listens(taken)
    with pytest.raises(NotReadyError, match=rf"port {free}"):
        listens(free)
    with pytest.raises(NotReadyError, match=rf"http://127\.0\.0\.1:{free}/ping"):
        answers(f"http://127.0.0.1:{free}/ping")
