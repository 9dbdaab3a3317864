"""Jobs and when they run: a savepoint every six hours, retention daily, a drill weekly.

A job may not have the name of an asset: Dagster calls the steps by their assets.

A savepoint must not be taken around the open and the close of the session. So the schedule looks often and asks what
is due, instead of firing at fixed hours: a turn that falls into such a window is taken right after it.
"""

from datetime import UTC

import dagster as dg

from orchestration.defs.savepoints.assets import SavepointConfig, restore_drill, savepoint, savepoint_retention
from orchestration.resources import PlatformResource
from ta_pipeline.savepoints.take import why_not_now

take_savepoint = dg.define_asset_job(
    "take_savepoint",
    selection=dg.AssetSelection.assets(savepoint),
    description="Takes a savepoint of the running job and verifies it.",
)
prune_savepoints = dg.define_asset_job(
    "prune_savepoints",
    selection=dg.AssetSelection.assets(savepoint_retention),
    description="Deletes the savepoints, and the copies of the job's code, that nothing needs any more.",
)
run_restore_drill = dg.define_asset_job(
    "run_restore_drill",
    selection=dg.AssetSelection.assets(restore_drill),
    description="Restores the newest verified savepoint beside the running job, into topics of its own.",
)


@dg.schedule(job=take_savepoint, cron_schedule="*/10 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def savepoint_schedule(
    context: dg.ScheduleEvaluationContext, platform: PlatformResource
) -> dg.RunRequest | dg.SkipReason:
    """A savepoint when the newest is `TA_SAVEPOINT_INTERVAL_HOURS` old, but not around an open or a close."""
    now = context.scheduled_execution_time.astimezone(UTC)
    if reason := why_not_now(platform.settings, now):
        return dg.SkipReason(reason)
    if not platform.job.status():
        return dg.SkipReason(f"{platform.settings.k8s_deployment} does not run: there is nothing to save")
    # One attempt an hour while it fails; what is queued behind a rollout is not asked for again either.
    return dg.RunRequest(
        run_key=f"{now:%Y-%m-%dT%H}",
        run_config=dg.RunConfig(ops={"savepoint": SavepointConfig(kind="scheduled")}),
    )


retention_schedule = dg.ScheduleDefinition(
    name="prune_savepoints_schedule",
    job=prune_savepoints,
    cron_schedule="20 2 * * *",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
drill_schedule = dg.ScheduleDefinition(
    name="run_restore_drill_schedule",
    job=run_restore_drill,
    # The market flows, so that output can be seen, and midday is its quietest hour.
    cron_schedule="15 12 * * 3",
    execution_timezone="America/New_York",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
