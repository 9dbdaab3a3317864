"""Of alerts about the two jobs."""

from __future__ import annotations

from tests.unit.metrics.stories.world import CLUSTER, GONE, HEALTHY, JOB, OPERATOR, TABLE_JOB, Changes, Story

_RUNNING = f"flink_jobmanager_job_runningTime{{{JOB}}}"
_ALL_TASKS = f"flink_jobmanager_job_allSubTasksRunningOrFinishedTime{{{JOB}}}"
_COMPLETED = f"flink_jobmanager_job_lastCheckpointCompletedTimestamp{{{JOB}}}"
_RESTARTS = f"flink_jobmanager_job_numRestarts{{{JOB}}}"
_JOBMANAGER = f"flink_jobmanager_Status_JVM_CPU_Time{{{CLUSTER}}}"
_TASKMANAGER = f"flink_taskmanager_Status_JVM_CPU_Time{{{CLUSTER}}}"
_AGAIN = "1000+1000x5 stale _x1"
"""A process that runs for a minute and a half, and is away for half a minute."""
_BACKPRESSURE = f'flink_taskmanager_job_task_backPressuredTimeMsPerSecond{{{JOB},task_name="signals"}}'
_FAILED = f'{OPERATOR}failedCommittables{{{JOB},operator_name="bars"}}'
_SECOND = 'flink_jobmanager_job_runningTime{job_name="torghut_ta",job_id="c"}'
_WITHOUT_JOB: Changes = {series: GONE for series in HEALTHY if 'job_name="torghut_ta"' in series}
_WITHOUT_TABLE_JOB: Changes = {series: GONE for series in HEALTHY if "torghut_ta_table" in series}
_NO_POSITION: Changes = {series: GONE for series in HEALTHY if series.startswith("ta_table_") and "topic" in series}
_NAME = {"job_name": "torghut_ta"}


def _in_turn(series: str, processes: int) -> Changes:
    """So many processes one after the other, each as a series of its own."""
    return {
        series.replace("}", f',pod="{number}"}}'): " ".join(
            [*([f"_x{8 * number}"] if number else []), "1000+1000x6", "stale", f"_x{32 - 8 * number}"]
        )
        for number in range(processes)
    }


