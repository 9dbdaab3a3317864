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


class Stand(NamedTuple):
    """A group goes on with `offset`; the record before it was written at `written_ms`, None: nobody knows."""

    offset: int
    written_ms: int | None = None


class Beginning(NamedTuple):
    """Read from `read_from` on, hand out from `told_from` on; the record before that was written at `written_ms`."""

    read_from: int
    told_from: int
    lost: RecordsLost | None = None
    written_ms: int | None = None


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


def told(place: Place, stand: Stand) -> TopicPartition:
    """`stand` as Kafka keeps it: the time is in what else may be said of an offset; pure."""
    return TopicPartition(*place, stand.offset, metadata="" if stand.written_ms is None else str(stand.written_ms))


def stand_in(committed: TopicPartition) -> Stand:
    """What `told` has written, or somebody else; pure."""
    said = committed.metadata or ""
    return Stand(committed.offset, int(said) if said.isdecimal() else None)


def beginning(place: Place, extent: Extent, wanted: int, known_from: int, written_ms: int | None = None) -> Beginning:
    """Where to begin on one partition; pure.

    Args:
        place: which.
        extent: what the partition has.
        wanted: the first offset to hand out.
        known_from: the first offset of what was written shortly before.
        written_ms: when the record before `wanted` was written.
    """
    lost = None
    if not extent.first <= wanted <= extent.end:
        lost = RecordsLost(*place, wanted, extent.first)
        wanted = extent.first
    return Beginning(max(extent.first, min(known_from, wanted)), wanted, lost, written_ms)


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
        self, places: Sequence[Place], committed: Mapping[Place, Stand], now_ms: int, *, known_before: bool = True
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
            wanted = self._at(dict.fromkeys(places, start_ms), extents)
        written: dict[Place, int | None] = dict.fromkeys(places, start_ms)
        for place in places:
            if place in committed:
                wanted[place], written[place] = committed[place]
        known = wanted
        if known_before and self._known_ms:
            # Of a group: before the place where it stands, however long ago that was written.
            times = {place: now_ms if (ms := written[place]) is None else ms for place in places}
            known = self._at({place: ms - self._known_ms for place, ms in times.items()}, extents)
        return {
            place: beginning(place, extents[place], wanted[place], known[place], written[place]) for place in places
        }

    def committed(self, places: Sequence[Place]) -> dict[Place, Stand]:
        """Where the group has come to, of the partitions of which it says.

        Raises:
            KafkaException: Kafka does not answer.
        """
        found = self._asker.committed([TopicPartition(*place) for place in places], timeout=self._timeout_seconds)
        return {(one.topic, one.partition): stand_in(one) for one in found if one.offset >= 0}

    def ends(self, places: Sequence[Place]) -> dict[Place, Beginning]:
        """The end of these partitions.

        Raises:
            KafkaSetupError: Kafka refuses or does not answer.
        """
        found = {place: self._extent(place).end for place in places}
        return {place: Beginning(end, end) for place, end in found.items()}

    def first(self, place: Place, timeout_seconds: float) -> int:
        """The oldest offset that a partition still has.

        Raises:
            KafkaSetupError: Kafka refuses or does not answer.
        """
        return ends_of(self._asker, self._refusals, TopicPartition(*place), timeout_seconds)[0]

    def _extent(self, place: Place) -> Extent:
        return Extent(*ends_of(self._asker, self._refusals, TopicPartition(*place), self._timeout_seconds))

    def _at(self, times: Mapping[Place, int], extents: Mapping[Place, Extent]) -> dict[Place, int]:
        asked = [TopicPartition(*place, max(0, ms)) for place, ms in times.items()]
        found = offsets_at(self._asker, self._refusals, asked, self._timeout_seconds)
        return {
            (one.topic, one.partition): one.offset if one.offset >= 0 else extents[one.topic, one.partition].end
            for one in found
        }
