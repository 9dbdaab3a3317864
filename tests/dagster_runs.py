"""Assets and checks run as Dagster runs them, on a deployment of the test's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.resources import NOW, PLATFORM, epoch_ms
from ta_pipeline.platform import Platform

Runnable = dg.AssetsDefinition | dg.AssetChecksDefinition | dg.AssetSpec


def materialize(
    platform: Platform, assets: Sequence[Runnable], config: Mapping[str, Any] | None = None
) -> dg.ExecuteInProcessResult:
    """Materialize what is in `assets`, and run the checks in it; a failure is in the result, not raised.

    Args:
        platform: what they work on.
        assets: assets and checks.
        config: of the only asset that takes any, by its name: `{"flink_deployment": {...}}`.
    """
    ops = {name: {"config": dict(values)} for name, values in (config or {}).items()}
    checks = [one for one in assets if isinstance(one, dg.AssetChecksDefinition)]
    selection = dg.AssetSelection.checks(*checks) if len(checks) == len(assets) else None
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            assets, resources={PLATFORM: platform, NOW: epoch_ms}, run_config={"ops": ops} if ops else None,
            raise_on_error=False, instance=instance, selection=selection,
        )  # fmt: skip


def metadata(result: dg.ExecuteInProcessResult, key: str) -> dict[str, Any]:
    """The metadata of an asset's materialization: plain values, tables as lists of rows."""
    (event,) = result.asset_materializations_for_node(key)
    return {name: _plain(value) for name, value in event.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Why the step failed, as Dagster shows it."""
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    data = event.step_failure_data
    assert data.user_failure_data is not None, data.error
    return str(data.user_failure_data.description)


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    """The evaluation of one check."""
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def _plain(value: dg.MetadataValue[Any]) -> Any:
    if isinstance(value, dg.TableMetadataValue):
        return [dict(record.data) for record in value.records]
    return value.value
