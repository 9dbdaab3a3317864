"""Locks between pods: a Lease of coordination.k8s.io/v1 each, as leader election in Kubernetes uses them.

Whoever is inside has its name in the Lease and renews it. What was not renewed for its duration is anybody's; how long
that is is measured by whoever waits, from when it saw the Lease change last, so no two clocks have to agree. Each write
names the version that was read, so of two who write one is refused. Who could not renew for the shorter deadline must
take itself for outside: before anybody else may be inside.

Definition: the package `leaderelection` of Kubernetes' client-go. The Python client has one too, but it lets nobody go,
and takes every error for a lock that is not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.errors import KubernetesError, LockError
from ta_pipeline.kubernetes.client import Kind, KubernetesApi
from ta_pipeline.locks import Held

LEASE = Kind("Lease", "leases", "coordination.k8s.io/v1")
GUARDS = "ta-pipeline/guards"
"""Annotation: what only one may write."""
REQUEST_SECONDS = 4.0
"""Of one request: who is not answered by then asks again before its deadline."""
_DIGITS = 10


@dataclass(frozen=True)
class Times:
    """Of a Lease, in seconds.

    Attributes:
        duration: one that was not renewed for so long is anybody's.
        deadline: who has not renewed it for so long is outside.
        renew: how often it is renewed.
        poll: how often who waits looks at it.
    """

    duration: int = 30
    deadline: float = 20.0
    renew: float = 5.0
    poll: float = 1.0


class Leases:
    """The locks of whatever writes to one place.

    Args:
        api: of its namespace; used by one more thread, so nobody else's.
        guarded: the place, a URI: the Leases are called by its digest, and have it as an annotation.
        times: see there.
        on_lost: told, in words and by that thread, when a lock was lost to somebody, or may have been.
    """

    def __init__(
        self,
        api: KubernetesApi,
        guarded: str,
        times: Times | None = None,
        on_lost: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._api = api
        self._guarded = guarded
        self._times = times or Times()
        self._on_lost = on_lost

    def name_of(self, name: str) -> str:
        """What the Lease of a lock is called."""
        return f"ta-{name}-{hashlib.sha256(self._guarded.encode()).hexdigest()[:_DIGITS]}"

    @contextlib.contextmanager
    def alone(self, name: str, *, wait: bool) -> Iterator[Held]:
        """See `ta_pipeline.locks.Locks`; of somebody who may be dead, the duration tells whether it is.

        Raises:
            KubernetesError: the API server refuses.
        """
        lease = _Lease(self._api, self.name_of(name), self._guarded, self._times, self._on_lost)
        lease.take(wait=wait)
        try:
            with lease.kept():
                yield lease
        finally:
            lease.let_go()


class _Lease:
    """One Lease, as one holder sees it."""

    def __init__(
        self, api: KubernetesApi, name: str, guarded: str, times: Times, on_lost: Callable[[str], None]
    ) -> None:
        self._api = api
        self._name = name
        self._guarded = guarded
        self._times = times
        self._on_lost = on_lost
        self._us = f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._found: Mapping[str, Any] = {}
        self._until = 0.0
        self._lost = ""

    def __str__(self) -> str:
        return f"Lease {self._api.namespace}/{self._name} ({self._guarded})"

    def take(self, *, wait: bool) -> None:
        """Return when it is ours."""
        seen, seen_at = "", 0.0
        while True:
            asked = time.monotonic()
            found = self._api.get(LEASE, self._name)
            if found is None:
                if self._create(asked):
                    return
                continue
            spec, version = found.get("spec") or {}, found["metadata"]["resourceVersion"]
            holder = spec.get("holderIdentity")
            if version != seen:
                if holder and seen and not wait:
                    raise LockError(f"{holder} is at work: it holds {self}")
                seen, seen_at = version, time.monotonic()
            lasts = spec.get("leaseDurationSeconds") or self._times.duration
            if not holder or time.monotonic() - seen_at > lasts:
                transitions = int(spec.get("leaseTransitions") or 0) + 1
                if self._write(found, {**self._ours(), "acquireTime": _now(), "leaseTransitions": transitions}, asked):
                    return
                continue
            time.sleep(self._times.poll)

    def require(self) -> None:
        """See `ta_pipeline.locks.Held`."""
        if not self._lost and time.monotonic() > self._until:
            self._lost = f"{self} could not be renewed for {self._times.deadline:g} s"
        if self._lost:
            raise LockError(f"{self._lost}: somebody else may be at work")

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """It is renewed meanwhile, by a thread."""
        stop = threading.Event()
        thread = threading.Thread(target=self._keep, args=(stop,), daemon=True, name=self._name)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def let_go(self) -> None:
        """Whoever waits need not wait until it has run out."""
        if self._lost:
            return
        with contextlib.suppress(KubernetesError):
            self._write(self._found, {"holderIdentity": None, "renewTime": None}, 0.0)

    def _keep(self, stop: threading.Event) -> None:
        while not stop.wait(self._times.renew):
            try:
                self.require()
                # Who did not answer, or did not know us, may do so in time.
                with contextlib.suppress(KubernetesError):
                    self._renew()
                self.require()
            except LockError as error:
                self._on_lost(str(error))
                return

    def _renew(self) -> None:
        asked = time.monotonic()
        if self._write(self._found, self._ours(), asked):
            return
        # Changed since: by us, had the answer been lost, or by somebody else.
        found = self._api.get(LEASE, self._name)
        holder = None if found is None else (found.get("spec") or {}).get("holderIdentity")
        if found is not None and holder == self._us:
            self._found, self._until = found, asked + self._times.deadline
        else:
            self._lost = f"{self} is {holder or 'nobody'}'s"

    def _ours(self) -> dict[str, Any]:
        return {"holderIdentity": self._us, "leaseDurationSeconds": self._times.duration, "renewTime": _now()}

    def _create(self, asked: float) -> bool:
        content = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": self._name, "annotations": {GUARDS: self._guarded}},
            "spec": {**self._ours(), "acquireTime": _now(), "leaseTransitions": 0},
        }
        created = self._api.create(LEASE, content)
        if created is None:
            return False
        self._found, self._until = created, asked + self._times.deadline
        return True

    def _write(self, found: Mapping[str, Any], spec: Mapping[str, Any], asked: float) -> bool:
        """Write it over what was found; False: that has changed since."""
        written = self._api.replace(LEASE, {**found, "spec": {**(found.get("spec") or {}), **spec}})
        if written is None:
            return False
        self._found, self._until = written, asked + self._times.deadline
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
