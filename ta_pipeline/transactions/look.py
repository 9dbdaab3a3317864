"""What the broker says of transactions at one time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

SINKS = ("bars", "signals", "late", "rejects")
"""The job's exactly-once outputs: each has transactions of its own, `<prefix>-<output>-<subtask>-<number>`."""
_ID = re.compile(rf"(.+)-(?:{'|'.join(SINKS)})-\d+-\d+")

ONGOING = "Ongoing"
OPEN = frozenset({ONGOING, "PrepareCommit", "PrepareAbort", "PrepareEpochFence"})
"""States in which committed readers wait. In all but the first, the broker is at ending it."""

Place = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True)
class Transaction:
    """An open transaction as its coordinator has it. Times are epoch milliseconds."""

    id: str
    producer_id: int
    epoch: int
    state: str
    timeout_ms: int
    """The broker aborts it after this."""
    start_ms: int
    partitions: tuple[Place, ...]

    @property
    def prefix(self) -> str | None:
        """`TA_TRANSACTIONAL_ID_PREFIX` of its deployment; None when the id is not of this platform's form."""
        return prefix_of(self.id)

    @property
    def identity(self) -> tuple[int, int, int]:
        """Differs from that of every other transaction of the same id."""
        return self.producer_id, self.epoch, self.start_ms

    def age_seconds(self, now_ms: int) -> float:
        """Since its first record; the clocks of two machines may make it negative, which is 0."""
        return max(0, now_ms - self.start_ms) / 1_000


@dataclass(frozen=True)
class Holder:
    """A producer with an open transaction in a partition, as the partition's leader has it."""

    producer_id: int
    epoch: int
    offset: int
    """Of the transaction's first record."""
    last_ms: int
    """Timestamp of the producer's newest record, epoch milliseconds."""

    @property
    def identity(self) -> tuple[int, int, int]:
        """Differs from that of every other transaction in the same partition."""
        return self.producer_id, self.epoch, self.offset


@dataclass(frozen=True)
class Hanging:
    """An open transaction in a partition that no coordinator knows: no timeout ends it."""

    topic: str
    partition: int
    holder: Holder

    @property
    def place(self) -> str:
        """As a person names it."""
        return f"{self.topic}[{self.partition}]"

    def __str__(self) -> str:
        holder = self.holder
        return f"{self.place} at {holder.offset:,}, producer {holder.producer_id} epoch {holder.epoch}"


@dataclass(frozen=True)
class PartitionLook:
    """One partition: how far everybody can read, and who keeps committed readers from it."""

    topic: str
    partition: int
    end: int
    """High watermark."""
    stable: int
    """Last stable offset."""
    overdue: bool
    """The record at which committed readers stand is older than `Look.open_limit_ms`."""
    holders: tuple[Holder, ...]
    """The one with the least offset first."""

    @property
    def place(self) -> Place:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def waiting(self) -> int:
        """Offsets that only readers of everything can read."""
        return self.end - self.stable

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


@dataclass(frozen=True)
class Look:
    """One observation."""

    at_ms: int
    ids: tuple[str, ...]
    """Every transactional id that the broker remembers and lets this user see, open or not."""
    transactions: tuple[Transaction, ...]
    """The open ones, the oldest first."""
    partitions: tuple[PartitionLook, ...]
    """Of the output topics, and of every other topic with an open transaction."""
    open_limit_ms: int
    """A transaction that is open for longer is not that of a checkpoint any more."""
    max_timeout_ms: int
    """The broker's `transaction.max.timeout.ms`."""
    id_expiration_ms: int
    """The broker's `transactional.id.expiration.ms`."""

    def find(self, transactional_id: str) -> Transaction | None:
        """The open transaction of an id."""
        return next((one for one in self.transactions if one.id == transactional_id), None)

    def of_producer(self, holder: Holder) -> Transaction | None:
        """The open transaction of a producer; None: its coordinator has none, or does not show it."""
        return next((one for one in self.transactions if one.producer_id == holder.producer_id), None)

    def partition(self, place: Place) -> PartitionLook | None:
        """A partition that was looked at."""
        return next((one for one in self.partitions if one.place == place), None)


def prefix_of(transactional_id: str) -> str | None:
    """The `TA_TRANSACTIONAL_ID_PREFIX` an id begins with; None when it is not of this platform's form."""
    found = _ID.fullmatch(transactional_id)
    return found[1] if found else None


def holders_of(producers: Iterable[Holder]) -> tuple[Holder, ...]:
    """Those with an open transaction, the one that committed readers wait for first."""
    return tuple(sorted((one for one in producers if one.offset >= 0), key=lambda one: one.offset))
