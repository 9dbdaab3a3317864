"""Who holds a port: checked before anything is started, so that the error names the port and its holder."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

import psutil

from ta_pipeline.errors import PortTakenError

LOOPBACK = "127.0.0.1"


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
    """A port that nobody holds now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


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
