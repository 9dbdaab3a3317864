"""Settings of the local stack: one `TA_LOCAL_*` environment variable each.

Where the job finds the components is in `ta_pipeline.settings` (`TA_*`); this file says where the local stack puts
them. The defaults of both agree, and `Stack.environment()` gives the `TA_*` of a stack that was put elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ta_pipeline import settings as platform
from ta_pipeline.errors import SettingsError

PREFIX = "TA_LOCAL_"
REPOSITORY = Path(__file__).resolve().parents[2]
COMPONENTS = (
    "kafka", "registry", "s3", "clickhouse", "zookeeper", "jobmanager", "taskmanager", "clock", "probe",
)  # fmt: skip
GROUPS = {"flink": ("zookeeper", "jobmanager", "taskmanager")}


def parse_components(names: str | Iterable[str]) -> tuple[str, ...]:
    """Turn `"kafka,flink"` into component names, groups resolved, in the order of `COMPONENTS`.

    Raises:
        ValueError: a name is neither a component nor a group.
    """
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",") if name.strip()]
    wanted = {part for name in names for part in GROUPS.get(name, (name,))}
    if unknown := wanted - set(COMPONENTS):
        raise ValueError(f"no such component: {', '.join(sorted(unknown))}; there are {', '.join(COMPONENTS)}, flink")
    return tuple(name for name in COMPONENTS if name in wanted)


Port = Annotated[int, Field(ge=1024, le=65_535)]
Components = Annotated[tuple[str, ...], NoDecode, BeforeValidator(parse_components)]


class LocalSettings(BaseSettings):
    """Directories, ports and sizes of one local stack. Build it with `load_local_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    dir: Path = Field(REPOSITORY / ".local", description="state of the stack: data, logs, configuration")
    jars_dir: Path = Field(REPOSITORY / ".local" / "jars", description="jars from Maven, shared by all stacks")
    components: Components = Field(COMPONENTS, description="comma-separated components to run")

    kafka_security: Literal["PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="SASL_SSL: Kafka over TLS, with a user and access rules (docs/security.md)"
    )
    kafka_port: Port = Field(19_092, description="Kafka broker")
    kafka_controller_port: Port = Field(19_093, description="Kafka controller")
    registry_port: Port = Field(18_081, description="schema registry")
    registry_management_port: Port = Field(18_082, description="schema registry, health and metrics")
    s3_port: Port = Field(19_000, description="S3")
    clickhouse_port: Port = Field(18_123, description="ClickHouse over HTTP")
    zookeeper_port: Port = Field(18_096, description="ZooKeeper, for Flink's high availability")
    flink_rest_port: Port = Field(18_080, description="Flink REST API and web UI")
    jobmanager_rpc_port: Port = Field(18_090, description="Flink JobManager, RPC")
    jobmanager_blob_port: Port = Field(18_091, description="Flink JobManager, jars of jobs")
    jobmanager_query_port: Port = Field(18_092, description="Flink JobManager, metric queries of the web UI")
    jobmanager_metrics_port: Port = Field(19_249, description="Flink JobManager, Prometheus")
    taskmanager_rpc_port: Port = Field(18_093, description="Flink TaskManager, RPC")
    taskmanager_data_port: Port = Field(18_094, description="Flink TaskManager, data between tasks")
    taskmanager_query_port: Port = Field(18_095, description="Flink TaskManager, metric queries of the web UI")
    taskmanager_metrics_port: Port = Field(19_250, description="Flink TaskManager, Prometheus")
    probe_port: Port = Field(19_251, description="the probe, Prometheus and its report")

    ui_port: Port = Field(13_000, description="Dagster's web interface")
    prometheus_port: Port = Field(19_090, description="Prometheus, by `ta prometheus`")

    task_slots: int = Field(4, ge=1, le=64, description="slots of the TaskManager")
    kafka_heap_mb: int = Field(512, ge=256, description="Kafka, Java heap")
    jobmanager_mb: int = Field(1_024, ge=768, description="JobManager, whole process")
    taskmanager_mb: int = Field(2_048, ge=1_280, description="TaskManager, whole process")
    ready_timeout_seconds: int = Field(120, ge=1, description="longest wait for a component to become ready")

    @model_validator(mode="after")
    def _distinct_ports(self) -> Self:
        seen: dict[int, str] = {}
        for name, port in self.ports().items():
            if port in seen:
                variables = f"{PREFIX}{seen[port].upper()} and {PREFIX}{name.upper()}"
                raise ValueError(f"{variables} are both {port}; every port must be its own")
            seen[port] = name
        return self

    def ports(self) -> dict[str, int]:
        """Every port by the name of its setting."""
        return {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_port")}

    def variables(self) -> dict[str, str]:
        """These settings as the `TA_LOCAL_*` variables of a process."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            PREFIX + name.upper(): ",".join(value) if isinstance(value, tuple) else platform.text_of(value)
            for name, value in values.items()
        }

    def shifted(self, offset: int, directory: Path) -> LocalSettings:
        """A second stack beside this one: all ports plus `offset`, state in `directory`, the same jars."""
        ports = {name: port + offset for name, port in self.ports().items()}
        return load_local_settings(**{**self.model_dump(), **ports, "dir": directory})


def load_local_settings(**overrides: Any) -> LocalSettings:
    """Read `TA_LOCAL_*` from the environment; `overrides` (field names, no prefix) win.

    Raises:
        SettingsError: a value is not allowed; the message names the variable, the value and what is allowed.
    """
    try:
        return LocalSettings(**overrides)
    except ValidationError as error:
        raise SettingsError(_describe(error)) from None


def variables(settings: platform.Settings, names: Iterable[str] | None = None) -> dict[str, str]:
    """Settings as the `TA_*` variables of a process, secrets in the clear.

    Args:
        settings: the settings.
        names: the fields to give; default: all.
    """
    chosen = type(settings).model_fields if names is None else names
    return {platform.PREFIX + name.upper(): platform.text_of(getattr(settings, name)) for name in chosen}


def _describe(error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        message = item["msg"].removeprefix("Value error, ")
        if item["loc"]:
            name = str(item["loc"][0])
            description = LocalSettings.model_fields[name].description
            message = f"{PREFIX}{name.upper()}={item['input']!r} is not allowed: {message}. It is: {description}."
        lines.append(message)
    return "\n".join(lines)
