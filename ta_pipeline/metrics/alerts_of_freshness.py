"""Alerts about what a reader sees: is it there, in time, once?

They sleep when no trades come and none should, and those that miss something of the job while it is stopped on purpose.
"""

from __future__ import annotations

from ta_pipeline.metrics.alert import Alert
from ta_pipeline.metrics.limits import GAP_SHARE, GAPS, REJECT_SHARE, SILENT_BAD_MS
from ta_pipeline.metrics.scrape import OPERATOR
from ta_pipeline.metrics.selectors import Scope
from ta_pipeline.probe_window import LONG_MS, SHORT_MS

_TOOK, _TOOK_LATELY = "ta_event_to_signal_seconds", "ta_event_to_signal_window_seconds"
_STEP = "15s"
"""Between the samples of a subquery."""
_IN = 'kind=~"trades|quotes|bars_1m|status|rejects"'


def alerts(scope: Scope) -> list[Alert]:
    """Those of one deployment."""
    return [*_flow(scope), *_path(scope, "live", SHORT_MS, "1m"), *_path(scope, "final", LONG_MS, "2m"), *_wrong(scope)]


def _flow(scope: Scope) -> list[Alert]:
    trade, beat = scope.of("ta_newest_trade_timestamp_seconds"), scope.of("ta_job_heartbeat_timestamp_seconds")
    lag = scope.of("ta_watermark_lag_seconds")
    # For as long as no trade is borne: at the open the newest one is that of the day before.
    is_open = f"min(min_over_time({scope.of('ta_session_open')}[{SILENT_BAD_MS // 60_000}m])) == 1"
    answers = f"max({scope.of('ta_kafka_reachable')}) == 1"
    beats = f"max({scope.of('ta_limit_seconds', _named('limit', 'job_heartbeat'))})"
    # Where the job sends no heartbeats. timestamp(): a sample is as old as the scrape, which is no fault of the job.
    reached = scope.of_job(OPERATOR + "currentInputWatermark", 'operator_name="signals"')
    behind, limit = f"max(timestamp({reached}) - {reached} / 1000 and {reached} > 0)", scope.limit("watermark_lag")
    silent_s = SILENT_BAD_MS // 1_000
    return [
        Alert(
            "TaNoTrades",
            f"(time() - max({trade}) > {silent_s} or absent({trade})) and on() {is_open} and on() {answers}",
            "1m",
            "critical",
            "No trades come, and the exchange is open.",
            f"The newest one was written more than {silent_s} s ago, or there is none.",
        ),
        Alert(
            "TaWatermarkLag",
            f"(quantile_over_time(0.99, {lag}[1m]) > {limit} or ({behind} > {limit} unless on() {beats})) "
            f"and on() {scope.expected} unless on() {scope.not_wanted}",
            "1m30s",
            "critical",
            "Event time lags: finals are late.",
            "The watermark is {{ $value | humanizeDuration }} behind: the 99th percentile of a minute's heartbeats, "
            "or, without TA_STATUS_TOPIC, what Flink says.",
        ),
        Alert(
            "TaJobHeartbeatMissing",
            f"(time() - max({beat}) > {scope.limit('job_heartbeat')} or (absent({beat}) and on() {beats})) "
            f"and on() {scope.expected} and on() {answers} unless on() {scope.not_wanted}",
            "1m30s",
            "critical",
            "The job sends no heartbeat: event time stands still, or the job does.",
            "None for more than twice the checkpoint interval and 10 s.",
        ),
    ]


def _path(scope: Scope, path: str, within_ms: int, silent: str) -> list[Alert]:
    """Late, and not at all.

    Args:
        scope: whose.
        path: live or final.
        within_ms: the time over which it is measured, one that the probe tells exact quantiles of; it has to hold
            several commits. A histogram is no measure here: between two of its edges a quantile is a guess, and the
            limits are those of the settings.
        silent: how long nothing is borne.
    """
    within, window = f"{within_ms // 60_000}m", _named("window", f"{within_ms // 1_000}s")
    took = f"max({scope.of(_TOOK_LATELY, _named('path', path), _named('quantile', '0.99'), window)})"
    count = f"sum(increase({scope.of(_TOOK + '_count', _named('path', path))}[{within}]))"
    title = path.capitalize()
    return [
        Alert(
            f"Ta{title}Latency",
            f"{took} > {scope.limit(f'{path}_latency')}",
            "1m30s",
            "critical",
            f"{title} signals are late.",
            f"Event to {path} signal: the 99th percentile of {within} is {{{{ $value | humanizeDuration }}}}.",
        ),
        Alert(
            f"Ta{title}Silent",
            f"{count} == 0 and on() {scope.flowing} unless on() {scope.not_wanted}",
            silent,
            "critical",
            f"Trades come, but no {path} signal does.",
            f"None in {within}.",
        ),
    ]


def _wrong(scope: Scope) -> list[Alert]:
    duplicates = scope.of("ta_probe_duplicates_total", 'path!="live"')
    found, closed = (f"sum by (kind) ({scope.of(f'ta_probe_{one}_total')})" for one in ("gaps", "gaps_closed"))
    # Those that are open, above where they were fewest: what comes late closes some, also of before.
    gaps = f"({found} - {closed} - min_over_time(({found} - {closed})[5m:{_STEP}]))"
    judged = f"sum by (kind) (increase({scope.of('ta_probe_judged_total')}[5m]))"
    rejects = f"sum(increase({scope.of('ta_job_records_total', _named('kind', 'rejects'))}[5m]))"
    records = f"sum(increase({scope.of('ta_job_records_total', _IN)}[5m]))"
    return [
        Alert(
            "TaFinalDuplicates",
            f"sum(increase({duplicates}[5m])) > 0",
            "0s",
            "critical",
            "A final record came twice, though its topic is exactly-once.",
            '{{ printf "%.0f" $value }} in 5 min.',
        ),
        Alert(
            "TaGaps",
            f"({gaps} >= {GAPS} and {gaps} > {GAP_SHARE} * {judged}) unless on() {scope.not_wanted}",
            # A job that restarts gives out late what was due meanwhile.
            "2m",
            "critical",
            "Live seconds have no final, or finals have no bar.",
            '{{ printf "%.0f" $value }} {{ $labels.kind }} in 5 min, '
            f"more than {GAP_SHARE:.0%} of those that were judged.",
        ),
        Alert(
            "TaRejects",
            f"{rejects} > {REJECT_SHARE} * {records}",
            "5m",
            "warning",
            "Many records of the input are rejected.",
            f'{{{{ printf "%.0f" $value }}}} in 5 min, more than {REJECT_SHARE:.0%} of what came; the topic of '
            "rejects has the reasons.",
        ),
    ]


def _named(label: str, value: str) -> str:
    return f'{label}="{value}"'
