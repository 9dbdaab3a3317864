"""The job that replays a day: what people launch and backfill."""

import dagster as dg

from orchestration.defs.replay.assets import replay_validation

validate_replay = dg.define_asset_job(
    "validate_replay",
    selection=dg.AssetSelection.assets(replay_validation),
    description="Replay a market day through the job, alone, and compare every value; red blocks the next rollout.",
)
