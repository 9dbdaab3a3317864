"""Topics are as declared, and the broker accepts the job's transactions: both block the rollout."""

import dagster as dg

from orchestration.defs.topics.assets import kafka_topics
from orchestration.failures import explained
from orchestration.resources import PlatformResource
from orchestration.verdicts import verdict
from ta_pipeline.preflight import topic_problems, transaction_problems


@dg.asset_check(asset=kafka_topics, blocking=True)
def topics_as_declared(platform: PlatformResource) -> dg.AssetCheckResult:
    """Each declared topic exists, with its partitions, retention and cleanup."""
    with explained():
        problems = topic_problems(platform.settings)
    return verdict(problems, "every topic exists as declared")


@dg.asset_check(asset=kafka_topics, blocking=True)
def transactions_allowed(platform: PlatformResource) -> dg.AssetCheckResult:
    """The job's transaction timeout is within the broker's maximum."""
    with explained():
        problems = transaction_problems(platform.settings)
    return verdict(problems, "the broker allows the transaction timeout")
