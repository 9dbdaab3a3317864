"""Verdicts where the next rollout finds them: small JSON objects under `TA_REPLAY_DIR`, beside the savepoints.

`verdict-<day>-<symbol>.json` is the newest verdict of that day and symbol, `newest.json` the newest of all. They
outlive Dagster's database, and can be read while it is down.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from ta_pipeline.errors import S3Error
from ta_pipeline.revisions import settings_hash
from ta_pipeline.s3 import ensure_bucket, list_keys, read_object, s3_client, split_uri, write_object
from ta_pipeline.settings import Settings

if TYPE_CHECKING:  # rollouts read verdicts, and never pandas
    from ta_pipeline.replay.validate import Replay

_NEWEST = "newest"


@dataclass(frozen=True)
class RecordedVerdict:
    """What is kept of a verdict.

    Attributes:
        at: when it was recorded, RFC 3339, UTC.
        day: of the messages, ISO 8601.
        symbol: or `all`.
        is_green: the verdict.
        job_is_green: of the job against pandas alone, whatever production gave out.
        summary: one sentence.
        problems: what was wrong, a line each; the first twenty.
        replay_id: of the replay.
        source: where the messages came from.
        settings_hash: of the settings the job ran with (`ta_pipeline.revisions.settings_hash`).
        seconds: that the replay took.
    """

    at: str
    day: str
    symbol: str
    is_green: bool
    job_is_green: bool
    summary: str
    problems: tuple[str, ...]
    replay_id: str
    source: str
    settings_hash: str
    seconds: float

    def __str__(self) -> str:
        colour = "green" if self.is_green else "red"
        return f"{colour} ({self.day} {self.symbol}, {self.at}): {self.summary}"


def record_verdict(settings: Settings, replay: Replay, *, now: datetime | None = None) -> RecordedVerdict:
    """Write the verdict of `replay`, as that of its day and symbol and as the newest; returns what was written.

    Args:
        settings: production's.
        replay: what was found.
        now: when; this machine's clock unless given.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    verdict = replay.verdict
    recorded = RecordedVerdict(
        at=(now or datetime.now(UTC)).isoformat(timespec="seconds").replace("+00:00", "Z"),
        day=replay.day,
        symbol=replay.symbol,
        is_green=verdict.is_green,
        job_is_green=verdict.comparisons[0].is_green,
        summary=verdict.summary(),
        problems=tuple(verdict.problems()[:20]),
        replay_id=replay.replay_id,
        source=replay.source,
        settings_hash=settings_hash(replay.settings.public()),
        seconds=replay.seconds,
    )
    content = orjson.dumps(dataclasses.asdict(recorded), option=orjson.OPT_INDENT_2)
    client = s3_client(settings)
    ensure_bucket(client, split_uri(settings.replay_dir)[0])
    for name in (f"verdict-{replay.day}-{replay.symbol}", _NEWEST):
        write_object(client, f"{settings.replay_dir.rstrip('/')}/{name}.json", content)
    return recorded


def newest_verdict(settings: Settings) -> RecordedVerdict | None:
    """The newest verdict of all; None when no replay was ever recorded.

    Raises:
        S3Error: the store refused, or cannot be reached: that is not the same as no verdict.
    """
    found = _recorded(settings, _NEWEST)
    return found[0] if found else None


def newest_verdicts(settings: Settings) -> list[RecordedVerdict]:
    """The newest verdict of each day and symbol, the oldest record first.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    return sorted(_recorded(settings, "verdict-"), key=lambda verdict: verdict.at)


def blocking_verdicts(settings: Settings) -> list[str]:
    """Why the next rollout must wait, a line for each red verdict; empty when it need not.

    A job that computes a day wrongly is asked about that day again: a green verdict of another day does not make up for
    it. What production gave out on a day stays as it is, so there only the newest verdict of all counts.

    Raises:
        S3Error: the store refused, or cannot be reached.
    """
    newest = newest_verdict(settings)
    red = [verdict for verdict in newest_verdicts(settings) if not verdict.job_is_green]
    if newest is not None and not newest.is_green and newest not in red:
        red.append(newest)
    return [f"replay {one.replay_id} of {one.symbol} on {one.day} is red: {one.summary}" for one in red]


def _recorded(settings: Settings, name: str) -> list[RecordedVerdict]:
    client = s3_client(settings)
    bucket, _ = split_uri(settings.replay_dir)
    ensure_bucket(client, bucket)
    keys = list_keys(client, f"{settings.replay_dir.rstrip('/')}/{name}")
    return [_parsed(f"s3a://{bucket}/{key}", client) for key in keys if key.endswith(".json")]


def _parsed(uri: str, client: Any) -> RecordedVerdict:
    found: dict[str, Any] = orjson.loads(read_object(client, uri))
    known = {field.name for field in dataclasses.fields(RecordedVerdict)}
    try:
        recorded = RecordedVerdict(**{name: value for name, value in found.items() if name in known})
    except TypeError as error:
        raise S3Error(f"{uri} is not the record of a verdict: {error}") from None
    return dataclasses.replace(recorded, problems=tuple(recorded.problems))
