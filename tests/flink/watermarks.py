"""Two of the job's sources and what is behind both, with Flink's own parts: all but Kafka, and time is the test's.

The partitions of a reader go through Flink's `WatermarkOutputMultiplexer`, the readers of a source through its
`StatusWatermarkValve`, as the windows behind an exchange have it, and the windows of all sources through another one,
as what waits for trades and quotes together has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyflink.java_gateway import get_gateway

OUT_OF_ORDERNESS_MS = 2_000
IDLE_MS = 3_000
EMIT_MS = 200
"""How often Flink asks for watermarks."""
SECOND_MS = 1_000


class _Time:
    """The clock of every reader, for Java."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def get(self) -> Any:
        return self._clock

    class Java:
        implements = ["org.apache.flink.util.function.SerializableSupplier"]  # noqa: RUF012 - py4j looks for a list


class _Channel:
    """What gives out watermarks, as one channel of the valve behind it."""

    def __init__(self, valve: Any, number: int, behind: _Behind | _Channel) -> None:
        self._valve, self._number, self._behind = valve, number, behind
        self.watermark_ms = 0

    def emitWatermark(self, mark: Any) -> None:  # noqa: N802 - Java's name
        self.watermark_ms = mark.getTimestamp()
        self._valve.inputWatermark(mark, self._number, self._behind)

    def emitWatermarkStatus(self, status: Any) -> None:  # noqa: N802 - Java's name
        self._valve.inputWatermarkStatus(status, self._number, self._behind)

    class Java:
        implements = ["org.apache.flink.streaming.runtime.io.PushingAsyncDataInput$DataOutput"]  # noqa: RUF012


class _Behind:
    """What is behind all sources: the watermark it was given."""

    def __init__(self) -> None:
        self.watermark_ms = 0

    def emitWatermark(self, mark: Any) -> None:  # noqa: N802 - Java's name
        self.watermark_ms = mark.getTimestamp()

    def emitWatermarkStatus(self, _status: Any) -> None:  # noqa: N802 - Java's name
        pass

    class Java:
        implements = ["org.apache.flink.streaming.runtime.io.PushingAsyncDataInput$DataOutput"]  # noqa: RUF012


@dataclass
class _Reader:
    """One subtask of a source: Flink's parts for each partition, by its name."""

    multiplexer: Any
    generators: dict[str, tuple[Any, Any]]

    def emit(self) -> None:
        for generator, output in self.generators.values():
            generator.onPeriodicEmit(output)
        self.multiplexer.onPeriodicEmit()


@dataclass
class Source:
    """A table's source, and the windows behind it."""

    readers: list[_Reader]
    windows: _Channel
    newest_ms: int = 0
    """Of all it was given to read, the clock's ticks left out."""

    def read(self, partition: str, event_ms: int, kind: str = "t") -> None:
        """A record that can be used; those of the clock are of the kind `clock`."""
        data = get_gateway().jvm.org.apache.flink.table.data
        row = data.GenericRowData(3)
        row.setField(0, data.StringData.fromString(kind))
        row.setField(2, event_ms)
        ((generator, output),) = [
            reader.generators[partition] for reader in self.readers if partition in reader.generators
        ]
        generator.onEvent(row, event_ms, output)
        if kind != "clock":
            self.newest_ms = max(self.newest_ms, event_ms)

    def emit(self) -> None:
        """Flink asks for watermarks."""
        for reader in self.readers:
            reader.emit()

    @property
    def is_behind(self) -> int:
        """The last millisecond of its newest second, if its windows have not closed that; else 0."""
        second = self.newest_ms // SECOND_MS * SECOND_MS + SECOND_MS - 1
        return second if self.windows.watermark_ms < second else 0


class Sources:
    """Some sources, each with the partitions of each of its subtasks; they are asked for watermarks in this order."""

    def __init__(self, partitions: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._jvm = get_gateway().jvm
        self._clock = self._jvm.org.apache.flink.util.clock.ManualClock()
        self._time = _Time(self._clock)
        self._behind = _Behind()
        valve = self._valve(len(partitions))
        self._sources = {
            name: self._source(_Channel(valve, number, self._behind), subtasks)
            for number, (name, subtasks) in enumerate(partitions.items())
        }
        self.overtaken: set[str] = set()
        """Sources that had not closed a second of which they had read when it was over behind all."""

    def __getitem__(self, name: str) -> Source:
        return self._sources[name]

    @property
    def watermark_ms(self) -> int:
        """Behind all sources."""
        return self._behind.watermark_ms

    def emit(self, *names: str) -> None:
        """Flink asks these sources for watermarks, or all."""
        for asked in names or self._sources:
            self[asked].emit()
            self.overtaken |= {
                name for name, source in self._sources.items() if 0 < source.is_behind <= self.watermark_ms
            }

    def pass_time(self, milliseconds: int) -> None:
        """Nothing is read meanwhile."""
        for _ in range(0, milliseconds, EMIT_MS):
            self._clock.advanceTime(EMIT_MS, self._jvm.java.util.concurrent.TimeUnit.MILLISECONDS)
            self.emit()

    def _valve(self, channels: int) -> Any:
        return self._jvm.org.apache.flink.streaming.runtime.watermarkstatus.StatusWatermarkValve(channels)

    def _source(self, windows: _Channel, subtasks: Sequence[Sequence[str]]) -> Source:
        valve = self._valve(len(subtasks))
        channels = [_Channel(valve, number, windows) for number in range(len(subtasks))]
        return Source([self._reader(*one) for one in zip(channels, subtasks, strict=True)], windows)

    def _reader(self, channel: _Channel, partitions: Sequence[str]) -> _Reader:
        times = self._jvm.org.apache.flink.api.common.eventtime
        lateness = self._jvm.java.time.Duration.ofMillis(OUT_OF_ORDERNESS_MS)
        watermarks = times.WatermarkStrategy.forBoundedOutOfOrderness(lateness)
        strategy = self._jvm.ta.flink.kafka.IdleWhileOthersAreRead(watermarks, IDLE_MS, 0, 1, 2, self._time)
        source = self._jvm.org.apache.flink.streaming.api.operators.source
        multiplexer = times.WatermarkOutputMultiplexer(source.WatermarkToDataOutput(channel))
        generators = {}
        for name in partitions:
            multiplexer.registerNewOutput(name)
            generators[name] = (strategy.createWatermarkGenerator(None), multiplexer.getDeferredOutput(name))
        return _Reader(multiplexer, generators)
