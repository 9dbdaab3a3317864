"""`registered_schemas`: the Avro schema of each topic in the registry, before the job needs it."""

import dagster as dg

from orchestration.failures import explained
from orchestration.resources import PlatformResource
from orchestration.tables import table
from ta_pipeline.schema_registry import COMPATIBILITY, SubjectPlan, ensure_schemas

_DONE = {"register": "registered", "evolve": "new version", "unchanged": "unchanged"}


@dg.asset(group_name="schemas", kinds={"avro"}, pool="schemas")
def registered_schemas(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """All are checked before any is registered; only what changed is registered; each subject is BACKWARD again."""
    with explained():
        plans = ensure_schemas(platform.settings)
    changed = [plan for plan in plans if plan.is_changed]
    for plan in changed:
        context.log.info(
            f"{plan.subject.name}: {_DONE[plan.action]} {plan.version}, id {plan.schema_id}; {_level(plan)}"
        )
    return dg.MaterializeResult(
        metadata={
            "subjects": table(("subject", "version", "id", "change", "compatibility"), [_row(plan) for plan in plans]),
            "changed": len(changed),
            "compatibility": COMPATIBILITY,
        }
    )


def _row(plan: SubjectPlan) -> tuple[str, int | None, int | None, str, str]:
    return (plan.subject.name, plan.version, plan.schema_id, _change(plan), _level(plan))


def _change(plan: SubjectPlan) -> str:
    return _DONE[plan.action] + ("" if plan.newer is None else f", though version {plan.newer} is newer")


def _level(plan: SubjectPlan) -> str:
    return COMPATIBILITY if plan.loosened is None else f"{COMPATIBILITY} again, it was {plan.loosened}"
