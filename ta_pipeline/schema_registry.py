"""Avro schemas of the topics: which subject has which file, and how they get into the registry.

Subjects follow TopicNameStrategy (`<topic>-value`), each BACKWARD. All are checked before any is registered, and
only what changed is registered; a compatibility level that somebody loosened is set back. The check is made here, so
that it names the fields and does not depend on how a registry is set; the registry checks again. That no field of an
output goes or changes is checked here only. The job itself never registers a schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.errors import SchemaError
from ta_pipeline.schema_fields import lost
from ta_pipeline.settings import Settings

DIRECTORY = Path(__file__).resolve().parents[1] / "schema" / "avro"
COMPATIBILITY = "BACKWARD"
NOT_SET = "not set"
TIMEOUT_SECONDS = 10
_NOT_FOUND = {404, 40401, 40402, 40403}
_UNAUTHORIZED = {401, 403}
_ABSENT = 404
_NO_LEVEL = {404, 40401, 40408}
_NO_REGISTRYS_ANSWER = (ValueError, TypeError, AttributeError, KeyError)
"""What the client raises on an answer of 200 that is no JSON, as a proxy's page, or other JSON than a registry's."""


@dataclass(frozen=True)
class Subject:
    """One subject and the schema it has to have."""

    name: str
    schema: str
    """Avro, as JSON text."""
    only_grows: bool = False
    """Readers of a topic may lean on each field (docs/consumers.md): none goes or changes its type."""


@dataclass(frozen=True)
class Registered:
    """One version of a subject in the registry."""

    schema: str
    schema_id: int | None
    version: int | None


@dataclass(frozen=True)
class SubjectPlan:
    """What has to be done for one subject."""

    subject: Subject
    action: Literal["register", "evolve", "unchanged"]
    """`register`: there is none; `evolve`: a new version; `unchanged`: this schema is registered."""
    schema_id: int | None = None
    """The registry's id of the schema; None until it is registered."""
    version: int | None = None
    """The schema's version within its subject; None until it is registered."""
    newer: int | None = None
    """The newest version, where this schema is an older one: each can read what the other writes."""
    loosened: str | None = None
    """The other compatibility level that was found, and set back; None: there was none to set back."""

    @property
    def is_changed(self) -> bool:
        """Something has to be done, or was done."""
        return self.action != "unchanged" or self.loosened is not None


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
    directory = Path(settings.schema_dir) if settings.schema_dir else DIRECTORY
    outputs = set(settings.output_topics)
    return tuple(
        Subject(f"{topic}-value", read_schema(name, directory), only_grows=topic in outputs)
        for topic, name in files.items()
    )


def read_schema(name: str, directory: Path = DIRECTORY) -> str:
    """The Avro schema `<directory>/<name>.avsc` as compact JSON text.

    Raises:
        SchemaError: the file is not there, or is no JSON.
    """
    path = directory / f"{name}.avsc"
    try:
        return json.dumps(json.loads(path.read_text(encoding="utf-8")), separators=(",", ":"))
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} (TA_SCHEMA_DIR) is not a schema that can be read: {error}") from None


def registry_client(settings: Settings) -> SchemaRegistryClient:
    """A client of `TA_SCHEMA_REGISTRY_*`, to be closed; it holds the password, so never log its configuration."""
    config: dict[str, object] = {"url": settings.schema_registry_url, "timeout": TIMEOUT_SECONDS, "max.retries": 1}
    if settings.schema_registry_username:
        password = settings.schema_registry_password.get_secret_value()
        config["basic.auth.user.info"] = f"{settings.schema_registry_username}:{password}"
    return SchemaRegistryClient(config)


def plan_schemas(settings: Settings, subjects: Iterable[Subject] | None = None) -> list[SubjectPlan]:
    """Compare the declared subjects with the registry; changes nothing.

    Args:
        settings: where the registry is.
        subjects: default: those of all topics.

    Raises:
        SchemaError: the registry cannot be asked, or a new version would break readers; names every such subject.
    """
    wanted = list(subjects) if subjects is not None else list(declared_subjects(settings))
    with registry_client(settings) as client:
        latest = {subject.name: _latest(settings, client, subject.name) for subject in wanted}
        others = [one for one in wanted if (newest := latest[one.name]) and not _is_same(one.schema, newest.schema)]
        earlier = {subject.name: _registration(settings, client, subject) for subject in others}
    return plan(wanted, latest, earlier)


