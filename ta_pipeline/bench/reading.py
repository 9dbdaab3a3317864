"""What reading costs: CPU and latency of a `SignalReader` at a steady rate, JSON and Avro in turn.

`python -m ta_pipeline.bench.reading` measures on the running stack and prints the section of the report. The market is
written by a process of its own; the reader's CPU is that of its whole process, librdkafka's threads included.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress

import psutil
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.bench.aims import reading_aims
from ta_pipeline.bench.output_market import PER_SECOND, OutputMarket, send
from ta_pipeline.bench.read_costs import FORMATS, RATE, Reading
from ta_pipeline.bench.results import Spread
from ta_pipeline.bench.topics import PREFIX, delete_topics, renamed
from ta_pipeline.errors import KafkaSetupError, TaError
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.latency import LatencyRecorder
from ta_pipeline.local.stack import local_settings
from ta_pipeline.reader import Bar, Signal, SignalReader
from ta_pipeline.schema_registry import ensure_schemas, registry_client
from ta_pipeline.settings import Settings, load_settings

ROUNDS = 3
SECONDS = 20
SETTLE_SECONDS = 5
"""Read before it is measured."""
_LATE_SECONDS = 60.0


def measure(settings: Settings, number: int, seconds: int = SECONDS, rate: int = RATE) -> Reading:
    """Read a market of this rate, written by another process, on topics that are there and empty.

    Raises:
        KafkaSetupError: Kafka refuses, or not all of the market came in time.
    """
    market = OutputMarket(rate, seconds + 2 * SETTLE_SECONDS)
    generator = multiprocessing.get_context("spawn").Process(target=_generate, args=(settings, market), daemon=True)
    process, latency = psutil.Process(), LatencyRecorder()
    with SignalReader(settings) as reader:
        generator.start()
        try:
            _read_until(reader, 1, _LATE_SECONDS, generator)
            _read_for(reader, SETTLE_SECONDS, LatencyRecorder())
            before, begun = process.cpu_times(), time.monotonic()
            records, others = _read_for(reader, seconds, latency)
            after, passed = process.cpu_times(), time.monotonic() - begun
        finally:
            generator.terminate()
            generator.join()
    cpu = after.user + after.system - before.user - before.system
    return Reading(settings.output_format, number, passed, records, cpu, latency.summary(), others)


def measured(base: Settings, rounds: int, seconds: int, done: Callable[[str], None]) -> Iterator[Reading]:
    """Each format `rounds` times, in turn, on topics of its own.

    Raises:
        TaError: Kafka or the registry refuses or does not answer.
    """
    for number in range(1, rounds + 1):
        for form in FORMATS:
            with _own_topics(base, form) as settings:
                reading = measure(settings, number, seconds)
            done(
                f"reader, {form}, round {number} of {rounds}: {reading.rate:,.0f} records/s, "
                f"{reading.cores:.2f} cores, {reading.cpu_us:.1f} µs a record"
            )
            yield reading


def render_readings(readings: Sequence[Reading]) -> str:
    """The section of the report; pure."""
    lines = [
        f"A reader of everything, {OutputMarket(RATE, 1).symbols:,} symbols, {PER_SECOND} records of each a second: 8 "
        "live signals, a bar, a final signal. Latency counts from when a record was due to be sent. "
        "Medians over the rounds, with the lowest and the highest in brackets.",
        "",
        "| format | rounds | records/s | cores | CPU, µs a record | p50, ms | p99, ms | max, ms | events |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for form in FORMATS:
        rounds = [reading for reading in readings if reading.form == form]
        if rounds:
            cells = [
                form, str(len(rounds)),
                _spread((reading.rate for reading in rounds), ",.0f"),
                _spread((reading.cores for reading in rounds), ".2f"),
                _spread((reading.cpu_us for reading in rounds), ".1f"),
                _spread((reading.latency.p50_ms for reading in rounds), ",.0f"),
                _spread((reading.latency.p99_ms for reading in rounds), ",.0f"),
                _spread((reading.latency.max_ms for reading in rounds), ",.0f"),
                str(sum(reading.others for reading in rounds)),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Iterable[float | None], form: str) -> str:
    found = Spread.of(value for value in values if value is not None)
    return found.text(form) if found else "-"


def _read_for(reader: SignalReader, seconds: float, latency: LatencyRecorder) -> tuple[int, int]:
    records, others, end = 0, 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        item = reader.poll(left)
        if isinstance(item, Signal | Bar):
            records += 1
            latency.add(time.time_ns() / 1e6 - item.last_event_ms)
        elif item is not None:
            others += 1
    return records, others


def _read_until(
    reader: SignalReader, count: int, seconds: float, generator: multiprocessing.process.BaseProcess
) -> None:
    deadline = time.monotonic() + seconds
    while count:
        if time.monotonic() > deadline or not generator.is_alive():
            raise KafkaSetupError(f"nothing of the market came within {seconds:g} s")
        if isinstance(reader.poll(0.2), Signal | Bar):
            count -= 1


def _generate(settings: Settings, market: OutputMarket) -> None:
    begin = math.ceil(time.time()) + 1
    send(settings, market.records(settings, begin))


@contextmanager
def _own_topics(base: Settings, form: str) -> Iterator[Settings]:
    """Topics, and with Avro their schemas, that are gone afterwards."""
    names = renamed(base, f"{PREFIX}-reading-{time.time_ns()}")
    settings = load_settings(**{**base.model_dump(), **names, "output_format": form, "input_format": "json"})
    ensure_topics(settings)
    if form != "json":
        ensure_schemas(settings)
    try:
        yield settings
    finally:
        delete_topics(settings)
        if form != "json":
            _delete_subjects(settings, names.values())


def _delete_subjects(settings: Settings, topics: Iterable[str]) -> None:
    """What cannot be deleted stays."""
    with closing(registry_client(settings)) as registry:
        for topic in topics:
            with suppress(SchemaRegistryError):
                registry.delete_subject(f"{topic}-value")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each round")
    chosen = parser.parse_args()
    try:
        readings = list(measured(local_settings(), chosen.rounds, chosen.seconds, lambda line: print(line, flush=True)))  # noqa: T201
    except TaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    lines = [
        render_readings(readings),
        "",
        *(f"{aim.text}: {aim.figure}: {aim.verdict}" for aim in reading_aims(readings)),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
