"""What Flink says: does the job run and keep up, what goes through it, what is committed, what waits for ClickHouse."""

from __future__ import annotations

from collections.abc import Callable

from ta_pipeline.metrics.counted import WITHIN, risen, risen_while_watched, seldom
from ta_pipeline.metrics.limits import BACKPRESSURE_BAD, RESTARTS
from ta_pipeline.metrics.panel import Panel, Query, Row, State, Threshold
from ta_pipeline.metrics.scope import OF_JOB, OF_TABLE_JOB, SCOPE, checkpoint_age, limit, runs
from ta_pipeline.metrics.scrape import CLUSTER, OPERATOR, TASK
from ta_pipeline.metrics.scrape import JOB as OF_A_JOB

_SOURCE, _SINK = "Source:_(.+)_log_source", "(.+)_sink:_Writer"
"""Names of operators: of the sources, and of the sinks before ClickHouse."""
_PENDING = f"{OPERATOR}pendingRecords{{{OF_JOB}}}"
_BREAKER = f"{OPERATOR}breaker_state{{{OF_TABLE_JOB}}}"


def _both(expr: Callable[[str], str], made: Callable[[str, str], Query] = Query) -> tuple[Query, Query]:
    """Of the job and of the table job; `expr` takes the selector, `made` an expression and its legend."""
    return made(expr(OF_JOB), "job"), made(expr(OF_TABLE_JOB), "table job")


def _rate(metric: str, of: str, by: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{of}}}[$__rate_interval]))"


