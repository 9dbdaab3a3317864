"""The code location as Dagster's own server loads it, and what is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import defs
from ta_pipeline.local.settings import REPOSITORY

SNAPSHOT = Path(__file__).with_name("asset_specs.txt")


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


def test_the_workspace_loads_in_a_server_process_of_its_own() -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    result = subprocess.run(
        [*command, "--workspace", "workspace.yaml", "--load-with-grpc"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "yes"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All code locations passed validation" in result.stdout + result.stderr


def test_every_definition_can_be_executed(loaded: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(loaded)


def test_a_setting_that_is_not_allowed_keeps_the_location_from_loading_and_is_named() -> None:
    command = [sys.executable, "-c", "from orchestration.definitions import defs; defs()"]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "TA_LIVE_SLICE_MS": "5"},
    )  # fmt: skip
    assert result.returncode != 0
    assert "TA_LIVE_SLICE_MS='5' is not allowed" in result.stderr


def test_assets_and_checks_are_those_of_the_snapshot(loaded: dg.Definitions) -> None:
    """A change here is a change of the platform: `SNAPSHOT` is written anew by hand, and read."""
    assert describe(loaded) == SNAPSHOT.read_text(encoding="utf-8")


def describe(definitions: dg.Definitions) -> str:
    """One line for each asset, check, job, sensor and schedule."""
    graph = definitions.resolve_asset_graph()
    lines = []
    for spec in definitions.resolve_all_asset_specs():
        deps = ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)) or "-"
        kinds = "+".join(sorted(spec.kinds))
        partitions = f" by {type(spec.partitions_def).__name__}" if spec.partitions_def else ""
        lines.append(f"asset {spec.key.to_user_string()} [{spec.group_name}, {kinds}]{partitions} <- {deps}")
    for key in graph.asset_check_keys:
        blocking = " (blocking)" if graph.get(key).blocking else ""
        lines.append(f"check {key.asset_key.to_user_string()}: {key.name}{blocking}")
    repository = definitions.get_repository_def()
    lines += [f"job {job.name}" for job in repository.get_all_jobs() if not job.name.startswith("__")]
    lines += [f"sensor {one.name}: {one.default_status.value}" for one in repository.sensor_defs]
    lines += [
        f"schedule {one.name}: {one.cron_schedule}, {one.default_status.value}" for one in repository.schedule_defs
    ]
    return "\n".join(sorted(lines)) + "\n"
