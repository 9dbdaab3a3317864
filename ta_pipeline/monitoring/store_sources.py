"""What S3, ClickHouse and the probe say."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import requests

from ta_pipeline.clickhouse import DATABASE, client_of, rows_of
from ta_pipeline.errors import MonitoringError
from ta_pipeline.latency import LatencySummary
from ta_pipeline.probe_window import Counts, JobBeat, Window
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.s3 import object_exists, s3_client
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 1.0
TABLES = {"ta_microbars": "bars", "ta_signals": "signals"}
"""The tables, and the probe's channel that each is filled from."""
STEADY_INTERVAL_MS = 2_000
"""Flink keeps three checkpoints and tells the newest up to 3 s late: with shorter intervals it may be gone by then."""


@dataclass(frozen=True)
class StoreStatus:
    """What S3 holds about what should run."""

    newest: Revision | None
    """The newest record of a rollout, of any outcome; None: nothing was ever rolled out."""
    current: Revision | None
    """What should be running now."""


@dataclass(frozen=True)
class ClickHouseStatus:
    """The newest `event_ts` of each table (epoch milliseconds), 1-minute signals left out; None: it has no rows."""

    newest_event_ms: Mapping[str, int | None]


@dataclass(frozen=True)
class Seen(Window):
    """What the probe saw lately, and what it was promised."""

    final_within_ms: int


@dataclass(frozen=True)
class ProbeStatus:
    """What the probe says of itself, and what it saw; None while it cannot read."""

    alive_ms: int
    trouble: str | None
    seen: Seen | None


def ask_store(settings: Settings) -> StoreStatus:
    """Ask S3.

    Raises:
        S3Error: it refuses or does not answer.
    """
    return StoreStatus(*RevisionStore(settings, _s3(settings)).newest_and_current())


def ask_checkpoint(settings: Settings, path: str, interval_ms: int | None) -> bool | None:
    """Whether a completed checkpoint is in S3; None where the answer would be old before it is there.

    Raises:
        S3Error: it refuses or does not answer.
    """
    if interval_ms is None or interval_ms < STEADY_INTERVAL_MS or not path.startswith(("s3://", "s3a://")):
        return None
    return object_exists(_s3(settings), f"{path}/_metadata")


def ask_clickhouse(settings: Settings) -> ClickHouseStatus:
    """Ask ClickHouse.

    Raises:
        ClickHouseError: it refuses or does not answer.
    """
    with closing(client_of(settings, timeout_seconds=round(TIMEOUT_SECONDS))) as client:
        union = " UNION ALL ".join(
            # A day is enough, and a few parts: what is older than that is as good as nothing.
            f"SELECT '{table}', max(toUnixTimestamp64Milli(event_ts)) FROM {DATABASE}.{table} "  # noqa: S608 - constants
            f"WHERE event_ts > now() - INTERVAL 1 DAY{where}"
            for table, where in (("ta_microbars", ""), ("ta_signals", " AND window_size = 'PT1S'"))
        )
        rows = rows_of(settings, client, union, {})
    return ClickHouseStatus({str(table): int(ms) or None for table, ms in rows})


def ask_probe(settings: Settings) -> ProbeStatus:
    """Ask the probe.

    Raises:
        MonitoringError: it does not answer, or not like a probe.
    """
    url = f"{settings.probe_url.rstrip('/')}/report"
    try:
        answer = requests.get(url, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise MonitoringError(
            f"the probe does not answer at {url} (TA_PROBE_URL): {type(error).__name__}; `ta up` runs it on the local "
            "stack, `ta probe --serve` anywhere"
        ) from None
    return parse_probe(answer.json())


def parse_probe(answer: Mapping[str, Any]) -> ProbeStatus:
    """From the probe's `/report`."""
    seen = answer["seen"]
    return ProbeStatus(answer["alive_ms"], answer["trouble"], _seen(seen) if seen else None)


def _seen(found: Mapping[str, Any]) -> Seen:
    beat = found["job_beat"]
    return Seen(
        at_ms=found["at_ms"],
        since_ms=found["since_ms"],
        short={path: LatencySummary(**summary) for path, summary in found["short"].items()},
        long={path: LatencySummary(**summary) for path, summary in found["long"].items()},
        recent=Counts(**found["recent"]),
        newest_event_ms=found["newest_event_ms"],
        job_beat=JobBeat(**beat) if beat else None,
        final_within_ms=found["total"]["final_within_ms"],
    )


@lru_cache(maxsize=8)
def _s3(settings: Settings) -> Any:
    """A client that gives up soon; made once, because making one takes longer than asking."""
    return s3_client(settings, connect_seconds=TIMEOUT_SECONDS, read_seconds=TIMEOUT_SECONDS, retries=0)