def plan(
    subjects: Iterable[Subject],
    latest: Mapping[str, Registered | None],
    earlier: Mapping[str, Registered | None] = MappingProxyType({}),
) -> list[SubjectPlan]:
    """Compare the declared subjects with what is registered; pure.

    A schema that is registered as an older version stays that version: a registry never makes it the newest again.

    Args:
        subjects: as they are declared.
        latest: the newest version of each.
        earlier: the version that the declared schema itself is, where that is not the newest.

    Raises:
        SchemaError: a new version could not read what the newest one wrote, or readers of the newest version could not
            read what an older one writes, or a new version of an output lacks or changes a field; names every such
            subject and field.
    """
    plans: list[SubjectPlan] = []
    refused: list[str] = []
    shrunk: list[str] = []
    for subject in subjects:
        newest, own = latest.get(subject.name), earlier.get(subject.name)
        if newest is None:
            plans.append(SubjectPlan(subject, "register"))
            continue
        if _is_same(newest.schema, subject.schema):
            plans.append(SubjectPlan(subject, "unchanged", newest.schema_id, newest.version))
            continue
        if own is None:
            plans.append(SubjectPlan(subject, "evolve"))
        else:
            plans.append(SubjectPlan(subject, "unchanged", own.schema_id, own.version, newer=newest.version))
        if reason := unreadable(subject.schema, newest.schema):
            refused.append(f"{subject.name}, against version {newest.version}: {reason}")
        elif own is not None and (reason := unreadable(newest.schema, subject.schema)):
            refused.append(
                f"{subject.name}, which is version {own.version}, read as version {newest.version}: {reason}"
            )
        elif own is None and subject.only_grows and (fields := lost(newest.schema, subject.schema)):
            shrunk.append(f"{subject.name}, against version {newest.version}: {', '.join(fields)}")
    said = []
    if refused:
        said = [
            f"not {COMPATIBILITY} compatible with what is registered, so nothing was registered; give new fields a "
            "default and keep the types of old ones:",
            *refused,
        ]
    if shrunk:
        said += [
            "readers may lean on every field of an output, so nothing was registered; keep these as they were (null "
            "where there is no value any more), and add what is new under another name:",
            *shrunk,
        ]
    if said:
        raise SchemaError("\n".join(said))
    return plans


def _is_same(schema: str, other: str) -> bool:
    return bool(json.loads(schema) == json.loads(other))


def unreadable(reader: str, writer: str) -> str | None:
    """Why records written with the Avro schema `writer` cannot be read with `reader`; None when they can.

    Definition: Avro specification, "Schema Resolution".
    """
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    found = checker.get_compatibility(parse(reader), parse(writer))
    if found.compatibility is SchemaCompatibilityType.compatible:
        return None
    kinds = ", ".join(sorted(kind.value.replace("_", " ") for kind in found.incompatibilities))
    return f"{', '.join(sorted(found.messages))} at {', '.join(sorted(found.locations))} ({kinds})"


def ensure_schemas(settings: Settings, subjects: Iterable[Subject] | None = None) -> list[SubjectPlan]:
    """Check every subject, then register what is new or changed; returns what was found and done, ids filled in.

    Every subject is BACKWARD afterwards, whether its schema changed or not.

    Raises:
        SchemaError: the registry cannot be asked, or refuses a schema.
    """
    plans = plan_schemas(settings, subjects)
    with registry_client(settings) as client:
        tight = [_tighten(settings, client, plan) for plan in plans]
        return [plan if plan.action == "unchanged" else _register(settings, client, plan) for plan in tight]


def newest_schema(settings: Settings, name: str) -> str | None:
    """The newest registered schema of a subject; None when there is none.

    Raises:
        SchemaError: the registry cannot be asked.
    """
    with registry_client(settings) as client:
        found = _latest(settings, client, name)
    return found.schema if found else None


