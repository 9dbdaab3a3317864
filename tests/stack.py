"""One local stack for the whole test session, on ports and in a directory of its own, and how tests talk to it.

Ports are those of the settings plus 2,000 (`TA_TEST_PORT_OFFSET`), the directory is `<TA_LOCAL_DIR>/test`, so that a
stack of `ta up` beside it is left alone. It starts with no data, and whatever a killed session left is ended first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.settings import LocalSettings, load_local_settings, variables
from ta_pipeline.local.stack import Stack
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.schema_registry import ensure_schemas
from ta_pipeline.settings import PREFIX, Settings, load_settings

PORT_OFFSET = "TA_TEST_PORT_OFFSET"
DEFAULT_OFFSET = "2000"  # above the ports of one stack, which span 1,171
CLICKHOUSE_PASSWORD = "the password of the test session"  # noqa: S105 - of a stack that lives for minutes
LOCK_SECONDS = 240.0
POLL_SECONDS = 0.05


class Record(NamedTuple):
    """One record of a topic."""

    key: str | None
    value: bytes
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up, and the settings that point at it."""

    stack: Stack
    settings: Settings

    @property
    def local(self) -> LocalSettings:
        """Ports and directories."""
        return self.stack.local

    def own_settings(self, *, topics: bool = True, schemas: bool = False, **overrides: Any) -> Settings:
        """Settings under which a test is alone: its own topics (which exist), groups, jobs and checkpoints.

        The clock's topic stays the stack's, because that one ticks.

        Args:
            topics: make the topics.
            schemas: register the schemas of the topics too.
            overrides: further settings, by field name.
        """
        token = uuid.uuid4().hex[:8]
        twins = {
            name: f"{value}.{token}"
            for name, value in self.settings.model_dump().items()
            if name.endswith("_topic") and name != "clock_topic" and value
        }
        own = {
            **self.settings.model_dump(),
            **twins,
            "group_id": f"{self.settings.group_id}-{token}",
            "transactional_id_prefix": f"{self.settings.transactional_id_prefix}-{token}",
            "k8s_deployment": f"{self.settings.k8s_deployment}-{token}",
            "checkpoint_dir": f"{self.settings.checkpoint_dir}/{token}",
            "savepoint_dir": f"{self.settings.savepoint_dir}/{token}",
            "revision_dir": f"{self.settings.revision_dir}/{token}",
            "replay_dir": f"{self.settings.replay_dir}/{token}",
        }
        settings = load_settings(**{**own, **overrides})
        if topics:
            ensure_topics(settings)
        if schemas:
            ensure_schemas(settings)
        return settings

    def process(self, component: str) -> psutil.Process:
        """The process of a component as it is now."""
        (line,) = [line for line in self.stack.status() if line.name == component]
        assert line.pid is not None, f"{component} is {line.state}"
        return psutil.Process(line.pid)

    def kill(self, component: str) -> float:
        """End a component as `kill -9` does, whatever it is at; returns when, in epoch seconds."""
        process = self.process(component)
        at = time.time()
        process.kill()
        return at

    def await_ready(self, timeout_seconds: float = 90.0, only: str = "") -> None:
        """Wait until every component is ready, those included that the supervisor had to start again.

        Args:
            timeout_seconds: longest wait.
            only: one component; the others are not waited for.
        """

        def left() -> dict[str, str]:
            lines = [line for line in self.stack.status() if not only or line.name == only]
            return {line.name: line.detail or line.state for line in lines if line.state != "ready"}

        wait_for(f"{only or 'every component'} is ready again", lambda: not left(), timeout_seconds)

    def produce(self, topic: str, records: Iterable[tuple[str, bytes]], partition: int = 0) -> None:
        """Write key and value pairs, all acknowledged when this returns."""
        producer = Producer(client_config(self.settings, acks="all", **{"linger.ms": 5, "log_level": 0}))
        refused: list[str] = []

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                refused.append(str(error))

        for key, value in records:
            producer.produce(topic, value, key=key, partition=partition, on_delivery=delivered)
            producer.poll(0)
        assert producer.flush(30) == 0, f"{topic}: the broker did not acknowledge everything in 30 s"
        assert not refused, f"{topic}: {refused[0]}"

    def written(self, topic: str) -> list[Record]:
        """All that is on a topic by now, from its beginning; one that nobody writes to in transactions."""
        with closing(Offsets(self.settings)) as offsets:
            (end,) = offsets.ends([topic]).values()
        return self.consume(topic, lambda records: len(records) >= end, committed=False)

    def consume(
        self,
        topic: str,
        until: Callable[[Sequence[Record]], bool],
        *,
        timeout_seconds: float = 60.0,
        committed: bool = True,
    ) -> list[Record]:
        """Read `topic` from its beginning until `until` holds for what was read; fails with the count otherwise.

        Args:
            topic: it has to exist.
            until: asked after each batch, with all records so far.
            timeout_seconds: for all of it.
            committed: see only records of committed transactions.
        """
        config = {
            # The prefix: an access rule for the job's group then covers it.
            "group.id": f"{self.settings.group_id}-test-{uuid.uuid4().hex}",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
        consumer = Consumer(client_config(self.settings, **config))
        records: list[Record] = []
        deadline = time.monotonic() + timeout_seconds
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            while not until(records):
                assert time.monotonic() < deadline, f"{topic}: only {len(records)} records in {timeout_seconds} s"
                for message in consumer.consume(1_000, timeout=POLL_SECONDS):
                    assert message.error() is None, message.error()
                    key = message.key()
                    records.append(
                        Record(
                            key.decode() if key is not None else None,
                            message.value() or b"",
                            message.partition(),
                            message.offset(),
                            message.timestamp()[1],
                        )
                    )
        finally:
            consumer.close()
        return records


@contextmanager
def running_stack(only: str = "") -> Iterator[RunningStack]:
    """The stack of this test session, up and empty; always taken down.

    Args:
        only: components, comma-separated; default: all.
    """
    local = load_local_settings()
    local = local.shifted(int(os.environ.get(PORT_OFFSET, DEFAULT_OFFSET)), local.dir / "test").model_copy(
        update={"kafka_heap_mb": 384}
    )
    stack = Stack(local, load_settings(clickhouse_password=CLICKHOUSE_PASSWORD))
    with _alone(local.dir), _interruptible():
        stack.down()
        shutil.rmtree(local.dir, ignore_errors=True)
        try:
            stack.up(only)
            yield RunningStack(stack, settings_of(stack))
        finally:
            stack.down()


def settings_of(stack: Stack) -> Settings:
    """The settings that point at `stack`."""
    return load_settings(**{name.removeprefix(PREFIX).lower(): value for name, value in stack.environment().items()})


def variables_of(settings: Settings) -> dict[str, str]:
    """The same settings as `TA_*` variables, for a process."""
    return variables(settings)


def wait_for(what: str, holds: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Return as soon as `holds`; fail, naming `what`, when it does not in time."""
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait for another test session on the same ports."""
    lock = directory.with_name(directory.name + ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < deadline, f"another test session holds {lock}; {PORT_OFFSET} sets other ports"
                time.sleep(0.5)
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take the stack down on SIGTERM too, as CI sends it when a run is cancelled."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
