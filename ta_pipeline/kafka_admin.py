"""The platform's topics: declared here, created when missing, checked for drift, never deleted.

As a table: docs/reference/schemas.md (names are settings; cleanup and retention are fixed by contract).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_refusals import Refusals, advice, ask, client_with, require_visible
from ta_pipeline.settings import Settings

DAY_MS = 86_400_000
TIMEOUT_SECONDS = 15.0
PARTITIONS = 1
REPLAY_MARK = ".replay."


@dataclass(frozen=True)
class Topic:
    """What a topic has to be. Retention in milliseconds; cleanup as Kafka writes it, `delete` or `compact,delete`."""

    name: str
    retention_ms: int
    cleanup: str = "delete"
    partitions: int = PARTITIONS

    @property
    def config(self) -> dict[str, str]:
        """The declared part of the topic's configuration, in Kafka's names."""
        return {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms)}


@dataclass(frozen=True)
class LiveTopic:
    """What a topic is on the broker."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Drift:
    """One difference between a declared and a live topic."""

    topic: str
    setting: str
    declared: str
    live: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.live}, declared {self.declared}"


@dataclass(frozen=True)
class TopicPlan:
    """What `ensure_topics` would do."""

    create: tuple[Topic, ...] = ()
    drift: tuple[Drift, ...] = ()
    unchanged: tuple[str, ...] = field(default=())


def declared_topics(settings: Settings) -> tuple[Topic, ...]:
    """Every topic of the platform; the heartbeat only when `TA_STATUS_TOPIC` is set."""
    topics = [Topic(name, 7 * DAY_MS) for name in settings.input_topics]
    topics += [
        Topic(settings.clock_topic, DAY_MS),
        Topic(settings.bars_topic, 30 * DAY_MS),
        Topic(settings.signals_topic, 30 * DAY_MS),
        Topic(settings.live_topic, DAY_MS),
        Topic(settings.rejects_topic, 7 * DAY_MS),
        Topic(settings.late_topic, 7 * DAY_MS),
    ]
    if settings.status_topic:
        topics.append(Topic(settings.status_topic, 7 * DAY_MS, cleanup="compact,delete"))
    return tuple(topics)


def plan_topics(declared: Iterable[Topic], live: Mapping[str, LiveTopic]) -> TopicPlan:
    """Compare; pure. More partitions than declared are not drift: a topic may have been scaled out."""
    create: list[Topic] = []
    drift: list[Drift] = []
    unchanged: list[str] = []
    for topic in declared:
        found = live.get(topic.name)
        if found is None:
            create.append(topic)
            continue
        differences = [
            Drift(topic.name, name, value, found.config.get(name, "(unset)"))
            for name, value in topic.config.items()
            if _words(found.config.get(name, "")) != _words(value)
        ]
        if found.partitions < topic.partitions:
            differences.append(Drift(topic.name, "partitions", str(topic.partitions), str(found.partitions)))
        drift.extend(differences)
        if not differences:
            unchanged.append(topic.name)
    return TopicPlan(tuple(create), tuple(drift), tuple(unchanged))


def live_topics(settings: Settings, names: Iterable[str]) -> dict[str, LiveTopic]:
    """Those of `names` that exist, with partitions and configuration.

    Raises:
        KafkaSetupError: the broker cannot be reached or refuses.
    """
    admin, refusals = _admin(settings)
    present = _metadata(admin, refusals).topics
    wanted = list(names)
    require_visible(settings, [name for name in wanted if name not in present], TIMEOUT_SECONDS)
    found = [name for name in wanted if name in present]
    if not found:
        return {}
    futures = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in found])
    configs = {
        resource.name: _result(settings, f"to describe topic {resource.name}", future)
        for resource, future in futures.items()
    }
    return {
        name: LiveTopic(
            name,
            len(present[name].partitions),
            {entry.name: entry.value for entry in configs[name].values() if entry.value is not None},
        )
        for name in found
    }


