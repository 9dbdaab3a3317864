"""The platform's clock as a supervised process; what it does and why: `ta_pipeline.clock`."""

from __future__ import annotations

import sys
import time

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from ta_pipeline.kafka_config import CONNECTION, client_config
from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.probes import TIMEOUT_SECONDS, listens
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, variables
from ta_pipeline.settings import Settings

STALE_MS = 3_000
# What the clock reads, and nothing else: another variable that changes must not restart it.
_READ = (
    *CONNECTION, "group_id", "trades_topic", "quotes_topic", "clock_topic",
    "bar_close_timeout_ms", "max_out_of_orderness_ms", "input_format", "input_field_case", "schema_registry_url",
    "schema_registry_username", "schema_registry_password",
)  # fmt: skip


def clock(local: LocalSettings, settings: Settings) -> Component:
    """The clock; ready when it ticks, `TA_BAR_CLOSE_TIMEOUT_MS` after the broker is.

    Args:
        local: the stack.
        settings: they point at the stack.
    """
    return Component(
        name="clock",
        command=(sys.executable, "-m", "ta_pipeline.clock"),
        ports={},
        environment={**variables(settings, _READ), "PYTHONPATH": str(REPOSITORY)},
        after=("kafka", "registry") if settings.input_format == "avro-confluent" else ("kafka",),
        ready=lambda: _ticks(local, settings),
    )


def _ticks(local: LocalSettings, settings: Settings) -> None:
    if "kafka" in local.components:
        listens(local.kafka_port)
    admin = AdminClient(client_config(settings, log_level=0))
    place = TopicPartition(settings.clock_topic, 0)
    newest_by_time = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    try:
        answer = admin.list_offsets({place: newest_by_time}, request_timeout=TIMEOUT_SECONDS)
        newest = answer[place].result(timeout=2 * TIMEOUT_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise NotReadyError(f"topic {settings.clock_topic}: {error.args[0] if error.args else 'no answer'}") from None
    if newest.timestamp < time.time() * 1_000 - STALE_MS:
        raise NotReadyError(
            f"no tick for {STALE_MS / 1_000:g} s; after an outage the first comes {settings.bar_close_timeout_ms} ms "
            "after the broker (TA_BAR_CLOSE_TIMEOUT_MS)"
        )
