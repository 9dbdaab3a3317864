"""The cluster's names outside of its pods: for the operator and for the runtime, which run on the machine itself.

As a cluster's DNS answers: `SERVICE.NAMESPACE` and `SERVICE.NAMESPACE.svc` are the service's address of the moment.
Java reads a file of hosts (`-Djdk.net.hosts.file`) anew each time it asks; in Python this is asked before the system.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICK_SECONDS = 0.3


@dataclass
class Names:
    """Of all services.

    Attributes:
        api: asks the API server as an administrator.
        file: of hosts, for Java.
    """

    api: Callable[..., Any]
    file: Path
    _known: dict[str, str] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """They are known for as long as this lasts."""
        self._write()
        system = socket.getaddrinfo

        def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if isinstance(name, str) and name.endswith(".svc"):
                if name not in self._known:
                    raise socket.gaierror(socket.EAI_NONAME, f"{name}: there is no such service")
                return system(self._known[name], *arguments, **options)
            return system(host, *arguments, **options)

        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        socket.getaddrinfo = resolve  # type: ignore[assignment]
        try:
            yield
        finally:
            socket.getaddrinfo = system
            self._stop.set()
            thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            # What does not answer now does so the next time; what was known stays.
            with contextlib.suppress(Exception):
                self._write()

    def _write(self) -> None:
        known: dict[str, str] = {}
        for one in self.api("GET", "/api/v1/services")["items"]:
            name, namespace = one["metadata"]["name"], one["metadata"]["namespace"]
            address = one["spec"].get("clusterIP") or "None"
            if address != "None":
                known[f"{name}.{namespace}"] = known[f"{name}.{namespace}.svc"] = address
        if known != self._known or not self.file.exists():
            lines = [
                f"127.0.0.1 localhost {socket.gethostname()}",
                *(f"{address} {name}" for name, address in sorted(known.items())),
            ]
            draft = self.file.with_suffix(".new")
            draft.write_text("\n".join(lines) + "\n", encoding="ascii")
            draft.replace(self.file)
            self._known = known
