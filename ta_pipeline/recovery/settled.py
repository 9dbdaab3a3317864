"""Is the job through with its inputs? When the market is closed, nothing else tells that it computes nothing again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from ta_pipeline.platform import Platform
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.rollout.running import running_job

POLL_SECONDS = 0.5
_CHECKPOINTS = 2
"""The first may have begun before the last record; what the second has committed, has been committed then."""


def is_settled(platform: Platform, *, pause: Callable[[float], None] = time.sleep) -> bool:
    """Whether the job runs, has read everything, and has committed what came of it, while nothing more came.

    Takes two checkpoints and `TA_BAR_CLOSE_TIMEOUT_MS`, after which the last bar is closed; no time when it has not.

    Raises:
        FlinkError: Flink does not answer.
        KafkaSetupError: the broker cannot be reached.
    """
    settings = platform.settings
    begun = running_job(platform)
    if begun is None or begun.state != "RUNNING":
        return False
    with closing(Offsets(settings)) as offsets:
        ends = offsets.ends_of(settings.input_topics)
        if offsets.left_of(settings.group_id, ends):
            return False
        closed = time.monotonic() + settings.bar_close_timeout_ms / 1_000
        patience = closed + (settings.checkpoint_timeout_ms + _CHECKPOINTS * settings.checkpoint_interval_ms) / 1_000
        first: int | None = None
        while time.monotonic() < patience:
            pause(POLL_SECONDS)
            now = running_job(platform)
            if now is None or now.job_id != begun.job_id or now.restarts != begun.restarts:
                return False
            if offsets.ends_of(settings.input_topics) != ends:
                return False
            if time.monotonic() < closed:
                continue
            first = now.checkpoints_completed if first is None else first
            if now.checkpoints_completed >= first + _CHECKPOINTS:
                return True
    return False
