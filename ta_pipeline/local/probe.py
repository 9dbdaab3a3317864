"""The probe that runs all the time, as a supervised process; what it does: `ta_pipeline.probe_server`."""

from __future__ import annotations

import sys

from ta_pipeline.kafka_config import CONNECTION
from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import answers
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, variables
from ta_pipeline.settings import Settings

# What the probe reads, and nothing else: another variable that changes must not restart it.
_READ = (
    *CONNECTION, "group_id", "bars_topic", "signals_topic", "live_topic", "status_topic",
    "trades_topic", "quotes_topic", "bars_1m_topic", "status_in_topic", "rejects_topic", "late_topic", "clock_topic",
    "session", "clickhouse_url", "max_out_of_orderness_ms", "bar_close_timeout_ms", "checkpoint_interval_ms",
    "checkpoint_timeout_ms", "output_format",
    "schema_registry_url", "schema_registry_username", "schema_registry_password",
)  # fmt: skip


def probe_url(local: LocalSettings) -> str:
    """Where the probe of this stack answers."""
    return f"http://{LOOPBACK}:{local.probe_port}"


def probe(local: LocalSettings, settings: Settings) -> Component:
    """The probe; ready when it reads the output topics.

    Args:
        local: the stack.
        settings: they point at the stack.
    """
    return Component(
        name="probe",
        command=(sys.executable, "-m", "ta_pipeline.probe_server", f"{LOOPBACK}:{local.probe_port}"),
        ports={"probe_port": local.probe_port},
        environment={**variables(settings, _READ), "PYTHONPATH": str(REPOSITORY)},
        after=("kafka", "registry") if settings.output_format == "avro-confluent" else ("kafka",),
        ready=lambda: _reads(local),
    )


def _reads(local: LocalSettings) -> None:
    told = answers(f"{probe_url(local)}/report").json()
    if not told["reading"]:
        raise NotReadyError(str(told["trouble"]))
