"""The local stack as a whole: up, down, status, and the settings that point at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from ta_pipeline.clickhouse import apply_migrations
from ta_pipeline.errors import StackError
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.local.clickhouse import clickhouse
from ta_pipeline.local.clock import clock
from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.flink import flink_environment, jobmanager, taskmanager
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home, registry_java
from ta_pipeline.local.kafka import kafka
from ta_pipeline.local.kafka_access import KafkaAccess, access_of
from ta_pipeline.local.ports import LOOPBACK, require_free
from ta_pipeline.local.probe import probe, probe_url
from ta_pipeline.local.registry import registry, registry_url
from ta_pipeline.local.s3 import s3
from ta_pipeline.local.settings import LocalSettings, load_local_settings, parse_components
from ta_pipeline.local.startup import Report, bring_up
from ta_pipeline.local.supervisor import Process, Supervisor
from ta_pipeline.local.zookeeper import zookeeper
from ta_pipeline.schema_registry import ensure_schemas
from ta_pipeline.settings import PREFIX, Settings, load_settings

STATUS_TOPIC = "ta.status.v1"


@dataclass(frozen=True)
class ComponentStatus:
    """One line of `ta status`."""

    name: str
    state: str
    """`ready`, `not ready`, or the supervisor's state when the process does not run."""
    pid: int | None
    ports: tuple[int, ...]
    """The one that users talk to first."""
    uptime_seconds: float | None
    memory_bytes: int | None
    """Resident memory of the process and its children."""
    detail: str
    """Why it is not ready; empty when it is."""


