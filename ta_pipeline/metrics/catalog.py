"""Every metric that rules and dashboard use, by the name that Prometheus has it under.

Each of them is on the running stack: a test looks there.

Flink's reporter puts an underscore where a label's value has another character than a letter, a digit, `_` or `:`: the
job `torghut-ta` is `job_name="torghut_ta"` (`job_label`). It calls counters gauges in `# TYPE`, as they may be reset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ta_pipeline.errors import SettingsError
from ta_pipeline.metrics.scrape import CLUSTER, JOB, OPERATOR, TASK

Kind = Literal["counter", "gauge", "histogram", "summary"]
Source = Literal["flink", "probe"]

_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus has it; of a histogram without `_bucket`, `_sum`, `_count`.
        kind: what it is; a counter begins at zero again when its process, or the job, does.
        unit: of its values; `1` where it is yes or no, or a number for a state.
        labels: those that tell its series apart, beside those of the scrape.
        meaning: for a person.
        source: who says it.
        needs: what has to have happened before there is a series; empty: it is always there while the jobs run.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    source: Source
    needs: str = ""


def job_label(job: str) -> str:
    """The value of `job_name` for a job of this name.

    Args:
        job: as it is called on the cluster (`TA_K8S_DEPLOYMENT`).
    """
    return re.sub(r"[^a-zA-Z0-9:_]", "_", job)


def _of_job(name: str, kind: Kind, unit: str, meaning: str, needs: str = "") -> Metric:
    return Metric(JOB + name, kind, unit, ("job_name",), meaning, "flink", needs)


def _of_task(name: str, kind: Kind, unit: str, meaning: str) -> Metric:
    return Metric(TASK + name, kind, unit, ("job_name", "task_name", "subtask_index"), meaning, "flink")


def _of_operator(
    name: str, kind: Kind, unit: str, meaning: str, labels: tuple[str, ...] = (), *, needs: str = ""
) -> Metric:
    own = ("job_name", "operator_name", "subtask_index", *labels)
    return Metric(OPERATOR + name, kind, unit, own, meaning, "flink", needs)


def _of_probe(
    name: str, kind: Kind, unit: str, meaning: str, labels: tuple[str, ...] = (), *, needs: str = ""
) -> Metric:
    return Metric(name, kind, unit, labels, meaning, "probe", needs)


_FLINK = (
    Metric(CLUSTER + "numRegisteredTaskManagers", "gauge", "processes", (), "TaskManagers of the cluster", "flink"),
    Metric(CLUSTER + "taskSlotsTotal", "gauge", "slots", (), "slots of the cluster", "flink"),
    Metric(CLUSTER + "taskSlotsAvailable", "gauge", "slots", (), "slots that no task has", "flink"),
    Metric("flink_taskmanager_Status_JVM_CPU_Load", "gauge", "1", (), "share of the CPUs a TaskManager uses", "flink"),
    Metric(CLUSTER + "Status_JVM_CPU_Time", "counter", "ns", (), "CPU time of the JobManager", "flink"),
    Metric("flink_taskmanager_Status_JVM_CPU_Time", "counter", "ns", (), "CPU time of a TaskManager", "flink"),
    _of_job("runningTime", "gauge", "ms", "since the job is RUNNING, 0 when it is not; also while it waits for slots"),
    _of_job("restartingTime", "gauge", "ms", "since the job is RESTARTING; 0 when it is not"),
    _of_job("failingTime", "gauge", "ms", "since the job is FAILING; 0 when it is not"),
    _of_job("allSubTasksRunningOrFinishedTime", "gauge", "ms", "since all tasks run; 0 while one of them does not"),
    _of_job("numRestarts", "counter", "restarts", "restarts since the job was submitted, or its JobManager started"),
    _of_job("numberOfCompletedCheckpoints", "counter", "checkpoints", "checkpoints that completed"),
    _of_job("numberOfFailedCheckpoints", "counter", "checkpoints", "checkpoints that failed"),
    _of_job("numberOfInProgressCheckpoints", "gauge", "checkpoints", "checkpoints that are being taken"),
    _of_job("lastCheckpointCompletedTimestamp", "gauge", "ms", "when the newest checkpoint completed; -1: none has"),
    _of_job("lastCheckpointDuration", "gauge", "ms", "how long the newest checkpoint took; -1: none has completed"),
    _of_job("lastCheckpointFullSize", "gauge", "bytes", "size of the newest checkpoint; -1: none has completed"),
    _of_task("backPressuredTimeMsPerSecond", "gauge", "ms/s", "time a task waits for the one behind it"),
    _of_task("busyTimeMsPerSecond", "gauge", "ms/s", "time a task works"),
    _of_task("numRecordsInPerSecond", "gauge", "records/s", "records that come into a task"),
    _of_task("numRecordsOutPerSecond", "gauge", "records/s", "records that leave a task"),
    _of_operator("numRecordsIn", "counter", "records", "records that came into an operator"),
    _of_operator("numRecordsOut", "counter", "records", "records that left an operator"),
    _of_operator("numRecordsSend", "counter", "records", "records that a sink has sent"),
    _of_operator("numRecordsSendErrors", "counter", "records", "records that a sink could not send"),
    _of_operator("pendingRecords", "gauge", "records", "records of its topic that a source has not read"),
    _of_operator("currentInputWatermark", "gauge", "ms", "event time that an operator has come to; -2^63: none yet"),
    _of_operator("watermarkLag", "gauge", "ms", "how far the watermark of a source is behind"),
    _of_operator("failedCommittables", "counter", "transactions", "transactions of a sink whose commit failed"),
    _of_operator("retriedCommittables", "counter", "transactions", "commits of a sink that had to be tried again"),
    _of_operator("successfulCommittables", "counter", "transactions", "transactions of a sink that were committed"),
    _of_operator("pendingCommittables", "gauge", "transactions", "transactions of a sink that wait for their commit"),
    _of_operator("ta_symbols", "gauge", "symbols", "symbols of a topic that the job knows"),
    _of_operator("ta_finals", "counter", "records", "finals that were given out", needs="the first one"),
    _of_operator("ta_previews", "counter", "records", "live signals that were given out", needs="the first one"),
    _of_operator(
        "ta_revisions", "counter", "records", "finals given out again, as a late trade changed them",
        needs="the first one",
    ),
    _of_operator(
        "ta_late", "counter", "records", "trades and 1-minute bars that came behind the watermark",
        needs="the first one",
    ),
    _of_operator(
        "ta_late_published", "counter", "records", "late records that revised nothing, by why; they are on the topic "
        "for late ones", ("reason",), needs="the first one of its reason",
    ),
    _of_operator(
        "ta_accepted", "counter", "records", "records that were used, came late, or were duplicates",
        ("topic",), needs="the first one of its topic",
    ),
    _of_operator(
        "ta_rejected", "counter", "records", "records that were rejected, by why",
        ("reason",), needs="the first one of its reason",
    ),
    _of_operator("breaker_state", "gauge", "1", "breaker before a table: 0 closed, 1 half-open, 2 open"),
    _of_operator("breaker_sinceMillis", "gauge", "ms", "when the breaker was opened, or closed again"),
    _of_operator("breaker_opened", "counter", "times", "how often the breaker opened"),
    _of_operator("breaker_failedInserts", "counter", "inserts", "inserts that failed, in any state of the breaker"),
    _of_operator("breaker_waitingRows", "gauge", "rows", "rows that wait in the sink"),
)  # fmt: skip

_READING, _BEAT, _KAFKA = "the probe reads", "a heartbeat of the job", "Kafka answers the probe"

_PROBE = (
    _of_probe("ta_probe_heartbeat_timestamp_seconds", "gauge", "s", "when the probe last went round"),
    _of_probe("ta_probe_reading", "gauge", "1", "1 while the probe reads the output topics"),
    _of_probe(
        "ta_dagster_heartbeat_timestamp_seconds", "gauge", "s", "when Dagster's sensor last said that it runs",
        needs="a tick of the sensor",
    ),
    _of_probe(
        "ta_verdict_bad", "gauge", "1", "1 when a verdict of Dagster's sensor is bad or unknown, and calls a person; "
        "for ten minutes after its last tick", ("verdict",), needs="a tick of the sensor",
    ),
    _of_probe(
        "ta_job_wanted", "gauge", "1", "1 when the job should run, by the record of rollouts; 0 when it was stopped on "
        "purpose or never rolled out; for an hour where the record cannot be read, and for ten minutes after the "
        "sensor's last tick", needs="a tick of the sensor",
    ),
    _of_probe("ta_session_open", "gauge", "1", "1 while the exchange trades, by its calendar and `TA_SESSION`"),
    _of_probe(
        "ta_limit_seconds", "gauge", "s", "from where on a figure is bad, by the settings and, for `watermark_lag` and "
        "`final_latency`, by how many records come", ("limit",),
    ),
    _of_probe("ta_table_path_enabled", "gauge", "1", "1 when there is a path to ClickHouse (`TA_CLICKHOUSE_URL`)"),
    _of_probe("ta_kafka_reachable", "gauge", "1", "1 while the broker answers the probe and has the platform's topics"),
    _of_probe(
        "ta_event_to_signal_seconds", "histogram", "s", "from the newest event in a record to its reader, revisions "
        "left out; `live` is read at once, `final`, `final_1m` and `bars` when they are committed",
        ("path",), needs=_READING,
    ),
    _of_probe(
        "ta_event_to_signal_window_seconds", "gauge", "s", "the same as exact quantiles of the last 60 s and 300 s",
        ("path", "quantile", "window"), needs="a record within the window",
    ),
    _of_probe("ta_probe_records_total", "counter", "records", "records that came", ("path",), needs=_READING),
    _of_probe("ta_probe_duplicates_total", "counter", "records", "records that came again", ("path",), needs=_READING),
    _of_probe(
        "ta_probe_gaps_total", "counter", "records", "live seconds without a final, final signals without a bar",
        ("kind",), needs=_READING,
    ),
    _of_probe(
        "ta_probe_gaps_closed_total", "counter", "records", "of these gaps, those whose final or bar came after all, "
        "within ten minutes", ("kind",), needs=_READING,
    ),
    _of_probe(
        "ta_probe_judged_total", "counter", "records", "records that could have had a gap", ("kind",), needs=_READING,
    ),
    _of_probe(
        "ta_probe_out_of_order_total", "counter", "records", "final signals behind a newer one of their symbol",
        needs=_READING,
    ),
    _of_probe(
        "ta_probe_undecodable_total", "counter", "records", "records that the probe could not read",
        ("reason",), needs="the first one of its reason",
    ),
    _of_probe(
        "ta_symbol_staleness_seconds", "gauge", "s", "now minus the newest event of the symbol on any output topic",
        ("symbol",), needs="a record of the symbol",
    ),
    _of_probe("ta_job_heartbeat_timestamp_seconds", "gauge", "s", "when the job's newest heartbeat came", needs=_BEAT),
    _of_probe(
        "ta_watermark_lag_seconds", "gauge", "s", "how far the job's watermark was behind at its newest heartbeat",
        needs=_BEAT,
    ),
    _of_probe(
        "ta_job_records_total", "counter", "records", "what the job counted, by its heartbeats: trades, quotes, "
        "bars_1m, status, bars, signals, live, late, rejects", ("kind",), needs=_BEAT,
    ),
    _of_probe(
        "ta_newest_trade_timestamp_seconds", "gauge", "s", "when the newest trade was written to its topic",
        needs="a trade on the topic",
    ),
    _of_probe(
        "ta_uncommitted_records", "gauge", "records", "records of an output topic that readers of committed ones do "
        "not get yet", ("topic",), needs=_KAFKA,
    ),
    _of_probe(
        "ta_open_transaction_age_seconds", "gauge", "s", "age of the oldest open transaction that readers of committed "
        "records wait for; 0: none is open", ("topic",), needs=_KAFKA,
    ),
    _of_probe(
        "ta_table_backlog_records", "gauge", "records", "records that the table job has not committed yet",
        ("topic",), needs="a commit of the table job",
    ),
    _of_probe(
        "ta_table_expiring", "gauge", "1", "1 when records that are not in ClickHouse have spent most of their topic's "
        "retention", ("topic",), needs="a commit of the table job",
    ),
    _of_probe(
        "ta_table_lost_records", "gauge", "records", "records that left their topic before the table job had them",
        ("topic",), needs="a commit of the table job",
    ),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (*_PROBE, *_FLINK)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metric(name: str) -> Metric:
    """The metric of a series' name; `_bucket`, `_sum` and `_count` lead to their histogram.

    Raises:
        SettingsError: there is none of that name.
    """
    if found := _BY_NAME.get(name):
        return found
    for one in METRICS:
        if name in {one.name + suffix for suffix in _SUFFIXES.get(one.kind, ())}:
            return one
    raise SettingsError(
        f"there is no metric {name!r} in ta_pipeline/metrics/catalog.py: add it there, or mend the name"
    )
