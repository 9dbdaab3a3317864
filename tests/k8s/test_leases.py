"""Locks between pods against a real API server: one is inside, who dies is followed, who is cut off knows it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ta_pipeline.errors import ForbiddenError, LockError
from ta_pipeline.kubernetes.client import KubernetesApi
from ta_pipeline.kubernetes.leases import GUARDS, LEASE, Leases, Times
from tests.k8s.conftest import Namespace

PLACE = "s3a://bucket/revisions"
QUICK = Times(duration=3, deadline=2.0, renew=0.4, poll=0.1)
HOLDER = """\
import sys, time
from ta_pipeline.kubernetes.client import KubernetesApi
from ta_pipeline.kubernetes.leases import Leases, Times
from ta_pipeline.settings import load_settings
settings = load_settings(k8s_kubeconfig=sys.argv[1], k8s_namespace=sys.argv[2])
with Leases(KubernetesApi.of(settings), sys.argv[3], Times(duration=3, deadline=2.0, renew=0.4)).alone("x", wait=True):
    print("inside", flush=True)
    time.sleep(120)
"""


def leases(namespace: Namespace, times: Times = QUICK, **arguments: Any) -> Leases:
    """As another pod would make them: with a client of its own."""
    return Leases(namespace.as_account("platform"), PLACE, times, **arguments)


def spec_of(namespace: Namespace) -> dict[str, Any]:
    """The Lease as it lies there."""
    found = namespace.api.get(LEASE, leases(namespace).name_of("x"))
    assert found is not None
    assert found["metadata"]["annotations"] == {GUARDS: PLACE}
    spec: dict[str, Any] = found["spec"]
    return spec


def test_a_lock_has_its_holders_name_is_renewed_and_is_free_at_once_when_it_is_let_go(namespace: Namespace) -> None:
    with leases(namespace).alone("x", wait=False) as held:
        first = spec_of(namespace)
        assert (first["leaseDurationSeconds"], first["leaseTransitions"]) == (3, 0)
        time.sleep(2 * QUICK.duration)
        held.require()
        later = spec_of(namespace)
        assert later["holderIdentity"] == first["holderIdentity"]
        assert later["acquireTime"] == first["acquireTime"]
        assert later["renewTime"] > first["renewTime"]
    assert "holderIdentity" not in spec_of(namespace)
    began = time.monotonic()
    with leases(namespace).alone("x", wait=False):
        assert time.monotonic() - began < QUICK.duration
        assert spec_of(namespace)["leaseTransitions"] == 1


def test_who_does_not_wait_is_refused_as_soon_as_the_holder_is_seen_to_live(namespace: Namespace) -> None:
    with leases(namespace).alone("x", wait=False):
        began = time.monotonic()
        holder = spec_of(namespace)["holderIdentity"]
        with pytest.raises(LockError, match=f"{holder} is at work"), leases(namespace).alone("x", wait=False):
            pass
        assert time.monotonic() - began < QUICK.duration


def test_who_waits_comes_in_when_the_holder_goes_out(namespace: Namespace) -> None:
    out = threading.Event()

    def wait_for_it() -> bool:
        with leases(namespace).alone("x", wait=True):
            return out.is_set()

    with ThreadPoolExecutor(1) as pool:
        with leases(namespace).alone("x", wait=False):
            waiting = pool.submit(wait_for_it)
            time.sleep(2 * QUICK.duration)
            assert not waiting.done()
            out.set()
        assert waiting.result(QUICK.duration)


def test_of_many_that_come_at_once_one_is_inside_at_a_time(namespace: Namespace) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work(own: Leases) -> None:
        nonlocal inside, most
        with own.alone("x", wait=True) as held:
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.2)
            held.require()
            with guard:
                inside -= 1

    each = [leases(namespace) for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, each))
    assert (inside, most) == (0, 1)
    assert spec_of(namespace)["leaseTransitions"] == 4


def test_a_process_that_is_killed_is_followed_when_its_time_is_over_and_not_before(namespace: Namespace) -> None:
    file = str(namespace.kubeconfig("platform"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, file, namespace.name, PLACE], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.kill()
    began, holder = time.monotonic(), spec_of(namespace)["holderIdentity"]
    with leases(namespace).alone("x", wait=False):
        assert QUICK.duration - 1 < time.monotonic() - began < QUICK.duration + 3
        assert spec_of(namespace)["holderIdentity"] != holder


def test_who_stood_still_for_too_long_knows_that_it_is_outside(namespace: Namespace) -> None:
    told: list[str] = []
    still = Times(duration=1, deadline=0.8, renew=60.0, poll=0.1)
    own = leases(namespace, still, on_lost=told.append)
    with own.alone("x", wait=False) as held:
        held.require()
        with leases(namespace).alone("x", wait=False), pytest.raises(LockError, match=r"not be renewed for 0\.8 s"):
            held.require()
    # What is somebody else's by now is not given away.
    assert spec_of(namespace)["leaseTransitions"] == 1


def test_who_renews_what_is_somebody_elses_is_told(namespace: Namespace) -> None:
    told = threading.Event()
    with leases(namespace, on_lost=lambda _why: told.set()).alone("x", wait=False) as held:
        found = namespace.api.get(LEASE, leases(namespace).name_of("x"))
        assert found is not None
        other = {**found, "spec": {**found["spec"], "holderIdentity": "another"}}
        while namespace.api.replace(LEASE, other) is None:
            fresh = namespace.api.get(LEASE, found["metadata"]["name"])
            assert fresh is not None
            other["metadata"] = fresh["metadata"]
        assert told.wait(5)
        with pytest.raises(LockError, match="is another's"):
            held.require()
    assert spec_of(namespace)["holderIdentity"] == "another"


def test_an_api_server_that_is_away_for_a_moment_takes_nothing_from_its_holder_and_for_long_it_does(
    namespace: Namespace,
) -> None:
    told = threading.Event()
    longer = Times(duration=40, deadline=30.0, renew=0.4, poll=0.1)
    with contextlib.ExitStack() as stack:
        lasting = stack.enter_context(leases(namespace, longer).alone("lasting", wait=False))
        short = stack.enter_context(leases(namespace, on_lost=lambda _why: told.set()).alone("x", wait=False))
        namespace.cluster.stop_api_server()
        try:
            assert told.wait(15)
            with pytest.raises(LockError, match="could not be renewed"):
                short.require()
        finally:
            namespace.cluster.start_api_server()
        time.sleep(2)
        lasting.require()


def test_locks_of_another_place_are_others(namespace: Namespace) -> None:
    api: KubernetesApi = namespace.as_account("platform")
    with leases(namespace).alone("x", wait=False), Leases(api, f"{PLACE}/own", QUICK).alone("x", wait=False):
        assert len(namespace.admin.call("GET", namespace.path("leases", LEASE.api_version))["items"]) == 2


def test_who_may_not_is_told_so(namespace: Namespace) -> None:
    nobody = namespace.account("nobody", [])
    with pytest.raises(ForbiddenError, match="is not known"), Leases(nobody, PLACE, QUICK).alone("x", wait=True):
        pass
