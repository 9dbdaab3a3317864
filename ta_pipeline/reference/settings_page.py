"""docs/reference/settings.md: every `TA_*` and `TA_LOCAL_*` variable, from the fields of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.settings import COMPONENTS, GROUPS, REPOSITORY, LocalSettings
from ta_pipeline.local.settings import PREFIX as LOCAL_PREFIX
from ta_pipeline.logs.output import FORMAT_VARIABLE, FORMATS
from ta_pipeline.reference.markdown import code, linked, paragraph, table
from ta_pipeline.settings import AROUND_THE_JOB, PLACE_OF_THE_JOB, Settings, load_settings, text_of, variable_of

GROUP_BEGINS = {
    "kafka_bootstrap": "Kafka",
    "delivery_guarantee": "Delivery",
    "checkpoint_interval_ms": "Checkpoints and savepoints",
    "max_out_of_orderness_ms": "Computation",
    "recordings_dir": "Replay",
    "s3_endpoint": "S3",
    "schema_registry_url": "Schema registry",
    "clickhouse_url": "ClickHouse",
    "runtime": "Runtime",
    "probe_url": "Monitoring",
}
"""The first field of each group of `Settings`, and the group's heading."""
REFUSED_TOGETHER: tuple[Mapping[str, str], ...] = (
    {"transaction_timeout_ms": "180000"},
    {"kafka_security": "SASL_SSL"},
    {"bar_close_timeout_ms": "2000"},
    {"parallelism": "8", "max_parallelism": "4"},
)
"""Values that are fine alone and not beside the others; the page has what is said of them."""
_TYPES: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true, false", Path: "path"}
_HEAD = ("variable", "type", "default", "allowed", "meaning")
_TOPIC_NAME = "1 to 249 of `a-z A-Z 0-9 . _ -`"


def page() -> str:
    """The page, as Markdown."""
    return "\n\n".join([*_platform(), *_together(), *_local(), *_processes()]) + "\n"


def _platform() -> Iterator[str]:
    yield "# Settings"
    yield paragraph(
        "Every setting is an environment variable. Defaults run the local stack as it is. Times are milliseconds "
        "unless the name says otherwise. A value that is not allowed is refused, with what is allowed; an empty "
        "variable counts as one that is not set. `ta job run`, `ta compute` and others take single ones with "
        "`--set TA_NAME=VALUE`; a secret does not belong there, because a command line is for everybody to read."
    )
    yield paragraph(
        "`job` says that a change concerns the job and takes a rollout ([docs/rollouts.md](../rollouts.md)); `around`: "
        "only what is around the job reads it; `place`: it says where the job runs; `secret`: the job reads it, and "
        "no revision records it."
    )
    groups: dict[str, list[tuple[str, ...]]] = {}
    heading = ""
    for name, field in Settings.model_fields.items():
        heading = GROUP_BEGINS.get(name, heading)
        groups.setdefault(heading, []).append((*_cells(variable_of(name), name, field), _read_by(name, field)))
    for title, rows in groups.items():
        yield f"## {title}"
        yield table((*_HEAD, "of"), rows)


def _together() -> Iterator[str]:
    yield "## Refused together"
    yield "Some values are fine alone, and refused beside the others. What is said then:"
    for values in REFUSED_TOGETHER:
        given = " ".join(f"{variable_of(name)}={value}" for name, value in values.items())
        yield f"With `{given}`:"
        yield f"```text\n{_refusal(values)}\n```"


def _local() -> Iterator[str]:
    yield "## Local stack"
    yield paragraph(
        "Where `ta up` puts the components. What the environment does not say otherwise follows from them: with "
        "`TA_LOCAL_KAFKA_PORT=29092`, `TA_KAFKA_BOOTSTRAP` is `127.0.0.1:29092`. Every port must be its own. "
        f"Components: {', '.join(map(code, COMPONENTS))}; `flink` stands for {', '.join(map(code, GROUPS['flink']))}."
    )
    yield table(
        _HEAD, (_cells(LOCAL_PREFIX + name.upper(), name, field) for name, field in LocalSettings.model_fields.items())
    )


def _processes() -> Iterator[str]:
    yield "## Of a process"
    yield "No part of a deployment's settings: each process reads them for itself ([docs/logs.md](../logs.md))."
    yield table(
        _HEAD,
        [
            (code(FORMAT_VARIABLE), "one of", "empty", ", ".join(map(code, FORMATS)),
             "how it logs; empty: text on a terminal, JSON elsewhere"),
            (code("TA_LOG_COMPONENT"), "text", "empty", "", "what Dagster's processes call themselves in their lines"),
        ],
    )  # fmt: skip


def _cells(variable: str, name: str, field: FieldInfo) -> tuple[str, ...]:
    return (code(variable), _type(field), _default(field), _allowed(name, field), linked(field.description or ""))


def _read_by(name: str, field: FieldInfo) -> str:
    if name in PLACE_OF_THE_JOB:
        return "place"
    if name in AROUND_THE_JOB:
        return "around"
    return "secret" if field.annotation is SecretStr else "job"


def _type(field: FieldInfo) -> str:
    kind = field.annotation
    if kind is SecretStr:
        return "secret"
    if get_origin(kind) is Literal:
        return "one of"
    if get_origin(kind) is tuple:
        return "comma-separated"
    if get_origin(kind) in {Union, UnionType}:
        return " or ".join(_TYPES[one] for one in get_args(kind))
    return _TYPES[kind]


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        # That of the local stack guards nothing; it is shown all the same as the code has it.
        return code(value.get_secret_value()) or "empty"
    if isinstance(value, Path):
        return code(str(value.relative_to(REPOSITORY)))
    if isinstance(value, tuple):
        return "all"
    return code(text_of(value)) or "empty"


def _allowed(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(code(str(one)) for one in get_args(field.annotation))
    if name.endswith("_topic"):
        return _TOPIC_NAME + ("; or empty" if field.default == "" else "")
    bounds = {
        key: getattr(one, key) for one in field.metadata for key in ("ge", "le", "min_length") if hasattr(one, key)
    }
    if "min_length" in bounds:
        return "not empty"
    low, high = (f"{bounds[key]:,}" if key in bounds else "" for key in ("ge", "le"))
    if low and high:
        return f"{low} to {high}"
    return f"{low} or more" if low else f"up to {high}" if high else ""


def _refusal(values: Mapping[str, str]) -> str:
    # The defaults beside them, whatever the environment says.
    given = {name: field.default for name, field in Settings.model_fields.items()} | dict(values)
    try:
        load_settings(**given)
    except SettingsError as error:
        return str(error)
    raise AssertionError(f"{dict(values)} is not refused: REFUSED_TOGETHER is out of date")
