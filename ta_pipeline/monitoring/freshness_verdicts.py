"""Does what comes in come out, in time, complete, and in ClickHouse too? When these sleep: `verdicts`."""

from __future__ import annotations

from ta_pipeline.figures import duration
from ta_pipeline.latency import LatencySummary
from ta_pipeline.metrics.limits import (
    GAP_SHARE,
    GAPS,
    LAG_BUDGET_MS,
    LIVE_P99_MS,
    SILENT_BAD_MS,
    SILENT_WARN_MS,
    final_latency_ms,
    heartbeat_ms,
)
from ta_pipeline.monitoring.flink_source import FlinkStatus
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.reach_verdicts import TABLE_PATH_OFF
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.store_sources import TABLES, Seen
from ta_pipeline.monitoring.verdicts import (
    AT_ONCE,
    LASTING,
    Figure,
    State,
    Verdict,
    closing_delay_ms,
    interval_ms,
    job_of,
    seen_of,
    trade_age_ms,
    trades_flow,
    unreachable,
)
from ta_pipeline.probe_window import LONG_MS, SHORT_MS

REST_AGE_MS = 10_000
"""Metrics that Flink tells are up to this old (`metrics.fetcher.update-interval`): heartbeats are not."""
TABLES_BEHIND_MS = 60_000
"""The tables are for questions, not for trading: a minute is what a person notices."""


