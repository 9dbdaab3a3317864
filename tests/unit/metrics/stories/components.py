"""Of alerts about what is not there."""

from __future__ import annotations

from tests.unit.metrics.stories.world import CLUSTER, GONE, HEALTHY, JOB, OPERATOR, TABLE_JOB, Changes, Story

_MANAGERS = f"flink_jobmanager_numRegisteredTaskManagers{{{CLUSTER}}}"
_CPU = f"flink_taskmanager_Status_JVM_CPU_Load{{{CLUSTER}}}"
_PROBE, _DAGSTER = "ta_probe_heartbeat_timestamp_seconds", "ta_dagster_heartbeat_timestamp_seconds"
_STOPPED_ON_PURPOSE = {"ta_job_wanted": "0+0"}
_WITHOUT_CLUSTER: Changes = {
    series: GONE for series in HEALTHY if series.startswith("flink_") and "torghut_ta_table" not in series
}
_WITHOUT_PROBE: Changes = {series: GONE for series in HEALTHY if series.startswith("ta_")}

STORIES = (
    Story("TaProbeGone", _WITHOUT_PROBE, {_PROBE: GONE}, short=6),
    # One that has just started was told nothing yet; that it is gone itself is another alert.
    Story("TaDagsterSilent", {_DAGSTER: "600+0"}, _WITHOUT_PROBE),
    # The registry is away, or the probe's user lacks a right: the broker answers.
    Story("TaKafkaUnreachable", {"ta_kafka_reachable": "0+0"}, {"ta_probe_reading": "0+0"}),
    Story("TaKafkaUnreachable", {"ta_kafka_reachable": "0+0"}, {"ta_kafka_reachable": "0+0"}, short=3),
    Story("TaProbeNotReading", {"ta_probe_reading": "0+0"}, {"ta_probe_reading": "0+0", "ta_kafka_reachable": "0+0"}),
    Story("TaProbeNotReading", {"ta_probe_reading": "0+0"}, {"ta_probe_reading": "0+0"}, short=7),
    Story(
        "TaJobManagerMissing",
        _WITHOUT_CLUSTER,
        {**_WITHOUT_CLUSTER, **_STOPPED_ON_PURPOSE},
        {"app_kubernetes_io_component": "job"},
    ),
    Story("TaTaskManagerMissing", {_MANAGERS: "0+0", _CPU: GONE}, {**_WITHOUT_CLUSTER}),
    # A rollout takes the job, its JobManager and its TaskManager away, and should run it all the while.
    Story("TaJobManagerMissing", _WITHOUT_CLUSTER, _WITHOUT_CLUSTER, {"app_kubernetes_io_component": "job"}, short=11),
    Story("TaTaskManagerMissing", {_MANAGERS: "0+0", _CPU: GONE}, {_MANAGERS: "0+0", _CPU: GONE}, short=11),
    # It runs the new job before it is recorded; and tables are behind until a job that was away has caught up.
    *(
        Story(alert, {verdict: "1+0"}, {verdict: "1+0"}, short=11)
        for alert, verdict in (
            ("TaSettingsDrift", 'ta_verdict_bad{verdict="settings_drift"}'),
            ("TaTablesBehind", 'ta_verdict_bad{verdict="tables_behind"}'),
        )
    ),
    *(
        Story(
            alert,
            {f'ta_verdict_bad{{verdict="{verdict}"}}': "1+0"},
            # The sensor is silent: what it said before is no news.
            {f'ta_verdict_bad{{verdict="{verdict}"}}': GONE},
        )
        for alert, verdict in (
            ("TaS3Unreachable", "s3_reachable"),
            ("TaClickHouseUnreachable", "clickhouse_reachable"),
            ("TaCheckpointNotStored", "checkpoint_stored"),
            ("TaSettingsDrift", "settings_drift"),
            ("TaTablesBehind", "tables_behind"),
        )
    ),
    Story(
        "TaMetricsMissing",
        {f'{OPERATOR}failedCommittables{{{JOB},operator_name="{name}"}}': GONE for name in ("bars", "signals")},
        # With the jobs away, their metrics are, too: other alerts say so.
        {
            **_WITHOUT_CLUSTER,
            f"flink_jobmanager_job_allSubTasksRunningOrFinishedTime{{{TABLE_JOB}}}": "0+0",
            f'{OPERATOR}breaker_state{{{TABLE_JOB},operator_name="ta_signals"}}': GONE,
        },
        {"metric": f"{OPERATOR}failedCommittables"},
        f"No series of {OPERATOR}failedCommittables, though what exports it is there.",
    ),
)
