"""What a reader of the output topics sees, as the probe tells it, and who watches."""

from __future__ import annotations

from ta_pipeline.metrics.counted import risen_while_watched, seldom
from ta_pipeline.metrics.limits import DAGSTER_SILENT_MS
from ta_pipeline.metrics.panel import Panel, Query, Row, State, Threshold
from ta_pipeline.metrics.scope import FIRING, SCOPE, WATERMARK_LAG, limit


def _quantile(quantile: float, path: str) -> str:
    rate = f'rate(ta_event_to_signal_seconds_bucket{{{SCOPE},path="{path}"}}[$__rate_interval])'
    return f"histogram_quantile({quantile}, sum by (le) ({rate}))"


def _latency(title: str, path: str, limited_by: str, description: str) -> Panel:
    return Panel(
        title, "seconds",
        (
            Query(_quantile(0.5, path), "p50"),
            Query(_quantile(0.99, path), "p99"),
            limit(limited_by),
        ),
        description,
    )  # fmt: skip


_LIVE, _NOT_LIVE = 'path="live"', 'path!="live"'


def _counted(metric: str, matcher: str = "") -> str:
    return risen_while_watched(f"{metric}{{{SCOPE}{',' if matcher else ''}{matcher}}}")


READERS = Row(
    "What readers see",
    (
        _latency(
            "Event to live signal", "live", "live_latency",
            "From the newest trade in a live signal to its reader. High with a low watermark lag: the machine, or the "
            "feed's own delay. From a histogram: a value lies between the bounds of its bucket.",
        ),
        _latency(
            "Event to final signal, committed", "final", "final_latency",
            "From the newest trade in a final signal to a reader of committed records: the watermark's delay and the "
            "wait for a checkpoint are in it, so it moves between the two. From a histogram.",
        ),
        Panel(
            "Watermark lag", "seconds",
            WATERMARK_LAG,
            "How far the job's event time was behind at each heartbeat: TA_MAX_OUT_OF_ORDERNESS_MS when all is well. "
            "A line that rises as fast as time passes: one input, or the clock, is away.",
        ),
        Panel(
            "Staleness of symbols", "seconds",
            (
                Query(f"max(ta_symbol_staleness_seconds{{{SCOPE}}})", "stalest"),
                Query(f"quantile(0.9, ta_symbol_staleness_seconds{{{SCOPE}}})", "9 of 10 are below"),
                Query(f"quantile(0.5, ta_symbol_staleness_seconds{{{SCOPE}}})", "median"),
            ),
            "Now minus the newest event of a symbol on any output topic. The median rises: the feed or the job. Only "
            "the stalest does: a symbol that does not trade, or is halted.",
        ),
        Panel(
            "Stalest symbols now", "seconds",
            (Query(f"topk(10, max by (symbol) (ta_symbol_staleness_seconds{{{SCOPE}}}))", "{{symbol}}"),),
            "The ten symbols that said nothing for the longest time.",
            kind="bars",
        ),
        Panel(
            "Duplicates and gaps, in 5 min", "count",
            (
                seldom(f"sum({_counted('ta_probe_duplicates_total', _LIVE)})", "live again"),
                seldom(f"sum({_counted('ta_probe_duplicates_total', _NOT_LIVE)})", "final again"),
                seldom(f"sum by (kind) ({_counted('ta_probe_gaps_total')})", "{{kind}}"),
                seldom(f"sum({_counted('ta_probe_out_of_order_total')})", "out of order"),
                seldom(f"sum({_counted('ta_probe_undecodable_total')})", "cannot be read"),
            ),
            "Records that came again, and records that did not follow in time. A final record that comes again is "
            "what exactly-once rules out; a live one may.",
        ),
    ),
)  # fmt: skip

_AWAY = "Now minus its last sign of life."
_ENDPOINTS = 'job=~".*(jobmanager|taskmanager|probe|torghut).*"'

WATCHERS = Row(
    "Who watches",
    (
        Panel(
            "Is it there", "state",
            (
                Query(f"max by (job, instance) (up{{{SCOPE},{_ENDPOINTS}}})", "{{job}} {{instance}}"),
                Query(f"min(ta_probe_reading{{{SCOPE}}})", "the probe reads"),
                Query(f"min(ta_kafka_reachable{{{SCOPE}}})", "Kafka answers"),
            ),
            "Endpoints that Prometheus scrapes, and what the probe gets to. A gap: Prometheus itself was away.",
            kind="states", states=(State(0, "away", "critical"), State(1, "there", "good")),
        ),
        Panel(
            "Heartbeats", "seconds",
            (
                Query(f"time() - max(ta_probe_heartbeat_timestamp_seconds{{{SCOPE}}})", "probe"),
                Query(f"time() - max(ta_job_heartbeat_timestamp_seconds{{{SCOPE}}})", "job"),
                Query(f"time() - max(ta_dagster_heartbeat_timestamp_seconds{{{SCOPE}}})", "Dagster"),
            ),
            f"{_AWAY} The probe's is of its last round, the job's comes with each checkpoint interval, Dagster's "
            "sensor ticks every 30 s.",
            thresholds=(Threshold(DAGSTER_SILENT_MS / 1_000, "critical", "TaDagsterSilent"),),
        ),
        Panel(
            "What calls a person", "state",
            (
                Query(f"max by (alertname) ({FIRING})", "{{alertname}}"),
                Query(f"max by (verdict) (ta_verdict_bad{{{SCOPE}}} == 1)", "verdict {{verdict}}"),
            ),
            "Alerts of Prometheus that fire, and verdicts of Dagster's sensor that are bad or unknown. Empty when all "
            "is well. What to do: docs/alerts.md.",
            kind="states", states=(State(1, "calls", "critical"),),
            when_none="no alert fires, and no verdict calls",
        ),
    ),
)  # fmt: skip