STORIES = (
    Story("TaJobAbsent", _WITHOUT_JOB, {**_WITHOUT_JOB, "ta_job_wanted": "0+0"}, _NAME),
    Story(
        "TaJobNotRunning",
        # Flink says RUNNING, and waits for slots.
        {_ALL_TASKS: "0+0"},
        {f"flink_jobmanager_job_restartingTime{{{JOB}}}": "1000+15000"},
        _NAME,
        "torghut_ta has not run with all tasks for two minutes.",
        short=5,
    ),
    Story(
        "TaJobTwice",
        {_SECOND: "1000+15000"},
        {'flink_jobmanager_job_runningTime{job_name="torghut_ta_of_another",job_id="c"}': "1000+15000"},
        _NAME,
        "2 jobs are called torghut_ta.",
    ),
    Story(
        "TaRestarts",
        {_RESTARTS: "1+1"},
        {_RESTARTS: "3+0"},
        description="40 restarts in 10 min; 3 are allowed.",
    ),
    # The JobManager is away for half a minute in every two: no absence lasts, and each one counts restarts from zero.
    Story(
        "TaRestarts",
        {_JOBMANAGER: " ".join(5 * [_AGAIN]), _RESTARTS: " ".join(5 * ["0+0x5 stale _x1"])},
        {_JOBMANAGER: " ".join([*2 * [_AGAIN], "1000+1000x23"])},
        description="5 restarts in 10 min; 3 are allowed.",
    ),
    # The same, each in a pod of its own.
    Story("TaRestarts", _in_turn(_JOBMANAGER, 4), _in_turn(_JOBMANAGER, 3),
          description="4 restarts in 10 min; 3 are allowed."),
    # Nor does Flink count what a TaskManager does that never gets to work.
    Story("TaRestarts", _in_turn(_TASKMANAGER, 4), _in_turn(_TASKMANAGER, 3),
          description="4 restarts in 10 min; 3 are allowed."),
    Story(
        "TaBackpressure",
        {_BACKPRESSURE: "900+0"},
        {_BACKPRESSURE: "800+0"},
        {"task_name": "signals"},
        "signals waits 90% of its time; 80% is allowed.",
    ),
    Story(
        "TaCheckpointOld",
        {_COMPLETED: "585000+0"},
        # Twice the interval, while the market sleeps: it is judged, and well.
        {"ta_session_open": "0+0", _COMPLETED: "580000+15000"},
        _NAME,
        "The newest one completed 10m 0s ago, or the job has run for so long without one; twice the checkpoint "
        "interval is allowed.",
    ),
    Story(
        "TaCheckpointSlow",
        {f"flink_jobmanager_job_lastCheckpointDuration{{{JOB}}}": "31000+0"},
        {f"flink_jobmanager_job_lastCheckpointDuration{{{JOB}}}": "30000+0"},
        _NAME,
        "The newest one took 31s.",
    ),
    Story(
        "TaSinkTransactionsFailed",
        {_FAILED: "1+1"},
        {_FAILED: "0+0"},
        {"operator_name": "bars"},
        "20 commits of bars failed in 5m; none is allowed.",
    ),
    Story(
        "TaOpenTransaction",
        {'ta_open_transaction_age_seconds{topic="ta.signals.v1"}': "31+15"},
        {'ta_open_transaction_age_seconds{topic="ta.signals.v1"}': "30+0"},
        {"topic": "ta.signals.v1"},
        "On ta.signals.v1 one is open for 10m 16s.",
    ),
    Story(
        "TaTableJobNotRunning",
        _WITHOUT_TABLE_JOB,
        {**_WITHOUT_TABLE_JOB, "ta_table_path_enabled": "0+0"},
        {"job_name": "torghut_ta_table"},
        "torghut_ta_table is absent, or not all of its tasks run.",
    ),
    Story(
        "TaClickHouseBreakerOpen",
        {f'{OPERATOR}breaker_state{{{TABLE_JOB},operator_name="ta_signals"}}': "2+0"},
        {f'{OPERATOR}breaker_state{{{TABLE_JOB},operator_name="ta_signals"}}': "2+0"},
        {"operator_name": "ta_signals"},
        "The breaker of ta_signals is in state 2 (1 half-open, 2 open).",
        short=3,
    ),
    Story(
        "TaTableBacklogExpiring",
        {'ta_table_expiring{topic="ta.signals.v1"}': "1+0"},
        # What waits is no loss.
        {'ta_table_backlog_records{topic="ta.signals.v1"}': "100000+1000"},
        {"topic": "ta.signals.v1"},
        "On ta.signals.v1 records that are not in ClickHouse have spent most of their retention, or are gone.",
    ),
    # An outage of ClickHouse for so long that Kafka forgets where the table job stands.
    Story("TaTablePositionGone", _NO_POSITION, _NO_POSITION, short=56, long=80, fires_at="29m45s"),
    # No path to ClickHouse.
    Story("TaTablePositionGone", _NO_POSITION, {**_NO_POSITION, "ta_table_path_enabled": "0+0"}, short=80, long=80,
          fires_at="29m45s"),
    # What is left of the cluster is enough to see that the job is away.
    Story("TaJobManagerMissing", {f"flink_jobmanager_numRegisteredTaskManagers{{{CLUSTER}}}": GONE}, _WITHOUT_JOB,
          {"app_kubernetes_io_component": "job"}),
    # A job that was just submitted has some time for its first checkpoint.
    Story("TaCheckpointOld", {_COMPLETED: "-1+0"}, {_COMPLETED: "-1+0", _RUNNING: "1000+0"}, _NAME,
          "The newest one completed 20m 45s ago, or the job has run for so long without one; twice the checkpoint "
          "interval is allowed."),
    # A task that was restarted and failed at once: its series begins above zero, and has no increase.
    Story("TaSinkTransactionsFailed", {_FAILED.replace('"bars"', '"late"'): "1+0"}, {_FAILED: "0+0"},
          {"operator_name": "late"}, "1 commits of late failed in 5m; none is allowed.", fires_at="12m"),
    # One failed scrape, five minutes ago, of a task that failed long before.
    Story("TaSinkTransactionsFailed", {_FAILED: "1+1"},
          {_FAILED.replace('"bars"', '"signals"'): "1+0x18 stale 1+0x19"}, {"operator_name": "bars"},
          "20 commits of bars failed in 5m; none is allowed."),
    # The probe is away, where a checkpoint is due every minute: what it told last holds, not what is the default.
    Story("TaCheckpointOld", {_COMPLETED: "585000+0"},
          {'ta_limit_seconds{limit="checkpoint_age"}': "123+0x1 stale _x37", _COMPLETED: "500000+15000"}, _NAME,
          "The newest one completed 10m 0s ago, or the job has run for so long without one; twice the checkpoint "
          "interval is allowed."),
)  # fmt: skip
