"""The code location: every domain under `defs/`, and the deployment they all work on."""

from pathlib import Path

import dagster as dg

from orchestration.resources import NOW, PLATFORM, declared_platform, epoch_ms


@dg.definitions
def defs() -> dg.Definitions:
    """Everything Dagster loads."""
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(resources={PLATFORM: declared_platform(), NOW: epoch_ms}),
    )
