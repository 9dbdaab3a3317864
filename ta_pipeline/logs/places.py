"""Where the logs of the local stack are: one file a component, one a rollout, one for Dagster."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ta_pipeline.local.settings import COMPONENTS
from ta_pipeline.logs.files import LogFile

PLACES: dict[str, str] = {
    **{name: f"logs/{name}.log" for name in (*COMPONENTS, "supervisord")},
    "dagster": "logs/dagster.log",
    "rollout": "rollouts/*.log",
}
"""Patterns below the directory of the stack (`TA_LOCAL_DIR`), by component."""


def log_files(directory: Path, components: Iterable[str]) -> list[LogFile]:
    """The logs of these components; a file with a name of its own need not be there yet.

    Args:
        directory: of the stack.
        components: names of `PLACES`.
    """
    return [LogFile(name, path) for name in components for path in _paths(directory, PLACES[name])]


def _paths(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern)) if "*" in pattern else [directory / pattern]
