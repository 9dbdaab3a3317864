"""Does each component answer?"""

from __future__ import annotations

from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.kafka_source import KafkaStatus
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.verdicts import AT_ONCE, Verdict, unreachable

PROBE_HANGS_MS = 15_000
"""The probe goes round four times a second; a machine that is paused for seconds is no fault of it."""
TABLE_PATH_OFF = "TA_CLICKHOUSE_URL is empty: there is no table path"


def flink_reachable(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """Flink's REST API answers."""
    name = "flink_reachable"
    if isinstance(snapshot.flink, Unreachable):
        return Verdict(name, "bad", snapshot.flink.reason)
    return Verdict(name, "ok", f"answers at {snapshot.settings.flink_rest_url}")


def kafka_reachable(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The broker answers, and has the topics of the platform."""
    name, kafka = "kafka_reachable", snapshot.kafka
    if isinstance(kafka, Unreachable):
        return Verdict(name, "bad", kafka.reason)
    if kafka.missing:
        return Verdict(name, "bad", f"no such topic: {', '.join(kafka.missing)}", {"missing": len(kafka.missing)})
    return Verdict(name, "ok", f"answers at {snapshot.settings.kafka_bootstrap}")


def s3_reachable(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """S3 answers."""
    name, store = "s3_reachable", snapshot.store
    if isinstance(store, Unreachable):
        return Verdict(name, "bad", store.reason)
    newest = f"the newest revision is {store.newest.number}" if store.newest else "no rollout is recorded"
    return Verdict(name, "ok", f"answers at {snapshot.settings.s3_endpoint}; {newest}")


def clickhouse_reachable(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """ClickHouse answers."""
    name = "clickhouse_reachable"
    if snapshot.clickhouse is None:
        return Verdict(name, "ok", TABLE_PATH_OFF)
    if isinstance(snapshot.clickhouse, Unreachable):
        return Verdict(name, "bad", snapshot.clickhouse.reason)
    return Verdict(name, "ok", f"answers at {snapshot.settings.clickhouse_url}")


def probe_reachable(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The probe answers, and reads the output topics."""
    name, probe = "probe_reachable", snapshot.probe
    if isinstance(probe, Unreachable):
        return Verdict(name, "bad", probe.reason)
    silent_ms = snapshot.at_ms - probe.alive_ms
    figures = {"silent_ms": silent_ms}
    cause = "" if isinstance(snapshot.kafka, KafkaStatus) else "kafka_reachable"
    if probe.seen is None:
        return Verdict(name, "bad", f"the probe cannot read: {probe.trouble}", figures, cause)
    if silent_ms > PROBE_HANGS_MS:
        return Verdict(name, "bad", f"the probe has read nothing for {silent_ms / 1_000:.0f} s: it hangs", figures)
    if probe.trouble:
        return Verdict(name, "warn", f"the probe has trouble with the broker: {probe.trouble}", figures, cause)
    return Verdict(name, "ok", f"answers at {snapshot.settings.probe_url}", figures)


def stable_offset(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """No transaction is open for so long that readers of committed records stand still behind it."""
    name, kafka = "stable_offset", snapshot.kafka
    if isinstance(kafka, Unreachable):
        return unreachable(name, kafka)
    limit_s = kafka.open_limit_ms / 1_000
    stuck = [end for end in kafka.ends if end.overdue]
    figures = {"partitions": len(kafka.ends), "stuck": len(stuck), "limit_s": limit_s}
    if not stuck:
        return Verdict(name, "ok", f"no transaction is open for more than {limit_s:g} s", figures)
    places = ", ".join(f"{end.topic}[{end.partition}] at {end.stable:,} of {end.end:,}" for end in stuck)
    return Verdict(
        name,
        "bad",
        f"committed readers stand still behind a transaction open for more than {limit_s:g} s: {places}",
        figures,
        ticks=AT_ONCE,
    )
