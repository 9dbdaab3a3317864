"""Who holds a port: checked before anything is started, so that the error names the port and its holder."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import psutil

from ta_pipeline.errors import PortTakenError

LOOPBACK = "127.0.0.1"

# Which ports the system gives to outgoing connections, and to who binds port 0: ip(7), ip_local_port_range.
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_COUNT = 4_000  # of free_port, just below those
_LOWEST = 20_000  # further down are the stack's own (settings.py)


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback interface at `port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of the last run linger in TIME_WAIT; servers reuse their address, so the probe does too.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def free_port() -> int:
    """A port that nobody holds now, and not one that was given before, unless all were.

    It is none of those that the system gives away by itself, where there are others: who gets it may need seconds until
    it listens, and in between any outgoing connection could have taken it.
    """
    return first_free(_candidates)


def first_free(candidates: Iterator[int]) -> int:
    """The next of `candidates` that nobody holds.

    Raises:
        PortTakenError: there is none among as many as there are to give.
    """
    for port in islice(candidates, _COUNT):
        if is_free(port):
            return port
    raise PortTakenError(f"all of {_COUNT} ports below the system's own are taken; end what holds them")


def ports_to_give(ephemeral: Path = _EPHEMERAL) -> Iterator[int]:
    """Round and round, from a place where hardly another process begins; the system's choice where it has nearly all.

    Args:
        ephemeral: the file with the first and the last port that the system gives away.
    """
    try:
        first = int(ephemeral.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = 0  # not Linux
    if first - _COUNT < _LOWEST:
        yield from iter(_chosen_by_the_system, None)
    at = random.randrange(_COUNT)  # noqa: S311
    while True:
        yield first - _COUNT + at
        at = (at + 1) % _COUNT


def _chosen_by_the_system() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


_candidates = ports_to_give()


def holder(port: int) -> str:
    """The process that listens on `port`, as `name (pid 123): command line`; as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "a process this user may not see"
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or connection.pid is None:
            continue
        if not connection.laddr or connection.laddr.port != port:
            continue
        try:
            process = psutil.Process(connection.pid)
            command = " ".join(process.cmdline())
            return f"{process.name()} (pid {process.pid}): {command[:120]}"
        except psutil.Error:
            return f"pid {connection.pid}"
    return "a process this user may not see"


def require_free(ports: Mapping[str, int]) -> None:
    """Check that all ports are free; `ports` maps what a port is for, as a setting's name, to its number.

    Raises:
        PortTakenError: names every taken port, its holder, and the variable that moves it.
    """
    taken = [
        f"port {port} is held by {holder(port)}; set TA_LOCAL_{name.upper()} to use another, or stop that process"
        for name, port in ports.items()
        if not is_free(port)
    ]
    if taken:
        raise PortTakenError("\n".join(taken))
