"""Under which settings a restore drill runs: isolated as a replay is, and on production's inputs.

The restored state holds production's places in its inputs, so the drill reads on from there, as the job would. What it
writes goes into topics of its own, and is JSON whatever production's format is: no schema has to be registered for
topics that live for minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ta_pipeline.errors import SettingsError
from ta_pipeline.settings import Settings

Isolate = Callable[[Settings, str], Settings]
"""Production's settings and an id to those of a replay: own topics, group, transactions, folders; the same inputs."""

_STAMP = "%Y%m%d-%H%M%S"
_TWIN = r"(.+)\.replay\.({kind}-\d{{8}}-\d{{6}})"
_LONGEST_INTERVAL_MS = 5_000
"""A drill shows what it commits: it need not wait for production's interval."""


def drill_id(now: datetime, kind: str = "drill") -> str:
    """The name of a drill that starts now; drills of a kind do not start twice in a second."""
    return f"{kind}-{now.astimezone(UTC):{_STAMP}}"


def drill_settings(production: Settings, number: str, isolate: Isolate) -> Settings:
    """The settings of one drill.

    Args:
        production: of the job whose savepoint is restored.
        number: from `drill_id`.
        isolate: makes the settings of a replay; topics become `<topic>.replay.<number>`.
    """
    own = {
        "k8s_deployment": f"{production.k8s_deployment}-{number}",
        "output_format": "json",
        "clickhouse_url": "",
        "checkpoint_interval_ms": min(production.checkpoint_interval_ms, _LONGEST_INTERVAL_MS),
    }
    return isolate(production, number).model_copy(update=own)


def drill_folders(settings: Settings, number: str) -> tuple[str, str]:
    """Where a drill with these settings keeps state: all of it is deleted afterwards.

    Raises:
        SettingsError: a folder is not the drill's own.
    """
    folders = (settings.checkpoint_dir.rstrip("/"), settings.savepoint_dir.rstrip("/"))
    for folder in folders:
        if number not in folder.split("/"):
            raise SettingsError(f"{folder} is not a folder of {number}: what lies there is not deleted")
    return folders


def drills_of(production: Settings, topics: Iterable[str], kind: str = "drill") -> dict[str, list[str]]:
    """The drills of a kind that these topics belong to, with their topics; pure. Other deployments' are left out."""
    found: dict[str, list[str]] = {}
    for topic in topics:
        twin = re.fullmatch(_TWIN.format(kind=kind), topic)
        if twin and twin.group(1) in production.output_topics:
            found.setdefault(twin.group(2), []).append(topic)
    return found
