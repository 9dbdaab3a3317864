"""`savepoint`, `savepoint_retention` and `restore_drill`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import dagster as dg

from orchestration.defs.savepoints.metadata import catalog_table, plan_table, when
from orchestration.failures import explained
from orchestration.keys import JOB, JOB_POOL
from orchestration.resources import PlatformResource
from orchestration.tables import table
from ta_pipeline.release_retention import apply_release_retention
from ta_pipeline.savepoints.catalog import read_catalog
from ta_pipeline.savepoints.drill import DrillReport, drill
from ta_pipeline.savepoints.retention import apply_retention, retention_of
from ta_pipeline.savepoints.take import take, why_not_now
from ta_pipeline.savepoints.tools import drill_tools

GROUP = "savepoints"
DRILL_PASSED = "restore_drill_passed"


class SavepointConfig(dg.Config):
    """Who asks for a savepoint."""

    kind: Literal["scheduled", "manual"] = "manual"


@dg.asset(group_name=GROUP, kinds={"flink", "s3"}, pool=JOB_POOL, deps=[JOB], output_required=False)
def savepoint(
    context: dg.AssetExecutionContext, config: SavepointConfig, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    """A savepoint of the running job, which runs on.

    A scheduled one that had to wait for a rollout looks again: it may have become needless, or its time may be gone.
    """
    settings, now = platform.settings, datetime.now(UTC)
    with explained():
        if config.kind == "scheduled" and (reason := why_not_now(settings, now)):
            context.log.info(f"no savepoint: {reason}")
            return
        taken = take(settings, platform.job, config.kind, now)
    if taken.trouble:
        context.log.warning(taken.trouble)
    yield dg.MaterializeResult(
        metadata={
            "path": taken.savepoint.path,
            "bytes": taken.savepoint.bytes,
            "seconds": round(taken.seconds, 3),
            "kind": taken.savepoint.kind,
            "savepoints": catalog_table(taken.catalog.savepoints),
        }
    )


@dg.asset(group_name=GROUP, kinds={"s3"}, pool=JOB_POOL, deps=[savepoint])
def savepoint_retention(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Deletes the savepoints, and the copies of the job's code, that nothing needs any more; the job may be down.

    Kept are the newest savepoints, what the running job and a rollback need, the newest verified one, and what is
    young; the code of the newest versions that ran, and what an unfinished rollout needs. What cannot be read may be
    needed: then nothing is deleted.
    """
    settings, now = platform.settings, datetime.now(UTC)
    with explained():
        catalog = read_catalog(settings)
        plan = retention_of(settings, catalog, now)
        for reason in plan.unknown:
            context.log.warning(f"nothing is deleted: {reason}")
        deleted = apply_retention(settings, plan, now, context.log.info)
        releases = [] if plan.unknown else apply_release_retention(settings, platform.local, now)
    for release in releases:
        context.log.info(f"deleted release {release} of the code")
    return dg.MaterializeResult(
        metadata={
            "plan": plan_table(catalog.savepoints, plan, deleted),
            "kept": len(catalog.savepoints) - len(deleted),
            "deleted": len(deleted),
            "bytes deleted": sum(one.bytes for one in plan.delete if one.path in deleted),
            "releases deleted": len(releases),
            "not known": "; ".join(plan.unknown) or "nothing",
        }
    )


@dg.asset(
    group_name=GROUP,
    kinds={"flink"},
    pool=JOB_POOL,
    deps=[savepoint],
    check_specs=[
        dg.AssetCheckSpec(
            DRILL_PASSED,
            asset="restore_drill",
            description="The newest verified savepoint was restored, completed a checkpoint and wrote bars.",
        )
    ],
)
def restore_drill(
    context: dg.AssetExecutionContext, platform: PlatformResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Restores the newest verified savepoint into topics of its own, looks at it, and removes all of it."""
    with explained():
        found = read_catalog(platform.settings).newest_verified
        if found is None:
            raise dg.Failure(
                "there is no verified savepoint to restore; materialize savepoint, or run `ta savepoint verify`",
                allow_retries=False,
            )
        report = drill(platform.settings, found, drill_tools(platform), datetime.now(UTC), report=context.log.info)
    description = "\n".join(report.problems) or f"restored {found.name}; {report.output}"
    yield dg.MaterializeResult(
        metadata={
            "verdict": "passed" if report.passed else "failed",
            **_shown(report),
            "taken at": when(found.taken_at),
        },
        check_results=[dg.AssetCheckResult(passed=report.passed, check_name=DRILL_PASSED, description=description)],
    )


def _shown(report: DrillReport) -> dict[str, str | float | dg.TableMetadataValue | None]:
    return {
        "savepoint": report.savepoint,
        "drill": report.number,
        "problems": "\n".join(report.problems) or "none",
        "seconds to the first checkpoint": report.restore_seconds,
        "output": report.output or "none",
        "steps": table(("step", "what"), list(enumerate(report.steps, 1))),
    }
