"""`flink_deployment`: the job runs as declared. What it does when it does not yet is in `ta_pipeline.rollout`."""

import dagster as dg
from pydantic import Field

from orchestration.defs.clickhouse.assets import clickhouse_tables
from orchestration.defs.deployment.outcome import metadata_of, reporter, require_done
from orchestration.defs.schemas.assets import registered_schemas
from orchestration.defs.topics.assets import kafka_topics
from orchestration.failures import explained
from orchestration.keys import JOB, JOB_POOL, topic_key
from orchestration.resources import PlatformResource, declared_platform
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.service import Rollouts

_SETTINGS = declared_platform().settings


class RolloutConfig(dg.Config):
    """How to roll out; what is rolled out are the settings (`TA_*`) and the code of this code location."""

    verify_seconds: float = Field(
        120.0, gt=0, description="how long the new version may take to prove itself before it is rolled back"
    )
    clean_start: bool = Field(False, description="give the state up: indicators warm up anew")
    accept_red_replay: bool = Field(False, description="roll out although the newest replay validation is red")
    force: bool = Field(False, description="roll out although nothing changes: restarts the job from a savepoint")
    restore_from: str = Field("", description="savepoint or checkpoint to start from; empty: the newest state")
    shadow_restore: bool = Field(True, description="restore the new version beside the old one before that is stopped")
    old_job_is_gone: bool = Field(
        False, description="nothing runs at the address of the revision before, although it cannot be asked"
    )

    @property
    def options(self) -> Options:
        """The same for `ta_pipeline`."""
        return Options(**self.model_dump())


@dg.asset(
    key=JOB,
    deps=[
        kafka_topics,
        registered_schemas,
        clickhouse_tables,
        *(topic_key(topic) for topic in (*_SETTINGS.input_topics, _SETTINGS.clock_topic)),
    ],
    group_name="deployment",
    kinds={"flink"},
    pool=JOB_POOL,
)
def flink_deployment(
    context: dg.AssetExecutionContext, config: RolloutConfig, platform: PlatformResource
) -> dg.MaterializeResult[None]:
    """Plan, check, savepoint, deploy, verify, record; back to the old version by itself when it cannot be verified.

    A process of its own carries it out: cancelling this run does not stop it, and the next run joins it.
    """
    report = reporter(context)
    with explained():
        rollouts = Rollouts(platform)
        rollout = rollouts.start(config.options, report)
        if rollout is None:
            current = rollouts.revisions.current()
            return dg.MaterializeResult(
                metadata={"outcome": "unchanged", "revision": current.number if current else None}
            )
        ended = rollouts.follow(rollout, report)
    require_done(ended)
    return dg.MaterializeResult(metadata=metadata_of(ended))
