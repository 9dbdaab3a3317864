"""What a strategy reads with: a typed stream of signals, bars and events; frames for research (docs/consumers.md)."""

from ta_pipeline.reader.consumer import Options, SignalReader
from ta_pipeline.reader.events import (
    Assigned,
    BrokenRecord,
    Disconnected,
    Event,
    Heard,
    Item,
    Missing,
    Reconnected,
    RecordsLost,
    Revoked,
    Stale,
    TooOld,
    WarmedUp,
    WarmingUp,
)
from ta_pipeline.reader.records import Bar, Signal

__all__ = [
    "Assigned", "Bar", "BrokenRecord", "Disconnected", "Event", "Heard", "Item", "Missing", "Options", "Reconnected",
    "RecordsLost", "Revoked", "Signal", "SignalReader", "Stale", "TooOld", "WarmedUp", "WarmingUp",
]  # fmt: skip
