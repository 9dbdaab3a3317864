"""A small day as the frames that `compare` takes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ta_pipeline.replay.compare import Frames
from ta_pipeline.replay.frames import reference_frames
from ta_pipeline.replay.reference import compute_reference
from ta_pipeline.replay.reference_rules import Rules
from ta_pipeline.trade_conditions import DEFAULT_PATH
from tests.messages import quote, trade, write_recording


def day(folder: Path, seconds: int = 30, *more: object, first: int = 0) -> Frames:
    """A trade and a quote each second, and what pandas makes of them; `ingest_ms` is two seconds after the trade."""
    messages = []
    for second in range(first, first + seconds):
        price = 100 + second % 7 / 10
        messages += [quote(second + 0.1, price - 0.05, price + 0.05), trade(second, second + 0.5, price)]
    recording = write_recording(folder / f"{first}-{seconds}.jsonl", [*messages, *more])  # type: ignore[list-item]
    frames = reference_frames(compute_reference([recording], Rules(DEFAULT_PATH)))
    return {name: _emitted(frame) for name, frame in frames.items()}


def copied(frames: Frames) -> dict[str, pd.DataFrame]:
    """The other side, to be changed."""
    return {name: frame.copy() for name, frame in frames.items()}


def _emitted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(ingest_ms=frame["last_ms"] + 2_000) if "last_ms" in frame else frame
