"""Where reading begins: at the end, the beginning or a time, or where the group has come to.

What was written shortly before is read too, without being handed out: only whoever knows the newest windows can tell a
late correction from a new value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from confluent_kafka import Consumer, TopicPartition

from ta_pipeline.errors import SettingsError
from ta_pipeline.kafka_ends import ends_of, offsets_at
from ta_pipeline.kafka_refusals import Refusals
from ta_pipeline.reader.events import RecordsLost

Start = Literal["latest", "earliest"] | datetime
"""At the end of the log, at its beginning, or with what was written from a time on, which has passed."""
Place = tuple[str, int]
"""Topic and partition."""


class Extent(NamedTuple):
    """The first offset of a partition, and its end."""

    first: int
    end: int


class Beginning(NamedTuple):
    """Read from `read_from` on, hand out from `told_from` on."""

    read_from: int
    told_from: int
    lost: RecordsLost | None = None


def checked_start(start: Start) -> Start:
    """`start`, when it is one.

    Raises:
        SettingsError: it is none, or a time without a zone, or one that is still to come.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise SettingsError(f"start={start.isoformat()} has no zone; give one, as in datetime(..., tzinfo=UTC)")
        if start > (now := datetime.now(UTC)):
            # Kafka would begin at the end of the log, and hand out what comes before the time.
            raise SettingsError(
                f"start={start.isoformat()} is in the future: it is {now.astimezone(start.tzinfo):%Y-%m-%d %H:%M:%S} "
                "there; give a time that has passed, or latest to begin now"
            )
    elif start not in {"latest", "earliest"}:
        raise SettingsError(f"start={start!r} is not allowed: it is latest, earliest or a datetime with a zone")
    return start


def beginning(place: Place, extent: Extent, wanted: int, known_from: int) -> Beginning:
    """Where to begin on one partition; pure.

    Args:
        place: which.
        extent: what the partition has.
        wanted: the first offset to hand out.
        known_from: the first offset of what was written shortly before.
    """
    lost = None
    if not extent.first <= wanted <= extent.end:
        lost = RecordsLost(*place, wanted, extent.first)
        wanted = extent.first
    return Beginning(max(extent.first, min(known_from, wanted)), wanted, lost)


class Positions:
    """Asks Kafka where to begin.

    Args:
        asker: a consumer that reads nothing, of the reader's group and isolation.
        refusals: what it is told.
        start: where to begin where the group has no position.
        known_ms: what was written so long before is read first; 0: nothing.
        timeout_seconds: longest wait for an answer.
    """

    def __init__(
        self, asker: Consumer, refusals: Refusals, start: Start, known_ms: int, timeout_seconds: float
    ) -> None:
        self._asker, self._refusals, self._timeout_seconds = asker, refusals, timeout_seconds
        self._start, self._known_ms = start, known_ms

    def of(
        self, places: Sequence[Place], committed: Mapping[Place, int], now_ms: int, *, known_before: bool = True
    ) -> dict[Place, Beginning]:
        """Where to begin on these partitions.

        Args:
            places: which.
            committed: where the group has come to.
            now_ms: the reader's clock.
            known_before: read what was written shortly before.

        Raises:
            KafkaSetupError: Kafka refuses or does not answer.
        """
        extents = {place: self._extent(place) for place in places}
        start_ms = round(self._start.timestamp() * 1_000) if isinstance(self._start, datetime) else now_ms
        wanted = {place: extents[place].first if self._start == "earliest" else extents[place].end for place in places}
        if isinstance(self._start, datetime):
            wanted = self._at(places, start_ms, extents)
        wanted |= {place: offset for place, offset in committed.items() if place in extents}
        known = wanted
        if known_before and self._known_ms:
            # Of a group: where it stands now, whatever it began with.
            from_ms = (now_ms if committed else start_ms) - self._known_ms
            known = self._at(places, from_ms, extents)
        return {place: beginning(place, extents[place], wanted[place], known[place]) for place in places}

    def committed(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where the group has come to, of the partitions of which it says.

        Raises:
            KafkaException: Kafka does not answer.
        """
        found = self._asker.committed([TopicPartition(*place) for place in places], timeout=self._timeout_seconds)
        return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}

    def ends(self, places: Sequence[Place]) -> dict[Place, Beginning]:
        """The end of these partitions.

        Raises:
            KafkaSetupError: Kafka refuses or does not answer.
        """
        found = {place: self._extent(place).end for place in places}
        return {place: Beginning(end, end) for place, end in found.items()}

    def first(self, place: Place) -> int:
        """The oldest offset that a partition still has.

        Raises:
            KafkaSetupError: Kafka refuses or does not answer.
        """
        return self._extent(place).first

    def _extent(self, place: Place) -> Extent:
        return Extent(*ends_of(self._asker, self._refusals, TopicPartition(*place), self._timeout_seconds))

    def _at(self, places: Sequence[Place], ms: int, extents: Mapping[Place, Extent]) -> dict[Place, int]:
        asked = [TopicPartition(*place, ms) for place in places]
        found = offsets_at(self._asker, self._refusals, asked, self._timeout_seconds)
        return {
            (one.topic, one.partition): one.offset if one.offset >= 0 else extents[one.topic, one.partition].end
            for one in found
        }
