"""Every question there is, in the order a person asks them: is everything there, does it run, is it fresh?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ta_pipeline.monitoring.checkpoint_verdicts import checkpoint_age, checkpoint_duration, checkpoint_stored
from ta_pipeline.monitoring.freshness_verdicts import (
    final_latency,
    input_flow,
    live_and_final,
    live_latency,
    tables_behind,
    watermark_lag,
)
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.job_verdicts import (
    backpressure,
    job_state,
    restarts,
    settings_drift,
    sink_transactions,
    table_job_state,
)
from ta_pipeline.monitoring.reach_verdicts import (
    clickhouse_reachable,
    flink_reachable,
    kafka_reachable,
    probe_reachable,
    s3_reachable,
    stable_offset,
)
from ta_pipeline.monitoring.snapshot import StatusSnapshot
from ta_pipeline.monitoring.table_verdicts import clickhouse_breaker, table_backlog
from ta_pipeline.monitoring.verdicts import Verdict

Judge = Callable[[StatusSnapshot, History], Verdict]

JUDGES: tuple[Judge, ...] = (
    flink_reachable, kafka_reachable, s3_reachable, clickhouse_reachable, probe_reachable,
    job_state, table_job_state, clickhouse_breaker, settings_drift, restarts, backpressure,
    checkpoint_age, checkpoint_duration, checkpoint_stored, sink_transactions, stable_offset,
    input_flow, watermark_lag, live_latency, final_latency, live_and_final,
    tables_behind, table_backlog,
)  # fmt: skip

QUESTIONS: Mapping[str, str] = MappingProxyType({one.__name__: inspect.getdoc(one) or "" for one in JUDGES})
"""Name to what has to hold."""

_NO_HISTORY = History()


def judge(snapshot: StatusSnapshot, history: History = _NO_HISTORY) -> list[Verdict]:
    """The verdict of each question.

    Args:
        snapshot: what everything says now.
        history: of the last minutes, this snapshot included; without one, counters that only grow are not judged.
    """
    return [one(snapshot, history) for one in JUDGES]
