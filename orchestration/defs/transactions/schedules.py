"""`examine_transactions`, every hour; `platform_health` asks for it when committed readers stand still."""

import dagster as dg

from orchestration.defs.transactions.assets import kafka_transactions

examine_transactions = dg.define_asset_job(
    "examine_transactions",
    selection=dg.AssetSelection.assets(kafka_transactions),
    description="Lists open transactions, whose they are, and who keeps committed readers waiting.",
)
examine_schedule = dg.ScheduleDefinition(
    name="examine_transactions_schedule",
    job=examine_transactions,
    cron_schedule="25 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
