"""Who listens where: every socket of a set of processes that something could connect or send to."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import psutil

_STAYS_SECONDS = 0.1
_UDP_UNCONNECTED = "NONE"


class Listener(NamedTuple):
    """One socket; `process` is the name of who has it."""

    process: str
    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Nobody on another machine can reach it."""
        address = ipaddress.ip_address(self.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)


def listeners(processes: Iterable[psutil.Process]) -> set[Listener]:
    """The listening TCP sockets and the open UDP sockets of these processes and all that they have started."""
    found = set()
    for process in {*processes, *(child for one in processes for child in _children(one))}:
        with contextlib.suppress(psutil.Error):
            name = process.name()
            for connection in process.net_connections(kind="inet"):
                open_udp = connection.status == _UDP_UNCONNECTED and connection.laddr and not connection.raddr
                if connection.status == psutil.CONN_LISTEN or open_udp:
                    found.add(Listener(name, connection.laddr.ip, connection.laddr.port))
    return found


@dataclass
class Seen:
    """What was seen while a block ran."""

    listeners: set[Listener] = field(default_factory=set)


@contextmanager
def watched(processes: Callable[[], Iterable[psutil.Process]], every_seconds: float = 0.3) -> Iterator[Seen]:
    """Collect the listeners of `processes()` again and again while the block runs: of short-lived ones too.

    What is gone a tenth of a second later is left out: Flink finds a free port for its gateway by listening on every
    interface and closing at once, without ever accepting (`NetUtils.getAvailablePort`).
    """
    seen, stop = Seen(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            if new := listeners(list(processes())) - seen.listeners:
                time.sleep(_STAYS_SECONDS)
                seen.listeners |= new & listeners(list(processes()))
            stop.wait(every_seconds)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
