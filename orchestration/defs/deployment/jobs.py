"""`bootstrap`, `upgrade`, `rollback`, `stop`: what people start."""

import dagster as dg
from pydantic import Field

from orchestration.defs.clickhouse.assets import clickhouse_tables
from orchestration.defs.deployment.assets import flink_deployment
from orchestration.defs.deployment.outcome import metadata_of, reporter, require_done
from orchestration.defs.schemas.assets import registered_schemas
from orchestration.defs.topics.assets import kafka_topics
from orchestration.failures import explained
from orchestration.keys import JOB_POOL
from orchestration.resources import PlatformResource
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.service import Rollouts

_BEFORE = dg.AssetSelection.assets(kafka_topics, registered_schemas, clickhouse_tables)

declare = dg.define_asset_job(
    "declare",
    selection=_BEFORE,
    description="Topics, schemas and tables as they are declared; the job is left alone.",
)

bootstrap = dg.define_asset_job(
    "bootstrap",
    selection=_BEFORE | dg.AssetSelection.assets(flink_deployment).without_checks(),
    description="Topics, schemas, tables, and the job on top of them: from nothing to RUNNING with fresh signals.",
)

upgrade = dg.define_asset_job(
    "upgrade",
    selection=_BEFORE | dg.AssetSelection.assets(flink_deployment).without_checks(),
    description="The declared settings and code replace what runs, with a savepoint in between; else it rolls back.",
)


class RollbackConfig(dg.Config):
    """Where to return to."""

    revision: int = Field(0, ge=0, description="number of the revision; 0: the newest other version that ran")
    restore_from: str = Field("", description="savepoint to restore; empty: the one taken at the stop")
    verify_seconds: float = Field(120.0, gt=0, description="how long the version may take to prove itself")
    shadow_restore: bool = Field(False, description="restore it beside what runs before that is stopped")
    old_job_is_gone: bool = Field(
        False, description="nothing runs at the address of the current revision, although it cannot be asked"
    )


@dg.op(pool=JOB_POOL)
def roll_back(context: dg.OpExecutionContext, config: RollbackConfig, platform: PlatformResource) -> None:
    """Return to an older revision: its settings and its code, from the state at the stop."""
    report = reporter(context)
    options = Options(
        verify_seconds=config.verify_seconds,
        restore_from=config.restore_from,
        old_job_is_gone=config.old_job_is_gone,
        shadow_restore=config.shadow_restore,
    )
    with explained():
        rollouts = Rollouts(platform)
        ended = rollouts.follow(rollouts.start_rollback(config.revision or None, options, report), report)
    require_done(ended)
    context.log_event(dg.AssetMaterialization(flink_deployment.key, metadata=metadata_of(ended)))


@dg.op(pool=JOB_POOL)
def stop_job(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Stop the job with a savepoint, from which the next rollout goes on."""
    report = reporter(context)
    with explained():
        rollouts = Rollouts(platform)
        ended = rollouts.follow(rollouts.start_stop(report), report)
    require_done(ended)
    context.log_event(dg.AssetObservation(flink_deployment.key, metadata=metadata_of(ended)))


@dg.job(description="Return to an older revision of the job.")
def rollback() -> None:
    """One step: the steps of a rollout are in its journal."""
    roll_back()


@dg.job(description="Stop the job with a savepoint.")
def stop() -> None:
    """One step: the steps of a rollout are in its journal."""
    stop_job()
