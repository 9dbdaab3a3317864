"""A day and a symbol replayed from wherever their messages are; what Dagster's partitions and `ta validate` run."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.replay.inputs import day_bounds, recordings_of
from ta_pipeline.replay.topics import emitted_frames, record_day
from ta_pipeline.replay.validate import Mend, Progress, Replay, validate
from ta_pipeline.settings import Settings

Source = Literal["recordings", "topics"]


def default_source(settings: Settings) -> Source:
    """Recordings where `TA_RECORDINGS_DIR` is set, else the retained range of the topics."""
    return "recordings" if settings.recordings_dir else "topics"


def replay_day(
    production: Settings,
    day: date,
    symbol: str,
    scratch: Path,
    *,
    source: Source,
    with_production: bool,
    mend: Mend = lambda frames: frames,
    progress: Progress = lambda _step, _done, _all: None,
    local: LocalSettings | None = None,
) -> Replay:
    """Replay one day of one symbol and judge what comes out.

    Args:
        production: the settings the replay is about, and must stay apart from.
        day: which.
        symbol: which; `inputs.ALL`: every one.
        scratch: folder for what is read and computed, made when missing.
        source: where the messages are.
        with_production: compare with what production's topics hold of that day, too.
        mend: see `validate`.
        progress: called often.
        local: where the jars are.

    Raises:
        TaError: the messages cannot be had, the replay is not apart from production, or the job failed.
    """
    bounds = day_bounds(day, production)
    if source == "recordings":
        files = recordings_of(production, day, symbol)
        named = ", ".join(path.name for path in files)
    else:
        files = record_day(
            production, bounds, symbol, scratch / "topics", progress=lambda read: progress("reading topics", read, 0)
        )
        named = f"topics {', '.join(production.input_topics)}"
    emitted = None
    if with_production:
        emitted = emitted_frames(
            production, bounds, symbol, progress=lambda read: progress("reading production's output", read, 0)
        )
    return validate(
        files, scratch / "output", production, day=day.isoformat(), symbol=symbol, source=named, emitted=emitted,
        mend=mend, progress=progress, local=local,
    )  # fmt: skip
