"""How far a reader has come on each partition, and what of it the group was told; pure.

A group goes on before the first record that is not dealt with; where all are, after the last one that was read,
whatever became of it. So records that are left out move the group on too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ta_pipeline.reader.positions import Beginning, Place, Stand


class Arrival(NamedTuple):
    """One record as it came; `is_told` is False for what was handed out before."""

    share: int
    topic: str
    partition: int
    offset: int
    value: bytes | None
    is_told: bool
    before_ms: int | None
    """When the record before it was written; None: nobody knows."""


class Progress:
    """Of one reader."""

    def __init__(self) -> None:
        self.next: dict[Place, int] = {}
        """Read this offset next; what is not in here is not read."""
        self.told_from: dict[Place, int] = {}
        self.written_ms: dict[Place, int | None] = {}
        """When the record before `next` was written."""
        self._began: dict[Place, Stand] = {}
        self._told: dict[Place, int] = {}

    def begin(self, place: Place, where: Beginning, *, is_kept: bool) -> None:
        """Reading begins here; `is_kept`: the group goes on where this reader ends."""
        self.next[place], self.told_from[place] = where.read_from, where.told_from
        self.written_ms[place] = where.written_ms
        if is_kept:
            self._began[place] = Stand(where.told_from, where.written_ms)

    def skip(self, place: Place, first: int) -> None:
        """What is before `first` is gone."""
        self.next[place] = self.told_from[place] = first

    def clear(self) -> None:
        """Nothing is read any more."""
        for known in (self.next, self.told_from, self.written_ms, self._began, self._told):
            known.clear()

    def stands(self, left: Iterable[Arrival]) -> dict[Place, Stand]:
        """Where the group may go on; `left` is not dealt with."""
        first: dict[Place, Arrival] = {}
        for arrival in left:
            place = (arrival.topic, arrival.partition)
            if place not in first or arrival.offset < first[place].offset:
                first[place] = arrival
        found = {}
        for place, began in self._began.items():
            if (oldest := first.get(place)) is not None:
                stand, is_told = Stand(oldest.offset, oldest.before_ms), oldest.is_told
            else:
                stand = Stand(self.next[place], self.written_ms[place])
                is_told = stand.offset >= self.told_from[place]
            # What is read only to be known was handed out before.
            found[place] = stand if is_told else began
        return found

    def to_tell(self, left: Iterable[Arrival]) -> dict[Place, Stand]:
        """Where the group may go on, of the partitions of which it was not told so yet; it counts as told now."""
        found = {place: stand for place, stand in self.stands(left).items() if self._told.get(place) != stand.offset}
        self._told |= {place: stand.offset for place, stand in found.items()}
        return found

    def not_taken(self, place: Place, offset: int) -> None:
        """Kafka did not take this: it is told again, unless something newer was."""
        if self._told.get(place) == offset:
            del self._told[place]
