"""What must hold before the job starts: the exactly-once sinks restart for ever, silently, when a topic is missing.

Each check gives problems as text; the command line refuses to start, and asset checks will block, on any of them.
"""

from __future__ import annotations

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from ta_pipeline.clickhouse import plan_migrations
from ta_pipeline.errors import ClickHouseNoAnswerError
from ta_pipeline.kafka_admin import broker_config, declared_topics, live_topics, plan_topics
from ta_pipeline.kafka_refusals import ask, client_with
from ta_pipeline.s3 import object_exists, s3_client
from ta_pipeline.schema_registry import declared_subjects, plan_schemas
from ta_pipeline.settings import Settings

_S3 = ("s3://", "s3a://", "s3n://")
KAFKA_SECONDS = 15.0
MAX_TIMEOUT = "transaction.max.timeout.ms"
CLICKHOUSE_SECONDS = 5
"""The job is not kept waiting for a ClickHouse that hangs."""


def problems(settings: Settings) -> list[str]:
    """Everything that would keep the job from running; empty when it may start.

    Raises:
        KafkaSetupError: the broker cannot be reached, or does not let us into the job's consumer group.
        ClickHouseError: ClickHouse refuses what is asked of it.
        S3Error: S3 refuses, or cannot be reached.
        SchemaError: the registry refuses, or cannot be reached, and topics are Avro.
    """
    require_store(settings)
    require_registry(settings)
    require_group(settings)
    try:
        tables = table_problems(settings, CLICKHOUSE_SECONDS)
    except ClickHouseNoAnswerError:
        # The table job waits for it; the Kafka path does without.
        tables = []
    return [*topic_problems(settings), *transaction_problems(settings), *tables]


def require_store(settings: Settings) -> None:
    """Check that S3 lets us in where checkpoints go: Flink's client would try for minutes with keys that are wrong.

    Raises:
        S3Error: it does not, or cannot be reached.
    """
    if settings.checkpoint_dir.startswith(_S3):
        object_exists(s3_client(settings), f"{settings.checkpoint_dir}/_metadata")


def require_registry(settings: Settings) -> None:
    """Check that the registry lets us in, where topics are Avro: of a job that it refuses Flink does not tell why.

    Raises:
        SchemaError: it does not, or cannot be reached.
    """
    if "avro-confluent" in {settings.input_format, settings.output_format}:
        plan_schemas(settings, declared_subjects(settings)[:1])


def require_group(settings: Settings) -> None:
    """Check that Kafka lets us into the job's consumer group: the job itself notices after its first checkpoint.

    Raises:
        KafkaSetupError: it does not, or cannot be reached.
    """
    admin, refusals = client_with(settings, AdminClient)
    group = ConsumerGroupTopicPartitions(settings.group_id)

    def positions(seconds: float) -> object:
        asked = admin.list_consumer_group_offsets([group], request_timeout=seconds)
        return asked[settings.group_id].result(timeout=2 * seconds)

    ask(admin, refusals, positions, KAFKA_SECONDS)


def topic_problems(settings: Settings) -> list[str]:
    """Declared topics that are missing or have drifted."""
    declared = declared_topics(settings)
    plan = plan_topics(declared, live_topics(settings, [topic.name for topic in declared]))
    missing = [f"topic {topic.name} does not exist; `ta up` creates it on the local stack" for topic in plan.create]
    return [*missing, *(f"topic {drift}" for drift in plan.drift)]


def transaction_problems(settings: Settings) -> list[str]:
    """A transaction timeout that the broker would refuse."""
    if settings.delivery_guarantee != "exactly-once":
        return []
    allowed = int(broker_config(settings).get(MAX_TIMEOUT, "900000"))
    if settings.transaction_timeout_ms <= allowed:
        return []
    return [
        f"TA_TRANSACTION_TIMEOUT_MS is {settings.transaction_timeout_ms}, but the broker allows at most {allowed} "
        f"({MAX_TIMEOUT}); lower it or raise the broker's maximum"
    ]


def table_problems(settings: Settings, timeout_seconds: int | None = None) -> list[str]:
    """Migrations that were not applied; none when there is no ClickHouse.

    Args:
        settings: where it is.
        timeout_seconds: longest wait for its answer; default: the driver's.

    Raises:
        ClickHouseNoAnswerError: it does not answer.
        ClickHouseError: it refuses.
    """
    if not settings.clickhouse_url:
        return []
    return [
        f"migration {migration.number:04d}_{migration.name} was not applied to ClickHouse"
        for migration in plan_migrations(settings, timeout_seconds=timeout_seconds).pending
    ]