def ensure_topics(settings: Settings, extra: Iterable[Topic] = ()) -> TopicPlan:
    """Create what is missing of the declared topics and `extra`; returns what was found and done.

    Topics that differ from their declaration are reported in the plan and left alone: `require_no_drift` refuses.

    Raises:
        KafkaSetupError: the broker cannot be reached, or refused to create a topic.
    """
    declared = (*declared_topics(settings), *extra)
    plan = plan_topics(declared, live_topics(settings, [topic.name for topic in declared]))
    create_topics(settings, plan.create)
    return plan


def create_topics(settings: Settings, topics: Iterable[Topic]) -> None:
    """Create these topics; one that exists by now is fine.

    Raises:
        KafkaSetupError: the broker cannot be reached, or refused one.
    """
    new = [NewTopic(t.name, num_partitions=t.partitions, replication_factor=-1, config=t.config) for t in topics]
    if not new:
        return
    # A name of its own: the client has to outlive its futures, which else fail with "Handle is terminating".
    admin, _ = _admin(settings)
    for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_SECONDS).items():
        _result(settings, f"topic {name}", future, fine=KafkaError.TOPIC_ALREADY_EXISTS)


def topic_names(settings: Settings) -> list[str]:
    """Every topic of the broker, by name.

    Raises:
        KafkaSetupError: the broker cannot be reached.
    """
    return sorted(_metadata(*_admin(settings)).topics)


def delete_topics(settings: Settings, names: Iterable[str]) -> None:
    """Delete topics of a replay; one that is gone is fine.

    Raises:
        KafkaSetupError: one is no replay's, and nothing was deleted; or the broker cannot be reached or refuses.
    """
    wanted = list(names)
    if production := [name for name in wanted if REPLAY_MARK not in name]:
        raise KafkaSetupError(
            f"{production[0]} is no topic of a replay (<topic>{REPLAY_MARK}<id>): it is never deleted"
        )
    if not wanted:
        return
    admin, _ = _admin(settings)
    for name, future in admin.delete_topics(wanted, operation_timeout=TIMEOUT_SECONDS).items():
        _result(settings, f"to delete topic {name}", future, fine=KafkaError.UNKNOWN_TOPIC_OR_PART)


def broker_config(settings: Settings) -> dict[str, str]:
    """The configuration of one broker: name to value.

    Raises:
        KafkaSetupError: the broker cannot be reached or refuses.
    """
    admin, refusals = _admin(settings)
    broker = next(iter(_metadata(admin, refusals).brokers))
    (future,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, str(broker))]).values()
    return {
        entry.name: entry.value
        for entry in _result(settings, f"to tell the configuration of broker {broker}", future).values()
        if entry.value
    }


def require_no_drift(plan: TopicPlan) -> None:
    """Check a plan.

    Raises:
        KafkaSetupError: names every difference.
    """
    if plan.drift:
        raise KafkaSetupError(
            "topics are not as declared; change the topic or its declaration:\n" + "\n".join(map(str, plan.drift))
        )


def _admin(settings: Settings) -> tuple[AdminClient, Refusals]:
    return client_with(settings, AdminClient, **{"socket.timeout.ms": int(TIMEOUT_SECONDS * 1000)})


def _metadata(admin: AdminClient, refusals: Refusals) -> Any:
    return ask(admin, refusals, lambda seconds: admin.list_topics(timeout=seconds), TIMEOUT_SECONDS)


def _result(settings: Settings, what: str, future: Future[Any], fine: int | None = None) -> Any:
    try:
        return future.result(timeout=2 * TIMEOUT_SECONDS)
    except KafkaException as error:
        cause = error.args[0]
        if isinstance(cause, KafkaError) and cause.code() == fine:
            return None
        raise KafkaSetupError(f"Kafka refused {what}: {cause}{advice(settings, cause)}") from None
    except TimeoutError:
        raise KafkaSetupError(f"Kafka did not answer for {what} within {2 * TIMEOUT_SECONDS:g} s") from None


def _words(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))