def _counted(metric: str, of: str, by: str = "") -> str:
    """How many in 5 min, by a counter that begins with its first event."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} ({risen_while_watched(f'{OPERATOR}{metric}{{{of}}}')})"


def _named(label: str, operators: str, expr: str) -> str:
    """With a label of what an operator is for, from its name."""
    return f'label_replace({expr}, "{label}", "$1", "operator_name", "{operators}")'


JOB = Row(
    "The job",
    (
        Panel(
            "Jobs and TaskManagers", "state",
            (
                *_both(runs),
                Query(f"min({CLUSTER}numRegisteredTaskManagers{{{SCOPE}}} > bool 0)", "TaskManager"),
            ),
            "Whether all tasks of a job run, and whether its cluster has a TaskManager. A gap: no job of the name is "
            "known, or the JobManager is away.",
            kind="states", states=(State(0, "down", "critical"), State(1, "running", "good")),
        ),
        Panel(
            "Restarts in 10 min", "count",
            _both(lambda of: f"sum(increase({OF_A_JOB}numRestarts{{{of}}}[10m]))", seldom),
            "Each costs a recovery, and finals come late. `ta job status` has the last failure.",
            thresholds=(Threshold(RESTARTS + 1, "critical", "TaRestarts"),),
        ),
        Panel(
            "Checkpoint age", "seconds",
            (
                *_both(checkpoint_age),
                limit("checkpoint_age"),
            ),
            "Since the newest checkpoint completed: a saw as high as the interval. The table job completes none while "
            "ClickHouse is away, and that is as it should be.",
        ),
        Panel(
            "Checkpoint duration", "seconds",
            (
                *_both(lambda of: f"max({OF_A_JOB}lastCheckpointDuration{{{of}}} >= 0) / 1000"),
                limit("checkpoint_duration"),
            ),
            "How long the newest checkpoint took. S3, backpressure, the size of the state.",
        ),
        Panel(
            "Checkpoints that failed, in 5 min", "count",
            _both(lambda of: f"sum(increase({OF_A_JOB}numberOfFailedCheckpoints{{{of}}}[{WITHIN}]))", seldom),
            "After TA_TOLERABLE_FAILED_CHECKPOINTS in a row the job restarts.",
        ),
        Panel(
            "Checkpoint size", "bytes",
            _both(lambda of: f"max({OF_A_JOB}lastCheckpointFullSize{{{of}}} >= 0)"),
            "State that a checkpoint holds: it grows with the symbols, and with TA_DEDUP_TTL_MS.",
        ),
        Panel(
            "Backpressure", "share",
            (Query(f"max({TASK}backPressuredTimeMsPerSecond{{{OF_JOB}}}) / 1000", "the task that waits most"),),
            "Share of its time that a task waits for the one behind it. High while the job catches up; high for long: "
            "more comes in than is done.",
            thresholds=(Threshold(BACKPRESSURE_BAD, "warning", "TaBackpressure"),),
        ),
        Panel(
            "Work", "share",
            (Query(f"max({TASK}busyTimeMsPerSecond{{{OF_JOB}}}) / 1000", "the busiest task"),),
            "Share of its time that a task works. Near 100 % the job can do no more, and backpressure follows.",
        ),
        Panel(
            "Not read yet", "count",
            (Query(_named("topic", _SOURCE, f"sum by (operator_name) ({_PENDING})"), "{{topic}}"),),
            "Records of the input topics that the job has not read. It falls after an outage; if it rises, the job "
            "does not keep up.",
        ),
    ),
)  # fmt: skip

RECORDS = Row(
    "Records",
    (
        Panel(
            "In: records that were used", "per second",
            (Query(_rate(f"{OPERATOR}ta_accepted", OF_JOB, "topic"), "{{topic}}"),),
            "Records that came into the job from each input topic, those that came late or twice with them.",
        ),
        Panel(
            "Out: records that a reader got", "per second",
            (Query(f"sum by (path) (rate(ta_probe_records_total{{{SCOPE}}}[$__rate_interval]))", "{{path}}"),),
            "Live signals at once; final ones, bars and 1-minute signals in bursts, as checkpoints commit them.",
        ),
        Panel(
            "Rejected in 5 min, by reason", "count",
            (seldom(_counted("ta_rejected", OF_JOB, "reason"), "{{reason}}"),),
            "Input that cannot be used; each record is on the topic of rejects, with its reason.",
            when_none="nothing was rejected since the job's last start",
        ),
        Panel(
            "Late, in 5 min", "count",
            (
                seldom(_counted("ta_late", OF_JOB), "behind the watermark"),
                seldom(_counted("ta_revisions", OF_JOB), "finals that were revised"),
                seldom(_counted("ta_late_published", OF_JOB, "reason"), "published: {{reason}}"),
            ),
            "Trades and 1-minute bars behind the watermark. They revise their second up to TA_REVISION_HORIZON_MS; "
            "what can revise nothing is on the topic of late records.",
        ),
        Panel(
            "Symbols", "count",
            (
                Query(f"max({OPERATOR}ta_symbols{{{OF_JOB}}})", "known to the job"),
                Query(f"count(ta_symbol_staleness_seconds{{{SCOPE}}} < 60)", "with an event in the last minute"),
            ),
            "How many symbols the job knows, and how many of them move.",
        ),
        Panel(
            "Newest trade on its topic", "seconds",
            (Query(f"time() - max(ta_newest_trade_timestamp_seconds{{{SCOPE}}})", "age"),),
            "Since the newest trade was written to its topic; the probe looks every 15 s. While the session is "
            "open, minutes of it are the feed's fault, not the job's.",
        ),
    ),
)  # fmt: skip

COMMITS = Row(
    "Commits and tables",
    (
        Panel(
            "Commits that failed, in 5 min", "count",
            # As the rule: what a sink's counter had when Prometheus first saw it counts.
            (seldom(f"sum({risen(f'{OPERATOR}failedCommittables{{{OF_JOB}}}')})", "failed"),),
            "What a failed commit held is lost to committed readers until `ta recover --gap` gives it out: more than 0 "
            "is an incident.",
            thresholds=(Threshold(1, "critical", "TaSinkTransactionsFailed"),),
        ),
        Panel(
            "Oldest open transaction", "seconds",
            (
                Query(f"max by (topic) (ta_open_transaction_age_seconds{{{SCOPE}}})", "{{topic}}"),
                limit("open_transaction"),
            ),
            "Readers of committed records stand still behind it. `ta doctor` says whose it is.",
        ),
        Panel(
            "Not committed yet", "count",
            (Query(f"max by (topic) (ta_uncommitted_records{{{SCOPE}}})", "{{topic}}"),),
            "Records that are on an output topic, and that readers of committed ones do not get yet: a saw, by the "
            "checkpoint interval.",
        ),
        Panel(
            "Breakers in front of ClickHouse", "state",
            (Query(_named("table", _SINK, f"max by (operator_name) ({_BREAKER})"), "{{table}}"),),
            "Open: ClickHouse takes no rows, and they wait in the topics. Nothing is lost.",
            kind="states",
            states=(State(0, "closed", "good"), State(1, "half-open", "warning"), State(2, "open", "critical")),
        ),
        Panel(
            "Records that are not in ClickHouse", "count",
            (
                Query(f"max by (topic) (ta_table_backlog_records{{{SCOPE}}})", "{{topic}}"),
                Query(f"sum({OPERATOR}breaker_waitingRows{{{OF_TABLE_JOB}}})", "rows in the sinks"),
            ),
            "What the table job has not committed: it grows while a breaker is open, and is read when it closes.",
        ),
        Panel(
            "Inserts that failed, in 5 min", "count",
            (
                seldom(
                    _named("table", _SINK, _counted("breaker_failedInserts", OF_TABLE_JOB, "operator_name")),
                    "{{table}}",
                ),
            ),
            "After 1 + TA_CLICKHOUSE_MAX_RETRIES in a row the breaker of the table opens.",
        ),
    ),
)  # fmt: skip
