"""What the registry holds is what the job was built with: blocks the rollout."""

import dagster as dg

from orchestration.defs.schemas.assets import registered_schemas
from orchestration.resources import PlatformResource
from orchestration.verdicts import verdict
from ta_pipeline.errors import SchemaError
from ta_pipeline.schema_registry import plan_schemas, wrong_compatibility


@dg.asset_check(asset=registered_schemas, blocking=True)
def schemas_compatible(platform: PlatformResource) -> dg.AssetCheckResult:
    """Every declared schema can read what its newest registered version wrote; the reason names subject and field."""
    try:
        plans = plan_schemas(platform.settings)
        problems = [
            f"{plan.subject.name}: the declared schema is not registered"
            for plan in plans
            if plan.action != "unchanged"
        ]
        problems += wrong_compatibility(platform.settings, [plan.subject.name for plan in plans])
    except SchemaError as error:
        problems = [str(error)]
    return verdict(
        problems,
        "every declared schema is registered and can read the newest version of its subject; each subject is BACKWARD",
    )
