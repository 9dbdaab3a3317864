"""Which access rules (ACLs) the platform's user needs on Kafka: the list, and how it is put in force.

A job that lacks one restarts for ever, so the list is complete and tried: tests run the job with a user that has the
rules of `JOB` and no others. docs/security.md has it as a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_admin import REPLAY_MARK
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 15.0
REPLAY_PREFIX = "replay-"
CLUSTER = "kafka-cluster"

Kind = Literal["topic", "group", "transactional_id", "cluster"]
Role = Literal["job", "platform"]
"""`job`: the Flink jobs; `platform`: what is around them: clock, feed, probe, topics, replays, monitoring."""


@dataclass(frozen=True)
class Rule:
    """Operations on every resource whose name begins with `prefix`; of the cluster, on the cluster."""

    kind: Kind
    prefix: str
    operations: tuple[str, ...]
    """Kafka's names, in capitals. READ, WRITE and DELETE imply DESCRIBE."""
    role: Role
    why: str


def rules(settings: Settings, role: Role | None = None) -> tuple[Rule, ...]:
    """Every rule, or those of one role; pure.

    Names are prefixes: they cover the twins of a topic that a replay or a drill makes, and the groups of its readers.
    """
    read = (*settings.input_topics, settings.clock_topic)
    committed = settings.final_topics
    found = [Rule("topic", topic, ("READ",), "job", "the job reads it") for topic in read]
    found += [Rule("topic", topic, ("WRITE",), "job", "the job writes it") for topic in settings.output_topics]
    found += [
        # Flink asks who has transactions open on the topic, which takes READ; the table job reads two of them.
        Rule("topic", topic, ("READ",), "job", "the exactly-once sink looks for open transactions")
        for topic in committed
    ]
    found += [
        Rule("group", settings.group_id, ("READ",), "job", "groups of the jobs, and of whoever reads beside them"),
        Rule("transactional_id", settings.transactional_id_prefix, ("WRITE", "DESCRIBE"), "job", "exactly-once sinks"),
    ]
    found += [Rule("topic", topic, ("WRITE",), "platform", "feed and clock write it") for topic in read]
    others = [topic for topic in settings.output_topics if topic not in committed]
    found += [Rule("topic", topic, ("READ",), "platform", "probe and ta watch read it") for topic in others]
    found += [
        Rule("topic", topic, ("CREATE", "DESCRIBE_CONFIGS"), "platform", "topics are declared")
        for topic in (*read, *settings.output_topics)
    ]
    found += [
        Rule("topic", f"{topic}{REPLAY_MARK}", ("DELETE",), "platform", "a replay removes its own topics")
        for topic in settings.output_topics
    ]
    found += [
        Rule("group", REPLAY_PREFIX, ("READ",), "platform", "replays and drills"),
        Rule("transactional_id", REPLAY_PREFIX, ("WRITE", "DESCRIBE"), "platform", "replays and drills"),
        Rule("cluster", CLUSTER, ("DESCRIBE_CONFIGS",), "platform", "the broker's longest transaction is asked for"),
    ]
    return tuple(rule for rule in found if role in {None, rule.role})


def allow(admin: AdminClient, user: str, wanted: Iterable[Rule]) -> None:
    """Put rules in force for `user`; what is in force already is fine.

    Args:
        admin: of a user who may change rules.
        user: SASL user.
        wanted: the rules.

    Raises:
        KafkaSetupError: the broker refused, or did not answer.
    """
    bindings = {binding for rule in wanted for binding in bindings_of(rule, user)}
    if not bindings:
        return
    futures = admin.create_acls(list(bindings), request_timeout=TIMEOUT_SECONDS)
    for binding, future in futures.items():
        try:
            future.result(timeout=2 * TIMEOUT_SECONDS)
        except (KafkaException, TimeoutError) as error:
            reason = error.args[0] if error.args else "no answer"
            raise KafkaSetupError(f"Kafka did not take the rule for {user} on {binding.name}: {reason}") from None


def bindings_of(rule: Rule, user: str) -> list[AclBinding]:
    """The same rule as Kafka has it."""
    pattern = ResourcePatternType.LITERAL if rule.kind == "cluster" else ResourcePatternType.PREFIXED
    kind = ResourceType.BROKER if rule.kind == "cluster" else ResourceType[rule.kind.upper()]
    return [
        AclBinding(kind, rule.prefix, pattern, f"User:{user}", "*", AclOperation[operation], AclPermissionType.ALLOW)
        for operation in rule.operations
    ]
