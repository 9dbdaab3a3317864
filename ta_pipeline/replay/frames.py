"""Output records, and the pandas computation, as frames of the same columns: what `compare` takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from ta_pipeline.envelope import KINDS
from ta_pipeline.replay.compare import Frames
from ta_pipeline.replay.fields import BARS, LATE, REJECTS, SIGNALS, Table
from ta_pipeline.replay.reference import Reference
from ta_pipeline.settings import Settings

Record = Mapping[str, Any]

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "ema": ("ema12", "ema26"),
    "macd": ("macd", "signal", "hist"),
    "boll": ("mid", "upper", "lower"),
    "vwap": ("session", "w5m"),
    "imbalance": ("spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz"),
    "vol_realized": ("w60s", "w30m"),
}
_GROUP_OF = {field: group for group, fields in _GROUPS.items() for field in fields}
_PLACES = {"end_ms": "event_ts", "last_ms": "last_event_ts", "ingest_ms": "ingest_ts"}


def job_frames(out: Path, settings: Settings) -> Frames:
    """The four files that `ta compute` wrote to `out`; bars and signals in the order the job emitted them.

    The files are sorted by event time: what was emitted before what, `ingest_ts` says.
    """
    records = {table.name: _read(out / f"{table.name}.jsonl") for table in (BARS, SIGNALS, LATE, REJECTS)}
    frames = dict(frames_of(records, settings))
    for name in (BARS.name, SIGNALS.name):
        frames[name] = frames[name].sort_values("ingest_ms", kind="stable", ignore_index=True)
    return frames


def frames_of(records: Mapping[str, Sequence[Record]], settings: Settings) -> Frames:
    """Output records by table name, in the order they came."""
    kinds = dict(zip(settings.input_topics, KINDS, strict=True))
    frames = {
        "bars": _frame(BARS, records.get("bars", ())),
        "signals": _frame(SIGNALS, records.get("signals", ())),
    }
    for table in (LATE, REJECTS):
        rows = [
            {"kind": kinds.get(record["topic"]), "offset": record["offset"], "reason": record["reason"]}
            for record in records.get(table.name, ())
        ]
        frames[table.name] = pd.DataFrame(rows, columns=["kind", "offset", "reason"])
    return frames


def reference_frames(reference: Reference) -> Frames:
    """The same of the pandas computation."""
    return {
        "bars": reference.bars,
        "signals": reference.signals,
        "late": reference.late,
        "rejects": reference.rejects,
    }


def _read(path: Path) -> list[Record]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _frame(table: Table, records: Iterable[Record]) -> pd.DataFrame:
    columns = list(dict.fromkeys([*table.key, *(field.name for field in table.fields), "ingest_ms"]))
    rows = [[_value(name, record) for name in columns] for record in records]
    return pd.DataFrame(rows, columns=columns)


def _value(name: str, record: Record) -> Any:
    if name in _PLACES:
        instant = record[_PLACES[name]]
        return None if instant is None else round(datetime.fromisoformat(instant).timestamp() * 1_000)
    if name == "size":
        return record["window"]["size"]
    group = _GROUP_OF.get(name)
    if group is None:
        return record[name]
    values = record[group]
    return None if values is None else values[name]
