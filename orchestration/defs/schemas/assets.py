"""`registered_schemas`: the Avro schema of each topic in the registry, before the job needs it."""

import dagster as dg

from orchestration.failures import explained
from orchestration.resources import PlatformResource
from orchestration.tables import table
from ta_pipeline.schema_registry import COMPATIBILITY, SubjectPlan, ensure_schemas

_DONE = {"register": "registered", "evolve": "new version", "unchanged": "unchanged"}


@dg.asset(group_name="schemas", kinds={"avro"}, pool="schemas")
def registered_schemas(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """All are checked before any is registered; only what changed is registered; each subject is BACKWARD."""
    with explained():
        plans = ensure_schemas(platform.settings)
    changed = [plan for plan in plans if plan.action != "unchanged"]
    for plan in changed:
        context.log.info(f"{plan.subject.name}: {_DONE[plan.action]} {plan.version}, id {plan.schema_id}")
    return dg.MaterializeResult(
        metadata={
            "subjects": table(("subject", "version", "id", "change"), [_row(plan) for plan in plans]),
            "changed": len(changed),
            "compatibility": COMPATIBILITY,
        }
    )


def _row(plan: SubjectPlan) -> tuple[str, int | None, int | None, str]:
    return (plan.subject.name, plan.version, plan.schema_id, _DONE[plan.action])
