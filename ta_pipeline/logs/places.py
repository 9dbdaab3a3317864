"""Where the logs of the local stack are: one file a component, one a rollout, one for Dagster."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
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


def folders(directory: Path, components: Iterable[str]) -> list[Path]:
    """Where the logs of these components are looked for."""
    return list(dict.fromkeys((directory / PLACES[name]).parent for name in components))


@dataclass(frozen=True)
class Found:
    """What there is of the logs that are asked for."""

    readable: int
    """Files that can be read, rotated ones too."""
    refused: tuple[str, ...]
    """Files and folders that are there and cannot be read, each with the reason."""


def look(directory: Path, components: Iterable[str]) -> Found:
    """Which logs of these components can be read.

    Args:
        directory: of the stack.
        components: names of `PLACES`.
    """
    names = list(components)
    refused = [why for folder in folders(directory, names) if (why := _refusal(folder))]
    readable = 0
    for path in (path for file in log_files(directory, names) for path in file.paths()):
        try:
            with path.open("rb"):
                readable += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append(f"{path}: {error.strerror}")
    return Found(readable, tuple(refused))


def _refusal(folder: Path) -> str:
    try:
        os.listdir(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""


def _paths(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern)) if "*" in pattern else [directory / pattern]
