"""A network of the tests' own, where a port can be cut off without touching the machine's.

`make test-faults` starts the session in new user, network and mount namespaces, where that is allowed without root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

OWN = "FAULTS_IN_A_NAMESPACE"
"""The variable by which the make target says that it has made the namespaces."""
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
def cut(ports: Iterable[int]) -> Iterator[None]:
    """Drop every packet to and from these TCP ports of 127.0.0.1, those of open connections too."""
    with ExitStack() as rules:
        for number, port in enumerate(ports, 1):
            for side in ("dport", "sport"):
                rule = ("preference", str(number), "ipproto", "tcp", side, str(port), "blackhole")
                _ip("rule", "add", *rule)
                rules.callback(_ip, "rule", "delete", *rule)
        yield


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
