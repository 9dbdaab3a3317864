"""Ways to break a running stack, and to mend it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.supervisor import Supervisor
from ta_pipeline.settings import Settings
from tests.faults.namespaces import cut, is_own_namespace
from tests.outages import data_of_clickhouse, full, standing_still
from tests.stack import RunningStack, wait_for

HELD_SECONDS = 20.0
CUT_SECONDS = 30.0
COMPONENTS = ("taskmanager", "jobmanager", "kafka", "s3", "clickhouse", "registry", "zookeeper")
KILL = "kill -9"


@dataclass(frozen=True)
class Ground:
    """What is broken: a stack with the job and the table job running."""

    stack: RunningStack
    settings: Settings
    job: LocalRuntime

    @property
    def supervisor(self) -> Supervisor:
        """Of the stack."""
        return self.stack.stack.supervisor


Act = Callable[[Ground], float]
"""Breaks it and mends it; returns since when it may recover, epoch seconds."""


@dataclass(frozen=True)
class Fault:
    """One way to break one component."""

    kind: str
    component: str
    act: Act
    needs_namespace: bool = False
    """Needs a network and a mount namespace of the test's own."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.component}: {self.kind}"


def faults() -> list[Fault]:
    """One of each kind and component."""
    found = [Fault(KILL, name, _killed(name)) for name in COMPONENTS]
    found += [Fault(f"SIGSTOP for {HELD_SECONDS:g} s", name, _standing_still(name)) for name in COMPONENTS]
    found += [
        Fault("writes refused", "s3", _read_only),
        Fault("transactions refused", "kafka", _transactions_refused),
        Fault("restart from a savepoint", "job", _restarted),
        Fault("disk full", "clickhouse", _disk_full, needs_namespace=True),
    ]
    found += [
        Fault(f"network cut for {CUT_SECONDS:g} s", name, _cut_off(name), needs_namespace=True)
        for name in ("kafka", "s3", "taskmanager", "jobmanager", "clickhouse", "zookeeper")
    ]
    return found


def possible() -> list[Fault]:
    """Those that this machine allows."""
    own = is_own_namespace()
    return [fault for fault in faults() if own or not fault.needs_namespace]


def _killed(component: str) -> Act:
    def act(ground: Ground) -> float:
        before = ground.stack.process(component).pid
        at = ground.stack.kill(component)
        wait_for(f"{component} has a new process", lambda: _pid(ground, component) not in {None, before}, 60)
        return at

    return act


def _pid(ground: Ground, component: str) -> int | None:
    process = ground.supervisor.processes().get(component)
    return None if process is None else process.pid


def _standing_still(component: str) -> Act:
    def act(ground: Ground) -> float:
        with standing_still(ground.stack, component):
            time.sleep(HELD_SECONDS)
        return time.time()

    return act


def _read_only(ground: Ground) -> float:
    """S3 that answers and takes nothing."""
    properties = ground.stack.local.dir / "s3" / "s3proxy.conf"
    before = properties.read_text(encoding="utf-8")
    properties.write_text(before + "s3proxy.read-only-blobstore=true\n", encoding="utf-8")
    try:
        ground.supervisor.restart_process("s3")
        time.sleep(HELD_SECONDS)
    finally:
        properties.write_text(before, encoding="utf-8")
        ground.supervisor.restart_process("s3")
    return time.time()


def _transactions_refused(ground: Ground) -> float:
    """The broker takes no transaction of the job: none begins, none is committed."""
    admin = AdminClient(client_config(ground.settings, log_level=0))
    place = (
        ResourceType.TRANSACTIONAL_ID, ground.settings.transactional_id_prefix, ResourcePatternType.PREFIXED,
        "User:*", "*", AclOperation.WRITE, AclPermissionType.DENY,
    )  # fmt: skip
    (made,) = admin.create_acls([AclBinding(*place)]).values()
    made.result(timeout=10)
    try:
        time.sleep(HELD_SECONDS)
    finally:
        (gone,) = admin.delete_acls([AclBindingFilter(*place)]).values()
        assert len(gone.result(timeout=10)) == 1
    return time.time()


def _restarted(ground: Ground) -> float:
    prepared = ground.job.prepare()
    savepoint = ground.job.stop()
    ground.job.deploy(restore_from=savepoint, prepared=prepared)
    return time.time()


def _disk_full(ground: Ground) -> float:
    """What the file system of ClickHouse still has is taken by something else."""
    with full(data_of_clickhouse(ground.stack)):
        time.sleep(HELD_SECONDS)
    return time.time()


def _cut_off(component: str) -> Act:
    def act(ground: Ground) -> float:
        ports = [port for line in ground.stack.stack.status() if line.name == component for port in line.ports]
        process = ground.stack.process(component)
        with cut(ports, [process, *process.children(recursive=True)]):
            time.sleep(CUT_SECONDS)
        return time.time()

    return act
