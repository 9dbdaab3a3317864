"""Alerts about the two jobs: state, restarts, checkpoints, transactions, ClickHouse. They never sleep."""

from __future__ import annotations

from ta_pipeline.metrics.alert import Alert
from ta_pipeline.metrics.limits import (
    BACKPRESSURE_BAD,
    CHECKPOINT_STARTING_MS,
    COMMITS_WITHIN_MS,
    RESTARTS,
    RESTARTS_WITHIN_MS,
)
from ta_pipeline.metrics.scrape import CLUSTER, JOB, OPERATOR, TASK
from ta_pipeline.metrics.selectors import Scope

_RUNNING = JOB + "runningTime"
_ALL_TASKS = JOB + "allSubTasksRunningOrFinishedTime"


def alerts(scope: Scope) -> list[Alert]:
    """Those of one deployment."""
    return [*_states(scope), *_checkpoints(scope), *_transactions(scope), *_tables(scope)]


def _states(scope: Scope) -> list[Alert]:
    running = scope.of_job(_RUNNING)
    managers = scope.of_cluster("flink_jobmanager_numRegisteredTaskManagers")
    moving = " or ".join(f"{scope.of_job(JOB + name)} > 0" for name in ("restartingTime", "failingTime"))
    return [
        Alert(
            "TaJobAbsent",
            f"(absent({running}) and on() max({managers})) unless on() {scope.not_wanted}",
            "3m",
            "critical",
            "The job does not run, though its JobManager does: it is FAILED, was cancelled, or never came.",
            f"No series of {_RUNNING} for three minutes, which is longer than a rollout takes it away.",
        ),
        Alert(
            "TaJobNotRunning",
            f"max by (job_name) ({moving} or {scope.of_job(_ALL_TASKS)} == 0)",
            "2m",
            "critical",
            "The job is RESTARTING or FAILING, or not all of its tasks run.",
            "{{ $labels.job_name }} has not run with all tasks for two minutes.",
        ),
        Alert(
            "TaJobTwice",
            f"count by (job_name) (count by (job_name, job_id) ({running})) > 1",
            "2m",
            "critical",
            "Several jobs of one name write the same topics.",
            "{{ $value }} jobs are called {{ $labels.job_name }}.",
        ),
        Alert(
            "TaRestarts",
            _restarts(scope, f"{RESTARTS_WITHIN_MS // 60_000}m"),
            "0s",
            "critical",
            "The job, or a process of Flink under it, restarts again and again.",
            f'{{{{ printf "%.0f" $value }}}} restarts in {RESTARTS_WITHIN_MS // 60_000} min; {RESTARTS} are allowed.',
        ),
        Alert(
            "TaBackpressure",
            f"max by (task_name) ({scope.of_job(TASK + 'backPressuredTimeMsPerSecond')}) / 1000 > {BACKPRESSURE_BAD}",
            "1m30s",
            "warning",
            "A task cannot keep up: those before it wait.",
            f"{{{{ $labels.task_name }}}} waits {{{{ $value | humanizePercentage }}}} of its time; "
            f"{BACKPRESSURE_BAD:.0%} is allowed.",
        ),
    ]


def _restarts(scope: Scope, within: str) -> str:
    """Restarts of the job and of its JobManager, or of a TaskManager: more than are allowed.

    Flink counts the job's from zero again with each JobManager, and nobody counts the processes. One that was restarted
    in its place begins its CPU time anew; one in a pod of its own, or a TaskManager (`tm_id`), is another series. Those
    of TaskManagers are not added, as the job restarts with each of them; and a rollout replaces all of them once.
    """
    managers = scope.of_cluster(CLUSTER + "Status_JVM_CPU_Time")
    workers = scope.of_cluster("flink_taskmanager_Status_JVM_CPU_Time")
    registered = f"max(max_over_time({scope.of_cluster(CLUSTER + 'numRegisteredTaskManagers')}[{within}]))"

    def begun(processes: str, at_once: str) -> str:
        return f"sum(resets({processes}[{within}])) + count(last_over_time({processes}[{within}])) - {at_once}"

    job = f"(max(increase({scope.of_job(JOB + 'numRestarts')}[{within}])) or vector(0))"
    manager = f"({begun(managers, f'(count({managers}) or vector(1))')})"
    worker = f"({begun(workers, registered)}) / ({registered} > 0)"
    # increase() extrapolates: three restarts may be 3.1 there.
    return f"{job} + {manager} > {RESTARTS}.5 or {worker} > {RESTARTS}.5"


