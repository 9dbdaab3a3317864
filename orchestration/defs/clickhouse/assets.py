"""`clickhouse_tables`, and the tables as external assets behind the topics they are filled from."""

import dagster as dg

from orchestration.failures import explained
from orchestration.keys import table_key, topic_key
from orchestration.resources import PlatformResource, declared_platform
from orchestration.tables import table
from ta_pipeline.clickhouse import DATABASE, apply_migrations, plan_migrations
from ta_pipeline.settings import Settings

GROUP = "clickhouse"


@dg.asset(group_name=GROUP, kinds={"clickhouse"}, pool="clickhouse")
def clickhouse_tables(context: dg.AssetExecutionContext, platform: PlatformResource) -> dg.MaterializeResult[None]:
    """Numbered migrations, applied once each; the log has what would change before it changes. Nothing is dropped."""
    if not platform.settings.clickhouse_url:
        context.log.info("TA_CLICKHOUSE_URL is empty: there is no table path")
        return dg.MaterializeResult(metadata={"state": "off"})
    with explained():
        plan = plan_migrations(platform.settings)
        for migration in plan.pending:
            context.log.info("\n".join([f"{migration} will run:", *migration.statements(DATABASE, "")]))
        apply_migrations(platform.settings)
    rows = [(m.number, m.name, "before", m.checksum[:12]) for m in plan.applied]
    rows += [(m.number, m.name, "now", m.checksum[:12]) for m in plan.pending]
    return dg.MaterializeResult(
        metadata={
            "migrations": table(("number", "name", "applied", "checksum"), rows),
            "applied": len(plan.pending),
            "database": DATABASE,
        }
    )


@dg.definitions
def table_specs() -> dg.Definitions:
    """The tables and the views readers use."""
    return dg.Definitions(assets=specs_of(declared_platform().settings))


def specs_of(settings: Settings) -> list[dg.AssetSpec]:
    """One spec for each table and view; none when there is no ClickHouse."""
    if not settings.clickhouse_url:
        return []
    sources = {"ta_microbars": settings.bars_topic, "ta_signals": settings.signals_topic}
    tables = [
        dg.AssetSpec(
            table_key(DATABASE, name),
            deps=[topic_key(topic), clickhouse_tables],
            group_name=GROUP,
            kinds={"clickhouse"},
            description=f"Filled by the table job from {topic}.",
        )
        for name, topic in sources.items()
    ]
    views = [
        dg.AssetSpec(
            table_key(DATABASE, f"{name}_latest"),
            deps=[table_key(DATABASE, name)],
            group_name=GROUP,
            kinds={"clickhouse", "view"},
            description="What readers ask: one row for each key, the newest revision.",
        )
        for name in sources
    ]
    return [*tables, *views]
