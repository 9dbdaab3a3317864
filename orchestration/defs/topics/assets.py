"""`kafka_topics`, and every topic as an external asset, so that lineage runs from trades to ClickHouse."""

import dagster as dg

from orchestration.failures import explained
from orchestration.keys import JOB, topic_key
from orchestration.resources import PlatformResource, declared_platform
from orchestration.tables import table
from ta_pipeline.kafka_admin import Topic, declared_topics, ensure_topics, live_topics, plan_topics
from ta_pipeline.settings import Settings

GROUP = "topics"


@dg.asset(group_name=GROUP, kinds={"kafka"}, pool="topics")
def kafka_topics(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Every topic of the platform: created when missing; one that differs from its declaration is left alone."""
    with explained():
        plan = ensure_topics(platform.settings)
        declared = declared_topics(platform.settings)
        live = live_topics(platform.settings, [topic.name for topic in declared])
        drift = {found.topic: found for found in plan_topics(declared, live).drift}
    created = {topic.name for topic in plan.create}
    for name in sorted(created):
        context.log.info(f"created {name}")
    rows = []
    for topic in declared:
        found = live[topic.name]
        state = "created" if topic.name in created else str(drift.get(topic.name, "as declared"))
        retention = found.config.get("retention.ms", "")
        rows.append((topic.name, found.partitions, _hours(retention), found.config.get("cleanup.policy"), state))
    columns = ("topic", "partitions", "retention", "cleanup", "state")
    return dg.MaterializeResult(
        metadata={
            "topics": table(columns, rows),
            "created": len(created),
            "dagster/row_count": len(declared),
        }
    )


@dg.definitions
def topic_specs() -> dg.Definitions:
    """The inputs and outputs of the job as external assets."""
    return dg.Definitions(assets=specs_of(declared_platform().settings))


def specs_of(settings: Settings) -> list[dg.AssetSpec]:
    """One spec for each topic of `settings`; outputs depend on the job."""
    outputs = set(settings.output_topics)
    return [
        dg.AssetSpec(
            topic_key(topic.name),
            deps=[JOB] if topic.name in outputs else [kafka_topics],
            group_name=GROUP,
            kinds={"kafka"},
            description=_described(topic, output=topic.name in outputs),
        )
        for topic in declared_topics(settings)
    ]


def _described(topic: Topic, *, output: bool) -> str:
    side = "Written by the job" if output else "Read by the job"
    return f"{side}. Retention {_hours(str(topic.retention_ms))}, cleanup {topic.cleanup}."


def _hours(retention_ms: str) -> str:
    if not retention_ms.isdigit():
        return retention_ms
    hours = int(retention_ms) / 3_600_000
    return f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"