def input_flow(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """Trades come while the exchange is open."""
    name = "input_flow"
    job = job_of(snapshot, name)
    if isinstance(job, Verdict) and job.state == "asleep":
        return job
    if isinstance(snapshot.kafka, Unreachable):
        return unreachable(name, snapshot.kafka)
    age_ms = trade_age_ms(snapshot)
    topic, session = snapshot.settings.trades_topic, snapshot.settings.session
    figures: dict[str, Figure] = {"age_ms": age_ms}
    newest = "has none" if age_ms is None else f"has a newest one of {duration(age_ms)} ago"
    if age_ms is not None and age_ms <= SILENT_WARN_MS:
        return Verdict(name, "ok", f"trades come: {topic} {newest}", figures)
    figures["session_open"] = is_open = snapshot.is_session_open(snapshot.at_ms)
    if not is_open:
        return Verdict(
            name, "asleep", f"no trades come ({topic} {newest}), and the {session} session is closed", figures
        )
    # At the open the newest trade is of the session before: the first one has as long as every other one.
    was_open = snapshot.is_session_open(snapshot.at_ms - SILENT_BAD_MS)
    state: State = "warn" if not was_open or (age_ms is not None and age_ms <= SILENT_BAD_MS) else "bad"
    return Verdict(name, state, f"no trades come ({topic} {newest}), but the {session} session is open", figures)


def watermark_lag(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The watermark is not further behind than the out-of-orderness allows."""
    name = "watermark_lag"
    seen = seen_of(snapshot, name)
    if isinstance(seen, Verdict):
        return seen
    if not trades_flow(snapshot) and not snapshot.is_session_open(snapshot.at_ms):
        return Verdict(name, "asleep", "no trades come: there is nothing to be late with")
    if not snapshot.settings.status_topic:
        return _lag_by_metric(name, snapshot, seen)
    beat = seen.job_beat
    silent_ms = snapshot.at_ms - (beat.came_ms if beat else seen.since_ms)
    limit_ms = heartbeat_ms(interval_ms(snapshot))
    if beat is None or silent_ms > limit_ms:
        cause = "" if _job_runs(snapshot) else "job_state"
        since = "" if beat else " (since the probe began)"
        text = f"no heartbeat of the job for {duration(silent_ms)}{since}; one is due every {duration(limit_ms // 2)}"
        return Verdict(name, "bad" if silent_ms > limit_ms else "unknown", text, {"silent_ms": silent_ms}, cause)
    lag_ms, allowed_ms = beat.watermark_lag_p99_ms, closing_delay_ms(snapshot, seen)
    if lag_ms is None:
        return Verdict(name, "unknown", "the job has no watermark yet", ticks=LASTING)
    return _lag(name, lag_ms, allowed_ms, LAG_BUDGET_MS, "the 99th percentile of the last minute's heartbeats")


def _lag_by_metric(name: str, snapshot: StatusSnapshot, seen: Seen) -> Verdict:
    job = job_of(snapshot, name)
    if isinstance(job, Verdict):
        return job
    if job.watermark_ms is None:
        return Verdict(name, "unknown", "the job has no watermark yet", ticks=LASTING)
    lag_ms, allowed_ms = snapshot.at_ms - job.watermark_ms, closing_delay_ms(snapshot, seen)
    return _lag(name, lag_ms, allowed_ms, LAG_BUDGET_MS + REST_AGE_MS, "Flink's metric, as TA_STATUS_TOPIC is empty")


def _lag(name: str, lag_ms: float, allowed_ms: int, budget_ms: int, source: str) -> Verdict:
    text = f"the watermark is {duration(lag_ms)} behind; {duration(allowed_ms)} and {duration(budget_ms)} are allowed"
    figures = {"lag_ms": lag_ms, "allowed_ms": allowed_ms, "budget_ms": budget_ms}
    state: State = "bad" if lag_ms > allowed_ms + budget_ms else "ok"
    return Verdict(name, state, f"{text} ({source})", figures, ticks=LASTING)


def live_latency(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """Live signals come within half a second of their newest event."""
    name = "live_latency"
    seen = seen_of(snapshot, name)
    if isinstance(seen, Verdict):
        return seen
    if not seen.short["live"].count:
        return _silent(name, snapshot, seen, "live", SHORT_MS)
    return _late(name, seen.short["live"], LIVE_P99_MS, SHORT_MS, "live")


def final_latency(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """Final signals come within the watermark's delay, the checkpoint interval and a budget."""
    name = "final_latency"
    seen = seen_of(snapshot, name)
    if isinstance(seen, Verdict):
        return seen
    # A window has to hold several commits.
    window_ms = SHORT_MS if 3 * interval_ms(snapshot) <= SHORT_MS else LONG_MS
    summary = (seen.short if window_ms == SHORT_MS else seen.long)["final"]
    if not summary.count:
        return _silent(name, snapshot, seen, "final", window_ms + seen.final_within_ms)
    limit_ms = final_latency_ms(closing_delay_ms(snapshot, seen), interval_ms(snapshot))
    return _late(name, summary, limit_ms, window_ms, "final")


def _late(name: str, summary: LatencySummary, limit_ms: int, window_ms: int, path: str) -> Verdict:
    p99_ms = summary.p99_ms or 0.0
    text = (
        f"event to {path} signal: 99th percentile {duration(p99_ms)}, allowed are {duration(limit_ms)}; median "
        f"{duration(summary.p50_ms)}, of {summary.count:,} in {window_ms // 1_000} s"
    )
    figures = {"p50_ms": summary.p50_ms, "p99_ms": p99_ms, "limit_ms": limit_ms, "count": summary.count}
    return Verdict(name, "bad" if p99_ms > limit_ms else "ok", text, figures, ticks=LASTING)


def _silent(name: str, snapshot: StatusSnapshot, seen: Seen, path: str, due_ms: int) -> Verdict:
    """No signal came: is that a fault?"""
    looked_ms = seen.at_ms - seen.since_ms
    if isinstance(snapshot.kafka, Unreachable):
        return unreachable(name, snapshot.kafka)
    if not trades_flow(snapshot):
        return Verdict(name, "asleep", f"no trades come, so no {path} signals either; input_flow judges that")
    if looked_ms < due_ms:
        text = f"no {path} signal yet; the probe has looked for {duration(looked_ms)}, {duration(due_ms)} are needed"
        return Verdict(name, "unknown", text, {"count": 0}, "" if _job_runs(snapshot) else "job_state", LASTING)
    text = f"trades come, but no {path} signal in {duration(due_ms)}"
    return Verdict(name, "bad", text, {"count": 0}, "" if _job_runs(snapshot) else "job_state")


def live_and_final(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """What was live becomes final, and no final record comes twice."""
    name = "live_and_final"
    seen = seen_of(snapshot, name)
    if isinstance(seen, Verdict):
        return seen
    recent = seen.recent
    figures: dict[str, Figure] = {**recent._asdict()}
    if recent.final_duplicates:
        text = f"{recent.final_duplicates} final records came twice in 5 min; the final topics are exactly-once"
        return Verdict(name, "bad", text, figures, ticks=AT_ONCE)
    if not recent.live and not recent.finals:
        return Verdict(name, "asleep", "nothing came in 5 min; the latencies say whether that is a fault", figures)
    if recent.live and not recent.finals and seen.at_ms - seen.since_ms > LONG_MS:
        return Verdict(name, "bad", f"{recent.live:,} live signals, but nothing final in 5 min", figures)
    gaps = {
        f"live seconds without anything final within {duration(seen.final_within_ms)}": (
            recent.live_without_final,
            recent.live_judged,
        ),
        "final signals without a bar": (recent.signals_without_bar, recent.signals_judged),
    }
    found = [f"{count} of {judged:,} {what}" for what, (count, judged) in gaps.items() if count]
    serious = any(count >= GAPS and count > GAP_SHARE * judged for count, judged in gaps.values())
    found += [f"{recent.out_of_order} final signals behind a newer one"] if recent.out_of_order else []
    found += [f"{recent.undecodable} records that cannot be read"] if recent.undecodable else []
    if found:
        # A job that restarts gives out late what was due meanwhile.
        return Verdict(name, "bad" if serious else "warn", "in 5 min: " + "; ".join(found), figures, ticks=LASTING)
    text = f"no gap and no duplicate among {recent.live:,} live and {recent.finals:,} final records in 5 min"
    return Verdict(name, "ok", text, figures)


def tables_behind(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """ClickHouse has what the final topics have; judged whenever a final was seen, whatever the hour."""
    name, clickhouse = "tables_behind", snapshot.clickhouse
    if clickhouse is None:
        return Verdict(name, "ok", TABLE_PATH_OFF)
    seen = seen_of(snapshot, name)
    if isinstance(seen, Verdict):
        return seen
    if isinstance(clickhouse, Unreachable):
        return unreachable(name, clickhouse)
    lag = None if isinstance(snapshot.kafka, Unreachable) else snapshot.kafka.table_lag
    figures: dict[str, Figure] = {"records_behind": lag}
    behind: dict[str, float] = {}
    for table, channel in TABLES.items():
        newest_ms = seen.newest_event_ms.get(channel)
        if newest_ms is None:
            continue
        stored_ms = clickhouse.newest_event_ms.get(table)
        behind[table] = float("inf") if stored_ms is None else max(0, newest_ms - stored_ms)
        figures[f"{table}_behind_ms"] = None if stored_ms is None else behind[table]
    if not behind:
        return Verdict(name, "asleep", "nothing final was seen since the probe began", figures)
    rows = "" if lag is None else f"; at most {lag:,} records are not committed by the table job"
    told = ", ".join(
        f"{table} has no row of the last day" if ms == float("inf") else f"{table} is {duration(ms)} behind"
        for table, ms in behind.items()
    )
    flink = snapshot.flink
    job = flink.table_job if isinstance(flink, FlinkStatus) else None
    if max(behind.values()) > TABLES_BEHIND_MS:
        text = f"{told}; {duration(TABLES_BEHIND_MS)} are allowed{rows}"
        cause = "table_job_state" if job is None or job.state != "RUNNING" else ""
        if job is not None and any(not breaker.is_closed for breaker in job.breakers):
            cause = cause or "clickhouse_breaker"
        return Verdict(name, "bad", text, figures, cause, LASTING)
    return Verdict(name, "ok", told + rows, figures)


def _job_runs(snapshot: StatusSnapshot) -> bool:
    flink = snapshot.flink
    return isinstance(flink, FlinkStatus) and flink.job is not None and flink.job.state == "RUNNING"
