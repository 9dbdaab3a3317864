"""One replay from its messages to its verdict: check isolation, run the job, compute again with pandas, compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pandas as pd
from pydantic import SecretStr

from ta_pipeline.compute import compute
from ta_pipeline.latency import LatencyRecorder, LatencySummary
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.replay.compare import Frames, compare
from ta_pipeline.replay.frames import job_frames, reference_frames
from ta_pipeline.replay.inputs import ALL
from ta_pipeline.replay.isolation import replay_settings, require_isolation
from ta_pipeline.replay.production import compare_with_production
from ta_pipeline.replay.reference import SECOND, Reference, compute_reference
from ta_pipeline.replay.reference_rules import Rules
from ta_pipeline.replay.verdict import Verdict
from ta_pipeline.settings import Settings, load_settings, text_of
from ta_pipeline.trade_conditions import DEFAULT_PATH

Progress = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and how much there is (records; 0: not known)."""
Mend = Callable[[Frames], Frames]

_NOTHING: Mapping[str, str] = MappingProxyType({})
_LONG_AGO_MS = 3_600_000.0


@dataclass(frozen=True)
class Replay:
    """One replay and what was found.

    Attributes:
        replay_id: names it.
        day: of the messages, ISO 8601.
        symbol: or `all`.
        source: where the messages came from, for people.
        settings: what the job ran with.
        verdict: every comparison.
        read: messages by kind of log.
        duplicates: trades dropped because their identity was seen.
        steps: seconds by step.
        found: what the job gave.
        latency: event to signal as production emitted it; None when it cannot be said.
        latency_note: why not, or what it is of.
        latencies_ms: the values behind it.
    """

    replay_id: str
    day: str
    symbol: str
    source: str
    settings: Settings
    verdict: Verdict
    read: Mapping[str, int]
    duplicates: int
    steps: Mapping[str, float]
    found: Frames
    latency: LatencySummary | None
    latency_note: str
    latencies_ms: Sequence[float] = ()

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(self.steps.values())


def replay_id_of(day: str, symbol: str, now: datetime | None = None) -> str:
    """A name for a replay: day, symbol and the time it starts."""
    started = now or datetime.now(UTC)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in symbol.lower())
    return f"{day}-{name[:20]}-{started:%Y%m%d%H%M%S%f}"


def validate(
    recordings: Sequence[Path],
    scratch: Path,
    production: Settings,
    *,
    day: str,
    symbol: str = ALL,
    source: str = "recordings",
    job_only: Mapping[str, str] = _NOTHING,
    emitted: Frames | None = None,
    mend: Mend = lambda frames: frames,
    progress: Progress = lambda _step, _done, _all: None,
    local: LocalSettings | None = None,
) -> Replay:
    """Replay messages through the job, alone, and judge what it gives.

    Args:
        recordings: the messages, as `ta compute` takes them.
        scratch: folder for the job's output, made when missing.
        production: the settings the replay is about, and must stay apart from.
        day: of the messages, ISO 8601.
        symbol: only this one; `ALL`: every symbol.
        source: where the messages came from, for people.
        job_only: settings of the job that the pandas computation does not get: it has to turn the verdict red.
        emitted: what production gave out for the same messages.
        mend: applied to the job's output before it is compared; a test puts a wrong value in.
        progress: called often.
        local: where the jars are.

    Raises:
        SettingsError: a setting is not allowed, or the replay is not apart from production.
        RecordingError: a recording cannot be read.
        FlinkError: the job failed.
    """
    steps: dict[str, float] = {}
    replay_id = replay_id_of(day, symbol)
    settings = replay_settings(_for_symbol(production, symbol), replay_id)
    of_job = load_settings(**{**settings.model_dump(), **job_only})
    require_isolation(production, of_job)
    began = time.monotonic()
    compute(recordings, scratch, of_job, _variables(of_job), progress=progress, local=local)
    steps["job"] = time.monotonic() - began
    progress("pandas", 0, 0)
    reference = compute_reference(recordings, rules_of(settings))
    steps["pandas"] = time.monotonic() - began - steps["job"]
    progress("comparing", 0, 0)
    found = mend(job_frames(scratch, of_job))
    comparisons = [compare(reference_frames(reference), found, notes=_notes(reference))]
    latencies: list[float] = []
    note = "Not applicable: a bounded run reads a file, so its clock says nothing about when a signal would have come."
    if emitted is not None and len(emitted["bars"]):
        comparisons.append(compare_with_production(found, emitted, production))
        latencies, note = _latencies(emitted["signals"])
    elif emitted is not None:
        note = "Not applicable: production's topics hold nothing of this day, so there is nothing to compare with."
    steps["comparison"] = time.monotonic() - began - sum(steps.values())
    return Replay(
        replay_id, day, symbol, source, of_job, Verdict(tuple(comparisons)), reference.read, reference.duplicates,
        steps, found, _summary(latencies), note, latencies,
    )  # fmt: skip


def rules_of(settings: Settings) -> Rules:
    """The settings that decide numbers, as the pandas computation takes them."""
    return Rules(
        conditions=DEFAULT_PATH,
        bar_rules=settings.bar_rules,
        session=settings.session,
        symbols=settings.symbol_list,
        out_of_orderness_ms=settings.max_out_of_orderness_ms,
        horizon_ms=settings.revision_horizon_ms,
        quote_stale_after_ms=settings.quote_stale_after_ms,
        vwap_window_ms=settings.vwap_window_seconds * 1_000,
        vol_window_ms=settings.realized_vol_window_seconds * 1_000,
        max_future_ms=settings.max_future_ms,
        max_record_bytes=settings.max_record_bytes,
        dedup=settings.dedup,
    )


def _for_symbol(settings: Settings, symbol: str) -> Settings:
    return settings if symbol == ALL else load_settings(**{**settings.model_dump(), "symbols": symbol})


def _variables(settings: Settings) -> dict[str, str]:
    """Every setting that is no secret, so that the job runs with these and not with the environment's."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {name: text_of(value) for name, value in values.items() if not isinstance(value, SecretStr)}


def _notes(reference: Reference) -> list[str]:
    notes = ["Live signals are not compared: a bounded run has none."]
    revised = reference.bars[reference.bars["revision"] > 0]
    if len(revised):
        seconds = len(revised.drop_duplicates(["symbol", "end_ms"]))
        notes.append(
            f"{seconds:,} seconds were revised {len(revised):,} times by late trades, cancels or corrections; every "
            "revision is compared."
        )
    if reference.duplicates:
        notes.append(f"{reference.duplicates:,} trades were dropped: their identity had been seen.")
    return notes


def _latencies(signals: pd.DataFrame) -> tuple[list[float], str]:
    first = signals[(signals["size"] == SECOND) & (signals["revision"] == 0)]
    latencies = (first["ingest_ms"] - first["last_ms"]).astype(float)
    if not len(latencies) or latencies.median() > _LONG_AGO_MS:
        return [], "Not applicable: production read messages whose event times were long past (a recording, a backlog)."
    return latencies.tolist(), "From the newest trade of a second to when production emitted its final signal."


def _summary(latencies: Sequence[float]) -> LatencySummary | None:
    if not latencies:
        return None
    recorder = LatencyRecorder()
    for latency in latencies:
        recorder.add(latency)
    return recorder.summary()
