"""The panels that a person needs at 09:31, in the order in which to look; data and nothing else.

Now                 is it well, in one look
What readers see    latency, freshness, duplicates, gaps
The job             does it run, keep up, and take checkpoints
Records             what comes in, what goes out, what does not
Commits and tables  transactions, ClickHouse
Who watches         the endpoints, the probe, Dagster
"""

from __future__ import annotations

from ta_pipeline.metrics.panel import Panel, Query, Row, State, Threshold
from ta_pipeline.metrics.panels_of_job import COMMITS, JOB, RECORDS
from ta_pipeline.metrics.panels_of_readers import READERS, WATCHERS
from ta_pipeline.metrics.scope import FIRING, OF_JOB, SCOPE, WATERMARK_LAG, checkpoint_age, limit, runs

SESSION_OPEN = f"max(ta_session_open{{{SCOPE}}}) == 1"
STARTED_AGAIN = f"sum(increase(flink_jobmanager_job_numRestarts{{{OF_JOB}}}[$__rate_interval])) > 0"


def _p99(path: str) -> Query:
    labels = f'path="{path}",quantile="0.99",window="60s"'
    return Query(f"max(ta_event_to_signal_window_seconds{{{SCOPE},{labels}}})", "p99")


NOW = Row(
    "Now",
    (
        Panel(
            "Session", "state", (Query(f"max(ta_session_open{{{SCOPE}}})", "session"),),
            "Whether the exchange trades, by its calendar and TA_SESSION. While it is closed, silence is no fault.",
            kind="now", states=(State(0, "closed", "neutral"), State(1, "open", "good")),
        ),
        Panel(
            "Job", "state",
            (Query(runs(OF_JOB), "job"),),
            "Whether all tasks of the job run. Flink calls a job RUNNING while it waits for a TaskManager, too: here "
            "it is not.",
            kind="now", states=(State(0, "down", "critical"), State(1, "running", "good")),
        ),
        Panel(
            "Live p99, 1 min", "seconds",
            (_p99("live"), limit("live_latency")),
            "Event to live signal, as a reader saw it in the last minute: 99 of 100 were faster.",
            kind="now",
        ),
        Panel(
            "Final p99, 1 min", "seconds",
            (_p99("final"), limit("final_latency")),
            "Event to committed final signal, as a reader saw it in the last minute.",
            kind="now",
        ),
        Panel(
            "Watermark lag", "seconds",
            WATERMARK_LAG,
            "How far event time was behind at the job's newest heartbeat.",
            kind="now",
        ),
        Panel(
            "Checkpoint age", "seconds",
            (Query(checkpoint_age(OF_JOB), "age"), limit("checkpoint_age")),
            "Since the newest checkpoint completed. Nothing final is committed without one.",
            kind="now",
        ),
        Panel(
            "Open transaction", "seconds",
            (
                Query(f"max(ta_open_transaction_age_seconds{{{SCOPE}}})", "age"),
                limit("open_transaction"),
            ),
            "Age of the oldest transaction that readers of committed records wait for; 0: none is open.",
            kind="now",
        ),
        Panel(
            "Alerts that fire", "count", (Query(f"count({FIRING}) or vector(0)", "alerts"),),
            "By Prometheus' rules: `Who watches` names them, docs/alerts.md says what to do.",
            kind="now", thresholds=(Threshold(1, "critical", "an alert"),),
        ),
    ),
)  # fmt: skip

ROWS: tuple[Row, ...] = (NOW, READERS, JOB, RECORDS, COMMITS, WATCHERS)
