"""The verdicts as checks of the job, on demand; the sensor evaluates the same ones all the time."""

from collections.abc import Iterator

import dagster as dg

from orchestration.defs.monitoring.events import check_result
from orchestration.keys import JOB
from orchestration.resources import NowResource, PlatformResource
from ta_pipeline.monitoring.judge import QUESTIONS, judge
from ta_pipeline.monitoring.snapshot import take_snapshot


@dg.multi_asset_check(
    specs=[dg.AssetCheckSpec(name, asset=JOB, description=holds) for name, holds in QUESTIONS.items()],
    can_subset=True,
)
def platform_verdicts(
    context: dg.AssetCheckExecutionContext, platform: PlatformResource, now_ms: NowResource
) -> Iterator[dg.AssetCheckResult]:
    """Asks everything now. Counters that only grow are judged over time, so by the sensor only."""
    asked = {key.name for key in context.selected_asset_check_keys}
    for verdict in judge(take_snapshot(platform, now_ms())):
        if verdict.name in asked:
            yield check_result(verdict)