def wrong_compatibility(settings: Settings, subjects: Iterable[str]) -> list[str]:
    """Subjects whose compatibility in the registry is not BACKWARD, as text; empty when all are.

    Raises:
        SchemaError: the registry cannot be asked.
    """
    problems = []
    with registry_client(settings) as client:
        for name in subjects:
            with asking(settings, name):
                level = _compatibility(client, name)
            if level != COMPATIBILITY:
                problems.append(f"{name}: its compatibility is {level or NOT_SET}, declared {COMPATIBILITY}")
    return problems


def _compatibility(client: SchemaRegistryClient, name: str) -> str | None:
    try:
        return str(client.get_compatibility(name))
    except SchemaRegistryError as error:
        if {error.http_status_code, error.error_code} & _NO_LEVEL:
            return None
        raise


def _tighten(settings: Settings, client: SchemaRegistryClient, plan: SubjectPlan) -> SubjectPlan:
    """Make a subject BACKWARD if it is not; one that is not there yet has no level that could be loosened."""
    name = plan.subject.name
    with asking(settings, name):
        level = _compatibility(client, name)
        if level == COMPATIBILITY:
            return plan
        client.set_compatibility(name, COMPATIBILITY)
    return plan if plan.action == "register" else replace(plan, loosened=level or NOT_SET)


def _register(settings: Settings, client: SchemaRegistryClient, plan: SubjectPlan) -> SubjectPlan:
    name, schema = plan.subject.name, Schema(plan.subject.schema, "AVRO")
    with asking(settings, name):
        client.register_schema(name, schema)
        registered = client.lookup_schema(name, schema)
    return replace(plan, schema_id=registered.schema_id, version=registered.version)


def _registration(settings: Settings, client: SchemaRegistryClient, subject: Subject) -> Registered | None:
    """The version of the subject that has exactly this schema; None when there is none."""
    with asking(settings, subject.name):
        try:
            found = client.lookup_schema(subject.name, Schema(subject.schema, "AVRO"))
        except SchemaRegistryError as error:
            if {error.http_status_code, error.error_code} & _NOT_FOUND:
                return None
            raise
    return Registered(subject.schema, found.schema_id, found.version)


def _latest(settings: Settings, client: SchemaRegistryClient, name: str) -> Registered | None:
    with asking(settings, name):
        try:
            found = client.get_latest_version(name)
        except SchemaRegistryError as error:
            if {error.http_status_code, error.error_code} & _NOT_FOUND:
                return None
            raise
    return Registered(str(found.schema.schema_str), found.schema_id, found.version)


@contextmanager
def asking(settings: Settings, subject: str) -> Iterator[None]:
    """Turn what the registry's client raises into our error.

    Raises:
        SchemaError: the registry refused, or did not answer as one does; the message names the subject.
    """
    where = f"the schema registry at {settings.schema_registry_url} (TA_SCHEMA_REGISTRY_URL)"
    try:
        yield
    except SchemaRegistryError as error:
        reason = settings.without_secrets(str(error.error_message))
        advice = ""
        if error.http_status_code in _UNAUTHORIZED:
            advice = "; look at TA_SCHEMA_REGISTRY_USERNAME and TA_SCHEMA_REGISTRY_PASSWORD"
        elif error.http_status_code == _ABSENT:
            advice = "; `ta up` registers the schemas"
        raise SchemaError(f"{where} refused {subject} (status {error.http_status_code}): {reason}{advice}") from None
    except Exception as error:
        # The client lets the exceptions of whichever HTTP library it found through.
        if isinstance(error, OSError) or type(error).__module__.startswith("http"):
            reason = settings.without_secrets(str(error))
            raise SchemaError(f"{where} did not answer for {subject}: {reason}; is it up (`ta status`)?") from None
        if isinstance(error, _NO_REGISTRYS_ANSWER):
            reason = settings.without_secrets(f"{type(error).__name__}: {error}")
            raise SchemaError(
                f"{where} answered for {subject}, but not as a schema registry does: {reason}; is the URL that of its "
                "API, with the path?"
            ) from None
        raise
