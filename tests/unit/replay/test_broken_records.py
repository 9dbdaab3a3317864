"""The pandas computation says of every broken record what the contract says: used or not."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import orjson

from ta_pipeline.envelope import Kind, kind_of, wrap
from ta_pipeline.errors import BadRecordError
from ta_pipeline.replay.reference_log import read_logs
from ta_pipeline.replay.validate import rules_of
from ta_pipeline.settings import load_settings
from tests.broken_records import ACCEPTED, CHANGES, Change, good_message
from tests.messages import START


def test_it_uses_what_may_be_used_and_nothing_else(tmp_path: Path) -> None:
    made = [found for kind in ("trades", "quotes", "bars_1m", "status") for found in _lines(kind)]
    assert len(made) > 900
    recording = tmp_path / "broken.jsonl"
    recording.write_bytes(b"".join(line + b"\n" for _, line, _ in made))
    logs = read_logs([recording], rules_of(load_settings()), int(time.time() * 1_000))
    usable = {kind: iter(log["usable"].tolist()) for kind, log in logs.items()}
    wrong = []
    for kind, line, change in made:
        used = next(usable[_log_of(json.loads(line))])
        if (used and ACCEPTED not in change.outcome) or (not used and change.outcome == {ACCEPTED}):
            wrong.append((change.name, kind, used))
    assert not wrong


def _lines(kind: Kind) -> list[tuple[Kind, bytes, Change]]:
    """A line for each change that leaves an envelope around a message: what a recording can hold."""
    chosen = random.Random(1)
    found: list[tuple[Kind, bytes, Change]] = []
    for change in CHANGES:
        if kind not in change.kinds:
            continue
        message = good_message(kind, 5, START.timestamp(), chosen)
        while change.types and message["T"] not in change.types:
            message = good_message(kind, 5, START.timestamp(), chosen)
        envelope = wrap(message, seq=1, ingest_ts=message["t"])
        instead = change.make(envelope, chosen)
        line = orjson.dumps(envelope) if instead is None else instead
        if line.strip() == line and b"\n" not in line and isinstance(_payload(line), dict):
            found.append((kind, line, change))
    return found


def _payload(line: bytes) -> Any:
    try:
        envelope = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return envelope.get("payload") if isinstance(envelope, dict) else None


def _log_of(envelope: dict[str, Any]) -> Kind:
    """Where a recording puts it: by its T, else by its channel."""
    try:
        return kind_of(envelope["payload"])
    except BadRecordError:
        channels: dict[Any, Kind] = {
            "quotes": "quotes",
            "bars": "bars_1m",
            "updatedBars": "bars_1m",
            "status": "status",
        }
        return channels.get(str(envelope.get("channel")), "trades")