def _checkpoints(scope: Scope) -> list[Alert]:
    completed = scope.of_job(JOB + "lastCheckpointCompletedTimestamp")
    running, limit = scope.of_job(_RUNNING), scope.limit("checkpoint_age")
    return [
        Alert(
            "TaCheckpointOld",
            # timestamp(): a sample is as old as the scrape, which is no fault of the job.
            f"max by (job_name) (timestamp({completed}) - {completed} / 1000 > {limit} and {completed} > 0) or "
            f"max by (job_name) ({running} / 1000 > {limit} + {CHECKPOINT_STARTING_MS // 1_000} "
            f"and on (job_id) {completed} <= 0)",
            "30s",
            "critical",
            "No checkpoint completes: nothing final is committed.",
            "The newest one completed {{ $value | humanizeDuration }} ago, or the job has run for so long without "
            "one; twice the checkpoint interval is allowed.",
        ),
        Alert(
            "TaCheckpointSlow",
            f"max by (job_name) ({scope.of_job(JOB + 'lastCheckpointDuration')}) / 1000 > "
            f"{scope.limit('checkpoint_duration')}",
            "1m",
            "warning",
            "Checkpoints take half of their timeout.",
            "The newest one took {{ $value | humanizeDuration }}.",
        ),
    ]


def _transactions(scope: Scope) -> list[Alert]:
    failed, within = scope.of_job(f"{OPERATOR}failedCommittables"), f"{COMMITS_WITHIN_MS // 60_000}m"
    return [
        Alert(
            "TaSinkTransactionsFailed",
            # A series that begins above zero has no increase: a task that was restarted, and failed at once.
            f"sum by (operator_name) (increase({failed}[{within}])) > 0 or "
            # Before means for an hour: a scrape that failed is no beginning.
            f"sum by (operator_name) ({failed} > 0 unless max_over_time({failed}[1h] offset {within})) > 0",
            "0s",
            "critical",
            "The commit of a sink's transaction failed: what it held may be lost.",
            f'{{{{ printf "%.0f" $value }}}} commits of {{{{ $labels.operator_name }}}} failed in {within}; none is '
            "allowed.",
        ),
        Alert(
            "TaOpenTransaction",
            f"max by (topic) ({scope.of('ta_open_transaction_age_seconds')}) > {scope.limit('open_transaction')}",
            "30s",
            "critical",
            "Readers of committed records stand still behind an open transaction.",
            "On {{ $labels.topic }} one is open for {{ $value | humanizeDuration }}.",
        ),
    ]


def _tables(scope: Scope) -> list[Alert]:
    enabled = f"(max({scope.of('ta_table_path_enabled')}) == 1)"
    absent = f"absent({scope.of_table_job(_RUNNING)})"
    stopped = f"max by (job_name) ({scope.of_table_job(_ALL_TASKS)} == 0)"
    expiring, records = scope.of("ta_table_expiring"), scope.of("ta_probe_records_total", 'path=~"final|bars"')
    # It was there, or there is something that it should have committed.
    due = f"(max(present_over_time({expiring}[1d])) or sum(increase({records}[1h])) > 0)"
    return [
        Alert(
            "TaTableJobNotRunning",
            f"(({absent} or {stopped}) and on() {enabled}) unless on() {scope.not_wanted}",
            "3m",
            "warning",
            "The job that fills ClickHouse does not run: rows wait in the topics.",
            "{{ $labels.job_name }} is absent, or not all of its tasks run.",
        ),
        Alert(
            "TaClickHouseBreakerOpen",
            f"max by (operator_name) ({scope.of_table_job(OPERATOR + 'breaker_state')}) > 0",
            "1m",
            "warning",
            "ClickHouse takes no rows: they wait in the topics.",
            "The breaker of {{ $labels.operator_name }} is in state {{ $value }} (1 half-open, 2 open).",
        ),
        Alert(
            "TaTableBacklogExpiring",
            f"max by (topic) ({scope.of('ta_table_expiring')}) == 1 or "
            f"max by (topic) ({scope.of('ta_table_lost_records')}) > 0",
            "1m",
            "critical",
            "Rows are lost for ClickHouse, or soon will be.",
            "On {{ $labels.topic }} records that are not in ClickHouse have spent most of their retention, or are "
            "gone.",
        ),
        Alert(
            "TaTablePositionGone",
            f"(absent({expiring}) and on() {enabled} and on() (max({scope.of('ta_kafka_reachable')}) == 1) "
            f"and on() {due}) unless on() {scope.not_wanted}",
            "15m",
            "critical",
            "Nobody knows whether rows are lost for ClickHouse: Kafka has no position of the table job.",
            "The broker answers, and its group has committed nothing for a partition, or Kafka has forgotten it.",
        ),
    ]
