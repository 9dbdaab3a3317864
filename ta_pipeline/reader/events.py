"""What a reader tells beside signals and bars: one class for each thing that a strategy may want to act on.

They come in the same stream, at the place where they happened, so that one `match` handles both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ta_pipeline.reader.records import Bar, Signal


@dataclass(frozen=True, slots=True)
class WarmingUp:
    """The indicators of a series have seen too few bars: they are not to be acted on."""

    symbol: str
    size: str
    bars: int
    needed: int


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """They have seen enough."""

    symbol: str
    size: str
    bars: int


@dataclass(frozen=True, slots=True)
class Stale:
    """A symbol was not heard of for too long. The values that were handed out are old; nothing newer is known."""

    symbol: str
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A symbol that was stale is heard of again."""

    symbol: str
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that had to follow has not.

    what    `final`: live signals of this second came, and no final one; `signal`: its bar came, and no signal
    why     `passed`: a later second of the symbol has it, so this one's will not come, or only as a revision;
            `overdue`: nothing of the symbol has come in time: told once, until something comes again
    """

    what: Literal["final", "signal"]
    symbol: str
    end_ms: int
    why: Literal["passed", "overdue"]


@dataclass(frozen=True, slots=True)
class TooOld:
    """A record of a window so old that it is no longer known what was handed out of it; it was left out."""

    symbol: str
    size: str
    end_ms: int
    revision: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class RecordsLost:
    """Kafka no longer had the records to go on with: retention, or the topic was made anew. Reading goes on after."""

    topic: str
    partition: int
    wanted_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A record that cannot be read; it was left out."""

    topic: str
    partition: int
    offset: int
    reason: str
    """As in `BadRecordError`: not_json, not_avro, missing_field, ..."""
    detail: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """Kafka, or the schema registry, does not answer: what is silent now says nothing about the market."""

    component: Literal["kafka", "registry"]
    why: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """It answers again, and reading goes on where it was."""

    component: Literal["kafka", "registry"]
    after_ms: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group gave these partitions to this reader; what was handed out of them before, by whomever, is known."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """The group took these partitions from this reader; their symbols are another one's from here on."""

    partitions: tuple[int, ...]


Event = (
    WarmingUp
    | WarmedUp
    | Stale
    | Heard
    | Missing
    | TooOld
    | RecordsLost
    | BrokenRecord
    | Disconnected
    | Reconnected
    | Assigned
    | Revoked
)
Item = Signal | Bar | Event
"""What a reader yields."""
