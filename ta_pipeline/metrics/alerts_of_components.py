"""Alerts about what is not there: components, and metrics."""

from __future__ import annotations

from ta_pipeline.metrics.alert import Alert, Severity
from ta_pipeline.metrics.limits import DAGSTER_SILENT_MS, PROBE_GONE_MS
from ta_pipeline.metrics.selectors import Scope

_PROBE = "ta_probe_heartbeat_timestamp_seconds"
_DAGSTER = "ta_dagster_heartbeat_timestamp_seconds"
_MANAGERS = "flink_jobmanager_numRegisteredTaskManagers"
_ROLLOUT = "3m"
"""Longer than a rollout takes the job and its processes away, and than Dagster bears with what it brings about."""
_OF_DAGSTER: tuple[tuple[str, str, str, Severity, str], ...] = (
    ("TaS3Unreachable", "s3_reachable", "1m", "critical", "S3 does not answer Dagster: no checkpoint can be written."),
    (
        "TaClickHouseUnreachable",
        "clickhouse_reachable",
        "1m",
        "warning",
        "ClickHouse does not answer Dagster: rows wait.",
    ),
    ("TaCheckpointNotStored", "checkpoint_stored", "1m", "critical", "Flink's newest checkpoint is not in S3."),
    ("TaSettingsDrift", "settings_drift", _ROLLOUT, "warning", "The job runs with other settings than its revision."),
    ("TaTablesBehind", "tables_behind", _ROLLOUT, "warning", "ClickHouse is behind the topics."),
)
"""What only Dagster's sensor can judge; it tells the probe at each tick."""


def alerts(scope: Scope) -> list[Alert]:
    """Those of one deployment."""
    return [*_gone(scope), *_told_by_dagster(scope), _missing(scope)]


def _gone(scope: Scope) -> list[Alert]:
    probe, dagster = scope.of(_PROBE), scope.of(_DAGSTER)
    managers, answers = scope.of_cluster(_MANAGERS), scope.of("ta_kafka_reachable")
    silent = f"absent({scope.of_cluster('flink_taskmanager_Status_JVM_CPU_Load')}) unless absent({managers})"
    return [
        Alert(
            "TaProbeGone",
            f"absent({probe}) or time() - max({probe}) > {PROBE_GONE_MS // 1_000}",
            "2m",
            "critical",
            "Nobody sees what a reader of the output topics sees, nor whether Dagster watches.",
            "The probe's /metrics is not there, or it has not gone round for a minute.",
        ),
        Alert(
            "TaDagsterSilent",
            f"time() - max({dagster}) > {DAGSTER_SILENT_MS // 1_000} or (absent({dagster}) unless absent({probe}))",
            "2m",
            "critical",
            "Dagster's sensor does not run: what only it can judge is not judged.",
            f"It has not told the probe for more than {DAGSTER_SILENT_MS // 1_000} s; it should every 30 s.",
        ),
        Alert(
            "TaKafkaUnreachable",
            f"max({answers}) == 0",
            "1m",
            "critical",
            "The broker does not answer the probe, or a topic is missing.",
            "ta_kafka_reachable is 0.",
        ),
        Alert(
            "TaProbeNotReading",
            f"max({scope.of('ta_probe_reading')}) == 0 unless on() max({answers}) == 0",
            "2m",
            "critical",
            "The probe does not read the output topics: nobody sees whether signals are late, silent or missing.",
            "ta_probe_reading is 0, though the broker answers.",
        ),
        Alert(
            "TaJobManagerMissing",
            f"absent({managers}) unless on() {scope.not_wanted}",
            _ROLLOUT,
            "critical",
            "The JobManager's metrics are not there.",
            f"No series of {_MANAGERS}: the JobManager is down, or cannot be scraped.",
        ),
        Alert(
            "TaTaskManagerMissing",
            f"max(max({managers}) == 0 or ({silent})) unless on() {scope.not_wanted}",
            _ROLLOUT,
            "critical",
            "The job has no TaskManager: Flink says RUNNING, and nothing runs.",
            "The JobManager knows of no TaskManager, or none can be scraped.",
        ),
    ]


def _told_by_dagster(scope: Scope) -> list[Alert]:
    return [
        Alert(
            name,
            f"max({scope.of('ta_verdict_bad', _verdict(verdict))}) == 1",
            lasts,
            severity,
            summary,
            f"Dagster's verdict {verdict} is bad or unknown; `ta health` has its numbers.",
        )
        for name, verdict, lasts, severity, summary in _OF_DAGSTER
    ]


def _missing(scope: Scope) -> Alert:
    """A rule whose metric is gone is silent: so that is an alert, while what exports it is there."""
    runs = "flink_jobmanager_job_allSubTasksRunningOrFinishedTime"
    dagster = f"(time() - max({scope.of(_DAGSTER)}) < {DAGSTER_SILENT_MS // 1_000})"
    wanted = {
        f"(max({scope.of_job(runs)}) > 0)": [
            *(
                scope.of_job(name)
                for name in (
                    "flink_jobmanager_job_lastCheckpointCompletedTimestamp",
                    "flink_jobmanager_job_lastCheckpointDuration",
                    "flink_jobmanager_job_numRestarts",
                    "flink_taskmanager_job_task_backPressuredTimeMsPerSecond",
                    "flink_taskmanager_job_task_operator_failedCommittables",
                )
            ),
            *(scope.of_cluster(f"flink_{one}_Status_JVM_CPU_Time") for one in ("jobmanager", "taskmanager")),
        ],
        f"(max({scope.of_table_job(runs)}) > 0)": [
            scope.of_table_job("flink_taskmanager_job_task_operator_breaker_state")
        ],
        f"max({scope.of(_PROBE)})": [
            scope.of(name)
            for name in ("ta_session_open", "ta_limit_seconds", "ta_table_path_enabled", "ta_kafka_reachable")
        ],
        f"(max({scope.of('ta_probe_reading')}) == 1)": [
            scope.of(name)
            for name in (
                "ta_event_to_signal_seconds_count",
                "ta_probe_duplicates_total",
                "ta_probe_gaps_total",
                "ta_probe_gaps_closed_total",
            )
        ],
        f"(sum(increase({scope.of('ta_event_to_signal_seconds_count')}[1m])) > 0)": [
            scope.of("ta_event_to_signal_window_seconds")
        ],
        f"(max({scope.of('ta_kafka_reachable')}) == 1)": [scope.of("ta_open_transaction_age_seconds")],
        dagster: [scope.of("ta_verdict_bad")],
    }
    parts = [
        f'(label_replace(absent({one}), "metric", "{one.partition("{")[0]}", "", "") and on() {there})'
        for there, names in wanted.items()
        for one in names
    ]
    return Alert(
        "TaMetricsMissing",
        f"max by (metric) ({' or '.join(parts)})",
        "2m",
        "critical",
        "A metric that rules need is not there: they cannot fire.",
        "No series of {{ $labels.metric }}, though what exports it is there.",
    )


def _verdict(name: str) -> str:
    return f'verdict="{name}"'
