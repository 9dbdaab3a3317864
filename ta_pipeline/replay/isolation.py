"""A replay shares nothing with production that it could write to, and starts from nothing: checked before each one.

What happened elsewhere: a replay with its own group id restored production's state, and wrote into live topics.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ta_pipeline.errors import SettingsError
from ta_pipeline.settings import Settings, load_settings

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}")
_OUTPUTS = ("bars_topic", "signals_topic", "live_topic", "rejects_topic", "late_topic", "status_topic")
_FOLDERS = ("checkpoint_dir", "savepoint_dir", "revision_dir")


def replay_settings(production: Settings, replay_id: str) -> Settings:
    """Production's settings with everything a replay writes to, or is known by, its own.

    Topics get `.replay.<id>`; checkpoints and savepoints lie beside production's in `replays/<id>`; there is no table
    path, and reading starts at the beginning.

    Args:
        production: what the replay is about.
        replay_id: 1 to 80 of a-z 0-9 . -, not used by another replay.

    Raises:
        SettingsError: the id cannot be part of names, or a name gets too long.
    """
    if not _ID.fullmatch(replay_id):
        raise SettingsError(f"replay id {replay_id!r} is not allowed: it has 1 to 80 of a-z 0-9 . - and no other")
    values = production.model_dump()
    own = {name: f"{values[name]}.replay.{replay_id}" for name in _OUTPUTS if values[name]}
    own |= {name: _beside(values[name], replay_id) for name in _FOLDERS}
    own |= {
        # In front: a prefix that begins with production's would be swept up when production looks for its own.
        "transactional_id_prefix": f"replay-{replay_id}-{production.transactional_id_prefix}",
        "group_id": f"replay-{replay_id}-{production.group_id}",
        "k8s_deployment": f"replay-{replay_id}-{production.k8s_deployment}",
        "startup_mode": "earliest",
        "clickhouse_url": "",
    }
    return load_settings(**{**values, **own})


def isolation_problems(production: Settings, replay: Settings, *, restore_from: str | None = None) -> list[str]:
    """Why this replay must not start beside production; empty when it may. Pure.

    Args:
        production: the settings of what must not be touched.
        replay: the settings of the replay.
        restore_from: state the replay would start with; a restore drill, which is about that state, leaves it out.
    """
    problems = [
        f"{_variable(name)} is {topic}, which is {_variable(taken)} of production"
        for name in _OUTPUTS
        if (topic := getattr(replay, name))
        for taken in _topics_of(production)
        if topic == getattr(production, taken)
    ]
    problems += [
        f"{_variable(name)} is {mine!r}, and production's is {theirs!r}: one must not begin with the other"
        for name in ("group_id", "transactional_id_prefix")
        for mine, theirs in [(getattr(replay, name), getattr(production, name))]
        if mine.startswith(theirs) or theirs.startswith(mine)
    ]
    if replay.k8s_deployment == production.k8s_deployment:
        problems.append(f"TA_K8S_DEPLOYMENT is {replay.k8s_deployment!r}, the name of production's job")
    problems += [
        f"{_variable(mine)} is {getattr(replay, mine)}, and production's {_variable(theirs)} is "
        f"{getattr(production, theirs)}: one must not lie in the other"
        for mine in _FOLDERS
        for theirs in _FOLDERS
        if _overlap(getattr(replay, mine), getattr(production, theirs))
    ]
    if replay.clickhouse_url:
        problems.append("TA_CLICKHOUSE_URL is set: the table path of a replay would write to production's database")
    if replay.startup_mode != "earliest":
        problems.append(f"TA_STARTUP_MODE is {replay.startup_mode!r}: a replay reads from the beginning, `earliest`")
    if restore_from:
        problems.append(f"state would be restored from {restore_from}: restored offsets win over every setting")
    return problems


def require_isolation(production: Settings, replay: Settings, *, restore_from: str | None = None) -> None:
    """Refuse a replay that shares something with production.

    Raises:
        SettingsError: with every problem of `isolation_problems`.
    """
    problems = isolation_problems(production, replay, restore_from=restore_from)
    if problems:
        raise SettingsError("the replay was not started, it is not apart from production:\n" + "\n".join(problems))


def _topics_of(settings: Settings) -> list[str]:
    return [name for name in type(settings).model_fields if name.endswith("_topic") and getattr(settings, name)]


def _variable(name: str) -> str:
    return f"TA_{name.upper()}"


def _beside(uri: str, replay_id: str) -> str:
    """`s3a://bucket/a/checkpoints` into `s3a://bucket/a/replays/<id>/checkpoints`."""
    parent, _, name = uri.rstrip("/").rpartition("/")
    return f"{parent}/replays/{replay_id}/{name}"


def _overlap(one: str, other: str) -> bool:
    first, second = (PurePosixPath(re.sub(r"^s3[an]?://", "s3:/", uri.rstrip("/"))) for uri in (one, other))
    return first.is_relative_to(second) or second.is_relative_to(first)
