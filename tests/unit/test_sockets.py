"""What the watch over listening sockets counts."""

from __future__ import annotations

import socket
import time

import psutil

from tests.sockets import Listener, watched


def test_what_listens_for_a_while_is_seen_and_a_free_port_looked_for_is_not() -> None:
    looked_for = set()
    with watched(lambda: [psutil.Process()], every_seconds=0.01) as seen:
        with socket.create_server(("127.0.0.1", 0)) as stays:
            port = stays.getsockname()[1]
            time.sleep(0.5)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            with socket.create_server(("127.0.0.1", 0)) as one:
                looked_for.add(one.getsockname()[1])
                time.sleep(0.02)
    assert Listener(psutil.Process().name(), "127.0.0.1", port) in seen.listeners
    assert not {one.port for one in seen.listeners} & (looked_for - {port})
