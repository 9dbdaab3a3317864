"""An outage that was longer than Kafka keeps a transaction: what the state had pre-committed is gone."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ta_pipeline.errors import StateError
from ta_pipeline.retained import written_at_ms
from ta_pipeline.revisions import Revision
from ta_pipeline.settings import Settings


def outage_note(settings: Settings, path: str, last: Revision | None) -> str:
    """What is to be said of going on from a state, asked of S3; empty when nothing is.

    Args:
        settings: of the job.
        path: the savepoint or checkpoint.
        last: the newest revision: a stop waits for its commits, so what it left is complete however old it is.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    if last is not None and last.outcome == "stopped" and last.savepoint == path:
        return ""
    try:
        return note_of(settings, path, written_at_ms(settings, path), time.time() * 1_000)
    except StateError:
        return ""  # whoever restores it will say so


def note_of(settings: Settings, path: str, written_ms: float, now_ms: float) -> str:
    """The note about a state that was written at a time, epoch milliseconds; pure."""
    age_ms = now_ms - written_ms
    if settings.delivery_guarantee != "exactly-once" or age_ms <= settings.transaction_timeout_ms:
        return ""
    since = datetime.fromtimestamp((written_ms - settings.transaction_timeout_ms) / 1_000, UTC)
    return (
        f"{path} is {age_ms / 1_000:.0f} s old, older than TA_TRANSACTION_TIMEOUT_MS="
        f"{settings.transaction_timeout_ms}: Kafka has aborted what it had pre-committed, unless a later checkpoint "
        "committed that; when the job has run for some minutes, find it and give it out: "
        f"ta recover --gap --from {since:%Y-%m-%dT%H:%M:%SZ}"
    )
