"""A network of the tests' own, where a port can be cut off without touching the machine's.

`make test-faults` starts the session in new user, network and mount namespaces, where that is allowed without root.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import psutil

OWN = "FAULTS_IN_A_NAMESPACE"
"""The variable by which the make target says that it has made the namespaces."""
_LOOK_SECONDS = 0.2
_LOCAL = 0
"""Preference of the rule by which packets to this host find it; it has to come after ours."""


def is_own_namespace() -> bool:
    """Whether the network and the mounts are the session's alone."""
    return os.environ.get(OWN) == "1"


def bring_up_loopback() -> None:
    """A new network namespace has a loopback interface that is down."""
    _ip("link", "set", "lo", "up")
    _ip("rule", "add", "preference", "100", "lookup", "local")
    _ip("rule", "delete", "preference", str(_LOCAL))


@contextmanager
def cut(ports: Iterable[int], processes: Iterable[psutil.Process]) -> Iterator[None]:
    """Drop every packet to and from a component: at the ports it serves, and of every connection it makes itself.

    Args:
        ports: TCP ports of 127.0.0.1.
        processes: of the component; what they connect to while they are cut is looked for all the time.
    """
    ended = threading.Event()
    with ExitStack() as rules:
        closed: set[int] = set()

        def close(found: Iterable[int]) -> None:
            for port in set(found) - closed:
                closed.add(port)
                for side in ("dport", "sport"):
                    rule = ("preference", "1", "ipproto", "tcp", side, str(port), "blackhole")
                    _ip("rule", "add", *rule)
                    rules.callback(_ip, "rule", "delete", *rule)

        def follow() -> None:
            while not ended.wait(_LOOK_SECONDS):
                close(_own_ports(processes))

        close([*ports, *_own_ports(processes)])
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(follow)
            try:
                yield
            finally:
                ended.set()
            following.result()


def _own_ports(processes: Iterable[psutil.Process]) -> set[int]:
    """The local ends of the connections that these processes have."""
    found: set[int] = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {one.laddr.port for one in process.net_connections("tcp") if one.laddr}
    return found


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
