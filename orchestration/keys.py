"""Asset keys, and the pool, that more than one domain names."""

import dagster as dg

JOB = dg.AssetKey("flink_deployment")
"""The running job: what the topics come from, and what everything before it is for."""
JOB_POOL = "job"
"""Rollouts, savepoints, drills: what touches the job, or what a rollback may need, never runs beside another."""


def topic_key(topic: str) -> dg.AssetKey:
    """A Kafka topic."""
    return dg.AssetKey(["kafka", topic])


def table_key(database: str, name: str) -> dg.AssetKey:
    """A table or view in ClickHouse."""
    return dg.AssetKey(["clickhouse", database, name])