class Stack:
    """One local stack. `settings` gives the keys and buckets it is made with, by default those of the environment."""

    def __init__(self, local: LocalSettings | None = None, settings: Settings | None = None) -> None:
        self.local = local or load_local_settings()
        self.settings = settings or load_settings()
        self.supervisor = Supervisor(self.local.dir)

    def up(self, only: Sequence[str] | str | None = None, report: Report = lambda _name, _state: None) -> None:
        """Start what does not run yet, and return when all of it is ready; harmless when everything is.

        A component whose configuration has changed since it was started is restarted.

        Args:
            only: components or the group `flink`; the others are left as they are. Default: `TA_LOCAL_COMPONENTS`.
            report: called with a component's name and its new state.

        Raises:
            PortTakenError: a port is held by a process that is not ours.
            StackError: something is missing, a component died or did not become ready in time, or `only` names no
                component.
            TaError: a topic, schema or table could not be made.
        """
        wanted = self._select(only)
        with self._alone():
            report("jars", "resolving")
            ensure_jars(self.local.jars_dir)
            report("jars", "ready")
            if not self.supervisor.is_up():
                # A supervisor that was killed leaves its processes behind, on the ports that are needed now.
                self.supervisor.stop()
            components = self._components()
            chosen = [component for component in components if component.name in wanted]
            processes = self.supervisor.processes()
            running = {name for name, process in processes.items() if process.is_running}
            stale = self.supervisor.changed(components)
            starting = [component for component in chosen if component.name not in running - stale]
            require_free({k: v for c in starting if c.name not in running for k, v in c.ports.items()})
            for component in components:
                component.write_files()
            for component in starting:
                component.prepare()
            self.supervisor.start(components)
            # A changed component that was not asked for was stopped by the new configuration: it comes back too.
            starting += [c for c in components if c.name in stale and c not in starting]
            rest = [component for component in chosen if component not in starting]
            for component in rest:
                report(component.name, "running")
            bring_up(self.supervisor, starting, rest, self._patience_seconds(), report)

    def down(self) -> list[str]:
        """Stop everything and leave no process, socket or pid file; returns what had to be killed.

        Data stays: the next `up` finds it.

        Raises:
            StackError: a process did not end.
        """
        if not self.local.dir.exists():
            return []
        with self._alone():
            killed = self.supervisor.stop()
        with contextlib.suppress(OSError):
            (self.supervisor.layout.run / "lock").unlink()
            self.supervisor.layout.run.rmdir()
        return killed

    def status(self) -> list[ComponentStatus]:
        """Every component of `TA_LOCAL_COMPONENTS` and whatever else runs, with a fresh readiness check."""
        processes = self.supervisor.processes()
        running = {name for name, process in processes.items() if process.is_running}
        shown = [one for one in self._components() if one.name in {*self.local.components, *running}]
        return [self._status(component, processes.get(component.name)) for component in shown]

    def environment(self) -> dict[str, str]:
        """The `TA_*` variables that point the job and every client at this stack.

        Of a component that is not one of `TA_LOCAL_COMPONENTS` they do not say where it is: it is elsewhere, and the
        settings know.
        """
        local = self.local
        kafka_here = self.kafka_access.environment
        registry_here = {"TA_SCHEMA_REGISTRY_URL": registry_url(local)}
        s3_here = {
            "TA_S3_ENDPOINT": f"http://{LOOPBACK}:{local.s3_port}", "TA_S3_PATH_STYLE": "true", "TA_S3_SECURE": "false",
        }  # fmt: skip
        return {
            **(kafka_here if "kafka" in local.components else {}),
            **(registry_here if "registry" in local.components else {}),
            **(s3_here if "s3" in local.components else {}),
            "TA_SCHEMA_REGISTRY_USERNAME": self.settings.schema_registry_username,
            "TA_SCHEMA_REGISTRY_PASSWORD": self.settings.schema_registry_password.get_secret_value(),
            "TA_S3_ACCESS_KEY": self.settings.s3_access_key.get_secret_value(),
            "TA_S3_SECRET_KEY": self.settings.s3_secret_key.get_secret_value(),
            "TA_CLICKHOUSE_URL": f"http://{LOOPBACK}:{local.clickhouse_port}"
            if "clickhouse" in local.components
            else "",
            "TA_CLICKHOUSE_USERNAME": self.settings.clickhouse_username,
            "TA_CLICKHOUSE_PASSWORD": self.settings.clickhouse_password.get_secret_value(),
            "TA_STATUS_TOPIC": self.settings.status_topic or STATUS_TOPIC,
            "TA_RUNTIME": "local",
            "TA_FLINK_REST_URL": f"http://{LOOPBACK}:{local.flink_rest_port}",
            "TA_PROBE_URL": probe_url(local),
        }

    @cached_property
    def kafka_access(self) -> KafkaAccess:
        """How the broker lets clients in."""
        return access_of(self.local, self.settings)

    def flink_environment(self) -> dict[str, str]:
        """What `flink run` needs beside `environment()`: FLINK_CONF_DIR and so on, PATH, PYTHONPATH, JAVA_HOME."""
        return flink_environment(self.local, java_home())

    def log_file(self, name: str) -> Path:
        """Where the output of a component goes."""
        return self.supervisor.layout.log_file(name)

    def _select(self, only: Sequence[str] | str | None) -> tuple[str, ...]:
        if not only:
            return self.local.components
        try:
            return parse_components(only)
        except ValueError as error:
            raise StackError(str(error)) from None

    def _components(self) -> list[Component]:
        java = java_home()
        here = self._settings_here()

        # Topics, schemas and tables are made as soon as what holds them is ready.
        def let_in_and_declare() -> None:
            self.kafka_access.arrange(here)
            ensure_topics(here)

        return [
            kafka(self.local, self.kafka_access, java, arrange=let_in_and_declare),
            registry(self.local, here, registry_java(), arrange=lambda: ensure_schemas(here)),
            s3(self.local, self.settings, java),
            clickhouse(self.local, self.settings, arrange=lambda: apply_migrations(here)),
            zookeeper(self.local, java),
            jobmanager(self.local, here, java),
            taskmanager(self.local, here, java),
            clock(self.local, here),
            probe(self.local, here),
        ]

    def _settings_here(self) -> Settings:
        return load_settings(**{**self.settings.model_dump(), **_fields(self.environment())})

    def _patience_seconds(self) -> float:
        # The clock is the last: it keeps silent for this long after the broker came.
        return self.local.ready_timeout_seconds + self.settings.bar_close_timeout_ms / 1_000

    def _status(self, component: Component, process: Process | None) -> ComponentStatus:
        ports = tuple(component.ports.values())
        if process is None or process.pid is None:
            state = "STOPPED" if process is None else process.state
            return ComponentStatus(component.name, state.lower(), None, ports, None, None, "")
        detail = ""
        try:
            component.ready()
        except NotReadyError as reason:
            detail = str(reason)
        return ComponentStatus(
            name=component.name,
            state="not ready" if detail else "ready",
            pid=process.pid,
            ports=ports,
            uptime_seconds=max(0.0, time.time() - process.started_at),
            memory_bytes=_memory(process.pid),
            detail=detail,
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one `up` or `down` of this stack run at a time."""
        self.supervisor.layout.run.mkdir(parents=True, exist_ok=True)
        with (self.supervisor.layout.run / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _memory(pid: int) -> int | None:
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total or None


def _fields(variables: Mapping[str, str]) -> dict[str, str]:
    """`TA_*` variables as arguments of `load_settings`."""
    return {name.removeprefix(PREFIX).lower(): value for name, value in variables.items()}


def local_variables(stack: Stack) -> dict[str, str]:
    """The `TA_*` variables of the local stack that the environment does not say otherwise."""
    return {name: value for name, value in stack.environment().items() if name not in os.environ}


def local_settings(**overrides: str) -> Settings:
    """The settings in force here: `overrides`, else the environment, else the local stack, else the defaults.

    Raises:
        SettingsError: a setting is not allowed.
    """
    return load_settings(**_fields(local_variables(Stack())) | overrides)
