"""Avro schemas of the topics: which subject has which file, and how they get into the registry.

Subjects follow TopicNameStrategy (`<topic>-value`), each BACKWARD. All are checked before any is registered, and
only what changed is registered. The job itself never registers a schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.errors import SchemaError
from ta_pipeline.settings import Settings

DIRECTORY = Path(__file__).resolve().parents[1] / "schema" / "avro"
COMPATIBILITY = "BACKWARD"
_NOT_FOUND = {404, 40401, 40402, 40403}


@dataclass(frozen=True)
class Subject:
    """One subject and the schema it has to have."""

    name: str
    schema: str
    """Avro, as JSON text."""


@dataclass(frozen=True)
class SubjectPlan:
    """What has to be done for one subject."""

    subject: Subject
    action: Literal["register", "evolve", "unchanged"]
    """`register`: there is none; `evolve`: a new version; `unchanged`: this schema is the newest version."""
    schema_id: int | None = None
    """The registry's id of the schema; None until it is registered."""


def declared_subjects(settings: Settings) -> tuple[Subject, ...]:
    """The subjects of every topic; the heartbeat's only when `TA_STATUS_TOPIC` is set."""
    files = {
        settings.trades_topic: "TradeEnvelope",
        settings.clock_topic: "TradeEnvelope",
        settings.quotes_topic: "QuoteEnvelope",
        settings.bars_1m_topic: "Bar1mEnvelope",
        settings.status_in_topic: "StatusEnvelope",
        settings.bars_topic: "TaBar1s",
        settings.signals_topic: "TaSignal",
        settings.live_topic: "TaSignal",
        settings.late_topic: "TaLate",
        settings.rejects_topic: "TaReject",
    }
    if settings.status_topic:
        files[settings.status_topic] = "TaStatus"
    return tuple(Subject(f"{topic}-value", read_schema(name)) for topic, name in files.items())


def read_schema(name: str) -> str:
    """The Avro schema `schema/avro/<name>.avsc` as compact JSON text."""
    return json.dumps(json.loads((DIRECTORY / f"{name}.avsc").read_text(encoding="utf-8")), separators=(",", ":"))


def registry_client(settings: Settings) -> SchemaRegistryClient:
    """A client of `TA_SCHEMA_REGISTRY_*`; it holds the password, so never log its configuration."""
    config: dict[str, object] = {"url": settings.schema_registry_url, "timeout": 10}
    if settings.schema_registry_username:
        password = settings.schema_registry_password.get_secret_value()
        config["basic.auth.user.info"] = f"{settings.schema_registry_username}:{password}"
    return SchemaRegistryClient(config)


def plan_schemas(settings: Settings, subjects: Iterable[Subject] | None = None) -> list[SubjectPlan]:
    """Compare the declared subjects with the registry and check that each new version is compatible.

    Raises:
        SchemaError: the registry cannot be asked, or would refuse; the message names every subject and why.
    """
    client = registry_client(settings)
    refused: list[str] = []
    plans: list[SubjectPlan] = []
    for subject in subjects if subjects is not None else declared_subjects(settings):
        try:
            plan, problem = _plan(client, subject)
        except (SchemaRegistryError, OSError) as error:
            raise _unreachable(settings, subject.name, error) from None
        except Exception as error:  # the client lets its HTTP library's exceptions through
            if type(error).__module__.startswith("http"):
                raise _unreachable(settings, subject.name, error) from None
            raise
        plans.append(plan)
        refused += [problem] if problem else []
    if refused:
        raise SchemaError(
            f"not {COMPATIBILITY} compatible with what is registered, so nothing was registered:\n" + "\n".join(refused)
        )
    return plans


def ensure_schemas(settings: Settings, subjects: Iterable[Subject] | None = None) -> list[SubjectPlan]:
    """Check every subject, then register what is new or changed; returns what was found and done, ids filled in.

    Raises:
        SchemaError: the registry cannot be asked, or refuses a schema.
    """
    plans = plan_schemas(settings, subjects)
    client = registry_client(settings)
    done = []
    for plan in plans:
        name = plan.subject.name
        try:
            if plan.action == "register":
                client.set_compatibility(name, COMPATIBILITY)
            if plan.action != "unchanged":
                schema_id = client.register_schema(name, Schema(plan.subject.schema, "AVRO"))
                plan = SubjectPlan(plan.subject, plan.action, schema_id)  # noqa: PLW2901
        except SchemaRegistryError as error:
            raise SchemaError(f"the registry refused {name}: {error.error_message}") from None
        done.append(plan)
    return done


def _plan(client: SchemaRegistryClient, subject: Subject) -> tuple[SubjectPlan, str | None]:
    """The plan for one subject, and what speaks against it."""
    try:
        latest = client.get_latest_version(subject.name)
    except SchemaRegistryError as error:
        if error.http_status_code in _NOT_FOUND or error.error_code in _NOT_FOUND:
            return SubjectPlan(subject, "register"), None
        raise
    registered = latest.schema.schema_str if latest.schema else None
    if registered is not None and json.loads(registered) == json.loads(subject.schema):
        return SubjectPlan(subject, "unchanged", latest.schema_id), None
    fits = client.test_compatibility(subject.name, Schema(subject.schema, "AVRO"))
    problem = None if fits else f"{subject.name}: the declared schema cannot read records of version {latest.version}"
    return SubjectPlan(subject, "evolve"), problem


def _unreachable(settings: Settings, subject: str, error: Exception) -> SchemaError:
    return SchemaError(
        f"the schema registry at {settings.schema_registry_url} (TA_SCHEMA_REGISTRY_URL) did not answer for "
        f"{subject}: {settings.without_secrets(str(error))}; is it up (`ta status`)?"
    )
