from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from ta_pipeline.errors import PortTakenError
from ta_pipeline.local.components import NotReadyError
from ta_pipeline.local.ports import holder, is_free, require_free
from ta_pipeline.local.probes import answers, listens


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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


def test_nobody_there_is_not_ready(free: int, taken: int) -> None:
    listens(taken)
    with pytest.raises(NotReadyError, match=rf"port {free}"):
        listens(free)
    with pytest.raises(NotReadyError, match=rf"http://127\.0\.0\.1:{free}/ping"):
        answers(f"http://127.0.0.1:{free}/ping")
