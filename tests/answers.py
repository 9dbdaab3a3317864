"""A server that gives answers it was told to give: the client under test is the real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


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


@contextmanager
def answering_by_path(status: int, body: str, others: Mapping[str, tuple[int, str]] | None = None) -> Iterator[str]:
    """The URL of a server that gives the same answer to everything.

    Args:
        status: of the answer.
        body: of the answer.
        others: another status and body, by the end of the path that has it.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            told = next((told for end, told in (others or {}).items() if path.endswith(end)), (status, body))
            self.send_response(told[0])
            self.end_headers()
            self.wfile.write(told[1].encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
