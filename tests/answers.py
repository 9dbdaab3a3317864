"""A server that gives answers it was told to give: the client under test is the real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def answering_always(answer: bytes) -> Iterator[str]:
    """`host:port` of a server that answers whatever comes with `answer`, head and body."""
    with answering(lambda: answer) as where:
        yield where


@contextmanager
def answering(answer: Callable[[], bytes]) -> Iterator[str]:
    """`host:port` of a server that answers whatever comes with the next `answer`, head and body."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
