"""Output records at a steady rate, as the job writes them: what a reader is measured with.

Of ten records of a symbol and second, eight are live signals, one is the bar and one the final signal. Each is sent
when it is due, and `last_event_ts` is that time. Finals are not written in transactions: to a reader they look alike.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import fastavro
import orjson
from confluent_kafka import Producer

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.instants import rfc3339
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.schema_registry import read_schema, registry_client
from ta_pipeline.settings import Settings

LIVE_SHARE = 8
PER_SECOND = LIVE_SHARE + 2
"""Records of one symbol and second."""
_MAGIC = b"\0"
_ANY_SYMBOL, _ANY_TIME = b"S9999", b"1999-12-31T23:59:59.999Z"


class Due(NamedTuple):
    """One record, and when it is to be sent, epoch seconds."""

    at: float
    topic: str
    key: str
    value: bytes


@dataclass(frozen=True)
class OutputMarket:
    """How many records a second, for how long."""

    rate: int
    seconds: int

    @property
    def symbols(self) -> int:
        """As many as give the rate."""
        return max(1, self.rate // PER_SECOND)

    def records(self, settings: Settings, begin: float) -> Iterator[Due]:
        """Every record, in order, from `begin` (epoch seconds, whole) on."""
        encode = _encoder(settings)
        keys = [f"S{symbol:04d}" for symbol in range(self.symbols)]
        for second in range(self.seconds):
            end_ms = round((begin + second + 1) * 1_000)
            for turn in range(PER_SECOND):
                # The records of a turn differ in symbol and time only, whose lengths are the same.
                topic, template = _template(settings, encode, turn, end_ms)
                for place, key in enumerate(keys):
                    at = begin + second + (turn * self.symbols + place) / self.rate
                    value = template.replace(_ANY_SYMBOL, key.encode()).replace(_ANY_TIME, _instant(at).encode())
                    yield Due(at, topic, key, value)


def send(settings: Settings, dues: Iterable[Due]) -> float:
    """Send each record when it is due; returns how late the latest was, in seconds.

    Raises:
        KafkaSetupError: the broker did not take all of it.
    """
    config: dict[str, ConfigValue] = {"linger.ms": 5, "compression.type": "lz4", "log_level": 0}
    producer = Producer(client_config(settings, **config))
    latest = 0.0
    for number, due in enumerate(dues):
        now = time.time()
        if due.at > now:
            producer.poll(0)
            time.sleep(max(0.0, due.at - now))
        elif number % 100 == 0:
            producer.poll(0)
        latest = max(latest, time.time() - due.at)
        producer.produce(due.topic, due.value, key=due.key)
    if left := producer.flush(30):
        raise KafkaSetupError(f"the broker at {settings.kafka_bootstrap} did not take {left:,} records within 30 s")
    return latest


def _template(settings: Settings, encode: Any, turn: int, end_ms: int) -> tuple[str, bytes]:
    """Topic and value of the records of a turn."""
    if turn == LIVE_SHARE:
        return settings.bars_topic, encode("bar", settings.bars_topic, _bar(end_ms))
    is_final = turn > LIVE_SHARE
    topic = settings.signals_topic if is_final else settings.live_topic
    record = _signal(end_ms, is_final=is_final, revision=0 if is_final else turn + 1)
    return topic, encode("signal", topic, record)


def _encoder(settings: Settings) -> Any:
    if settings.output_format == "json":
        return lambda _kind, _topic, record: orjson.dumps(record)
    schemas = {"signal": _schema("TaSignal"), "bar": _schema("TaBar1s")}
    with closing(registry_client(settings)) as registry:
        ids = {
            topic: _MAGIC + (registry.get_latest_version(f"{topic}-value").schema_id or 0).to_bytes(4, "big")
            for topic in (settings.live_topic, settings.bars_topic, settings.signals_topic)
        }

    def encode(kind: str, topic: str, record: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        out.write(ids[topic])
        fastavro.schemaless_writer(out, schemas[kind], record)
        return out.getvalue()

    return encode


def _schema(name: str) -> Any:
    return fastavro.parse_schema(orjson.loads(read_schema(name)))


def _signal(end_ms: int, *, is_final: bool, revision: int) -> dict[str, Any]:
    close = 170.0 + (end_ms // 1_000) % 17 / 100
    return {
        **_envelope(end_ms, "signals" if is_final else "signals_live", is_final=is_final),
        "revision": revision, "c": close, "bars": 400,
        "ema": {"ema12": close + 0.02, "ema26": close - 0.08},
        "macd": {"macd": 0.1, "signal": 0.05, "hist": 0.05},
        "rsi14": 55.125,
        "boll": {"mid": close - 0.1, "upper": close + 0.2, "lower": close - 0.4},
        "vwap": {"session": close - 0.5, "w5m": close - 0.25},
        "imbalance": {
            "spread": 0.01, "imbalance": 0.5, "bid_px": close - 0.01, "ask_px": close, "bid_sz": 3.0, "ask_sz": 1.0,
        },
        "vol_realized": {"w60s": 0.000123, "w30m": None},
        "vwap_window_s": 300, "vol_window_s": 60,
    }  # fmt: skip


def _bar(end_ms: int) -> dict[str, Any]:
    return {
        **_envelope(end_ms, "bars_1s", is_final=True),
        "revision": 0, "o": 170.0, "h": 170.2, "l": 169.9, "c": 170.1, "v": 1_200.0, "vwap": 170.05, "count": 40,
    }  # fmt: skip


def _envelope(end_ms: int, channel: str, *, is_final: bool) -> dict[str, Any]:
    return {
        "ingest_ts": _ANY_TIME.decode(), "event_ts": _instant(end_ms / 1_000), "feed": "sip", "channel": channel,
        "symbol": _ANY_SYMBOL.decode(), "seq": end_ms // 1_000, "is_final": is_final, "source": "ta",
        "window": {
            "size": "PT1S", "step": "PT1S", "start": _instant(end_ms / 1_000 - 1), "end": _instant(end_ms / 1_000),
        },
        "last_event_ts": _ANY_TIME.decode(), "version": 1,
    }  # fmt: skip


def _instant(epoch: float) -> str:
    return rfc3339(epoch, "milliseconds")
