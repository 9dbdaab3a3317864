"""A platform in which all is well, as series for `promtool test rules`, and how a story changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ta_pipeline.metrics.selectors import DEFAULTS

STEP_SECONDS = 15
WELL, TROUBLE, AGAIN = 40, 40, 60
"""Steps: ten minutes are well, ten are not, then fifteen are again."""
FIRES_AT, OVER_AT = "19m45s", "34m45s"
SILENT_AT = ("9m45s", "12m", "15m", "19m45s", "25m", "34m45s")
_END = WELL + TROUBLE + AGAIN

JOB = 'job_name="torghut_ta",job_id="a"'
TABLE_JOB = 'job_name="torghut_ta_table",job_id="b"'
CLUSTER = 'app_kubernetes_io_component="job"'
OPERATOR = "flink_taskmanager_job_task_operator_"

GONE = "gone"
"""Instead of what a series does: it ends."""

Changes = Mapping[str, str]
"""What a series does while there is trouble, by the series: `a+bxn` of promtool without `xn`, or several parts of it
with it, for as many steps as the trouble has; or `GONE`."""


@dataclass(frozen=True)
class Story:
    """One alert: what sets it off, what does not.

    Attributes:
        alert: its name.
        trouble: it fires while this lasts, and not afterwards.
        near: it stays silent while this lasts.
        labels: of the alert that fires, beside those of the rule.
        description: of the alert that fires; empty: it has no numbers in it.
        short: the near miss lasts for so many steps only.
        fires_at: when it is looked for.
        long: the trouble lasts for so many steps.
    """

    alert: str
    trouble: Changes
    near: Changes
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    short: int = TROUBLE
    fires_at: str = FIRES_AT
    long: int = TROUBLE


def _clock(offset: int = 0) -> str:
    return f"{offset}+{STEP_SECONDS}"


def took(path: str, window: str) -> str:
    """The series of a path's exact 99th percentile."""
    return f'ta_event_to_signal_window_seconds{{path="{path}",quantile="0.99",window="{window}"}}'


HEALTHY: Mapping[str, str] = {
    "ta_probe_heartbeat_timestamp_seconds": _clock(),
    "ta_probe_reading": "1+0",
    "ta_dagster_heartbeat_timestamp_seconds": _clock(),
    "ta_job_wanted": "1+0",
    "ta_session_open": "1+0",
    "ta_table_path_enabled": "1+0",
    "ta_kafka_reachable": "1+0",
    **{f'ta_limit_seconds{{limit="{name}"}}': f"{seconds:g}+0" for name, seconds in DEFAULTS.items()},
    'ta_limit_seconds{limit="job_heartbeat"}': "30+0",
    **{
        f'ta_verdict_bad{{verdict="{name}"}}': "0+0"
        for name in ("s3_reachable", "clickhouse_reachable", "checkpoint_stored", "settings_drift", "tables_behind")
    },
    **{f'ta_event_to_signal_seconds_count{{path="{path}"}}': "0+100" for path in ("live", "final")},
    took("live", "60s"): "0.14+0",
    took("final", "300s"): "12.4+0",
    **{f'ta_probe_duplicates_total{{path="{path}"}}': "0+0" for path in ("live", "final", "bars")},
    'ta_probe_gaps_total{kind="live_without_final"}': "0+0",
    'ta_probe_gaps_closed_total{kind="live_without_final"}': "0+0",
    'ta_probe_judged_total{kind="live_without_final"}': "0+150",
    'ta_probe_records_total{path="final"}': "0+100",
    "ta_job_heartbeat_timestamp_seconds": _clock(),
    "ta_watermark_lag_seconds": "2.1+0",
    'ta_job_records_total{kind="trades"}': "0+1500",
    'ta_job_records_total{kind="rejects"}': "0+0",
    "ta_newest_trade_timestamp_seconds": _clock(),
    'ta_open_transaction_age_seconds{topic="ta.signals.v1"}': "3+0",
    'ta_table_expiring{topic="ta.signals.v1"}': "0+0",
    'ta_table_lost_records{topic="ta.signals.v1"}': "0+0",
    f"flink_jobmanager_numRegisteredTaskManagers{{{CLUSTER}}}": "1+0",
    f"flink_taskmanager_Status_JVM_CPU_Load{{{CLUSTER}}}": "0.1+0",
    f"flink_jobmanager_Status_JVM_CPU_Time{{{CLUSTER}}}": "50000+1000",
    f'flink_taskmanager_Status_JVM_CPU_Time{{{CLUSTER},tm_id="first"}}': "90000+9000",
    f"flink_jobmanager_job_runningTime{{{JOB}}}": "60000+15000",
    f"flink_jobmanager_job_restartingTime{{{JOB}}}": "0+0",
    f"flink_jobmanager_job_failingTime{{{JOB}}}": "0+0",
    f"flink_jobmanager_job_allSubTasksRunningOrFinishedTime{{{JOB}}}": "60000+15000",
    f"flink_jobmanager_job_numRestarts{{{JOB}}}": "0+0",
    f"flink_jobmanager_job_lastCheckpointCompletedTimestamp{{{JOB}}}": "1+15000",
    f"flink_jobmanager_job_lastCheckpointDuration{{{JOB}}}": "250+0",
    f'flink_taskmanager_job_task_backPressuredTimeMsPerSecond{{{JOB},task_name="signals"}}': "20+0",
    f'{OPERATOR}failedCommittables{{{JOB},operator_name="bars"}}': "0+0",
    f'{OPERATOR}currentInputWatermark{{{JOB},operator_name="signals"}}': "-2100+15000",
    # Of a restart before all this.
    f'{OPERATOR}failedCommittables{{{JOB},operator_name="signals"}}': "1+0",
    f"flink_jobmanager_job_runningTime{{{TABLE_JOB}}}": "60000+15000",
    f"flink_jobmanager_job_allSubTasksRunningOrFinishedTime{{{TABLE_JOB}}}": "60000+15000",
    f'{OPERATOR}breaker_state{{{TABLE_JOB},operator_name="ta_signals"}}': "0+0",
}


def series_of(changes: Changes, lasting: int = TROUBLE) -> dict[str, str]:
    """The world with some series changed, as promtool's `values`.

    Args:
        changes: by series; one that the world does not have is there in the trouble only.
        lasting: steps of the trouble.
    """
    found = {series: _run(does, 0, _END) for series, does in HEALTHY.items()}
    for series, does in changes.items():
        well = HEALTHY.get(series)
        before = _run(well, 0, WELL) if well else f"_x{WELL}"
        after = _run(well, WELL + lasting, _END - WELL - lasting) if well else f"_x{_END - WELL - lasting}"
        if does == GONE:
            trouble = f"stale _x{lasting - 1}"
        else:
            trouble = _run(does, 0, lasting)
            after = after if well else f"stale {after}"
        found[series] = f"{before} {trouble} {after}"
    return found


def _run(does: str, begin: int, steps: int) -> str:
    """So many samples of `a+b`, from sample `begin` of it on."""
    if " " in does:
        return does
    first, _, growth = does.partition("+")
    value = float(first) + float(growth) * begin
    return f"{value:.15g}+{growth}x{steps - 1}"
