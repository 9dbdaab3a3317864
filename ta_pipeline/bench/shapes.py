"""What `ta bench` measures: the shapes of the backlogs, the variants that read them, the steady markets.

A shape's trades carry one running number as id over all symbols, as a consolidated tape numbers them: the ids of one
symbol have gaps as wide as there are symbols.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from confluent_kafka import KafkaError, Message, Producer

from ta_pipeline.envelope import wrap
from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.instants import rfc3339
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.settings import Settings

Report = Callable[[str], None]
SPARE = 1_000_000
"""Trades behind the measured ones, so that the source is never out of work while it is measured."""
AGE_SECONDS = 60.0
"""The last trade of a backlog is this old when writing begins: no second of it is recent enough for a live preview."""
_TOLD_EVERY = 20_000
_FLUSH_SECONDS = 60.0


@dataclass(frozen=True)
class Shape:
    """A backlog: trades measured, symbols, trades of one symbol in one second, trades read before as warm-up."""

    name: str
    trades: int
    symbols: int
    per_bar: int
    warm_up: int

    @property
    def backlog(self) -> int:
        """Trades written."""
        return self.warm_up + self.trades + SPARE

    @property
    def slug(self) -> str:
        """The name as part of a topic's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower())


DENSE = Shape("dense", 2_000_000, symbols=50, per_bar=100, warm_up=3_000_000)
SPARSE = Shape("sparse", 200_000, symbols=50, per_bar=10, warm_up=2_400_000)
FEW_SYMBOLS = Shape("10 symbols", 1_000_000, symbols=10, per_bar=100, warm_up=2_000_000)
MANY_SYMBOLS = Shape("1,000 symbols", 1_000_000, symbols=1_000, per_bar=100, warm_up=2_000_000)

SHIPPED, FLOOR, PER_TICK = "job as shipped", "windows without Python", "Python for each tick"
BARE = "bare bars in SQL"
"""No deduplication, validation, quotes or live path: tells how fast the machine is."""
VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    SHIPPED: ("flink/job.py", ()),
    FLOOR: ("flink/benchmarks.py", ("floor",)),
    PER_TICK: ("flink/benchmarks.py", ("per_tick",)),
    BARE: ("flink/benchmarks.py", ("bare",)),
}
"""Program and arguments of each variant."""


@dataclass(frozen=True)
class Steady:
    """A market without end at a fixed rate, and the settings in which its job differs from the stack's."""

    name: str
    rate: float
    symbols: int
    overrides: Mapping[str, str] = field(default_factory=dict)
    local_checkpoints: bool = False
    """Checkpoints in a folder of the stack instead of S3."""


LATENCY = Steady("latency", 1_000, 10)
SUSTAINED = Steady("sustained", 5_000, 50)
FAST_FINALS = Steady(
    "fast finals", 800, 10, {"max_out_of_orderness_ms": "250", "checkpoint_interval_ms": "250"}, local_checkpoints=True
)


def write_backlog(settings: Settings, shape: Shape, report: Report) -> None:
    """The shape's trades on the trades topic, evenly spread over symbols and time, in order.

    Raises:
        KafkaSetupError: the broker did not take all of them.
    """
    refused: list[str] = []

    def refuse(error: KafkaError | None, _message: Message) -> None:
        refused.append(str(error))

    options: dict[str, ConfigValue] = {
        "linger.ms": 50, "compression.type": "lz4", "log_level": 0, "delivery.report.only.error": True,
    }  # fmt: skip
    producer = Producer(client_config(settings, **options))
    each_second = shape.symbols * shape.per_bar
    begun = time.time()
    start = begun - AGE_SECONDS - shape.backlog / each_second
    for number in range(shape.backlog):
        trade = trade_of(shape, number, start)
        value = orjson.dumps(wrap(trade, seq=number, ingest_ts=str(trade["t"])))
        while True:
            try:
                producer.produce(settings.trades_topic, value, key=str(trade["S"]), on_delivery=refuse)
                break
            except BufferError:
                producer.poll(0.1)
        if number % _TOLD_EVERY == 0:
            producer.poll(0)
            rate = number / max(time.time() - begun, 1e-9)
            report(f"{shape.name}: writing the backlog, {number:,} of {shape.backlog:,}, {rate:,.0f} trades/s")
    left = producer.flush(_FLUSH_SECONDS)
    if left or refused:
        reason = refused[0] if refused else f"not acknowledged within {_FLUSH_SECONDS:g} s"
        raise KafkaSetupError(f"topic {settings.trades_topic} did not take {left + len(refused)} trades: {reason}")


def trade_of(shape: Shape, number: int, start: float) -> dict[str, object]:
    """One trade of a backlog whose first is at `start`, epoch seconds."""
    return {
        "T": "t", "S": f"S{number % shape.symbols:03d}", "i": number, "x": "V",
        "p": 100 + (number * 7919 % 101 - 50) / 100, "s": 100, "c": ["@"], "z": "C",
        "t": rfc3339(start + number / (shape.symbols * shape.per_bar)),
    }  # fmt: skip
