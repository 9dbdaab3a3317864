"""Do rows get into ClickHouse, and is what waits for it still there?"""

from __future__ import annotations

from collections.abc import Sequence

from ta_pipeline.breakers import Breaker
from ta_pipeline.monitoring.flink_source import FlinkStatus
from ta_pipeline.monitoring.history import KEPT_MS, History
from ta_pipeline.monitoring.kafka_source import EXPIRING_SHARE
from ta_pipeline.monitoring.reach_verdicts import TABLE_PATH_OFF
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.verdicts import AT_ONCE, LASTING, Figure, Verdict, job_of, unreachable


def clickhouse_breaker(snapshot: StatusSnapshot, _history: History) -> Verdict:
    """The table job inserts what it reads; it does not wait behind an open breaker."""
    name, flink = "clickhouse_breaker", snapshot.flink
    if snapshot.clickhouse is None:
        return Verdict(name, "ok", TABLE_PATH_OFF)
    if not isinstance(flink, FlinkStatus):
        return unreachable(name, flink)
    job = flink.table_job
    if job is not None and job.breakers:
        return _breakers(name, job.breakers, snapshot)
    main = job_of(snapshot, name)
    if job is None and isinstance(main, Verdict):
        return main
    cause = "" if job is not None and job.state == "RUNNING" else "table_job_state"
    return Verdict(name, "unknown", "the table job does not tell of its breakers", {}, cause, LASTING)


def _breakers(name: str, breakers: Sequence[Breaker], snapshot: StatusSnapshot) -> Verdict:
    lag = None if isinstance(snapshot.kafka, Unreachable) else snapshot.kafka.table_lag
    figures: dict[str, Figure] = {"records_behind": lag}
    for one in breakers:
        figures |= {
            f"{one.table}_state": one.state,
            f"{one.table}_opened": one.opened,
            f"{one.table}_failed_inserts": one.failed_inserts,
            f"{one.table}_waiting_rows": one.waiting_rows,
        }
    parked = [one for one in breakers if not one.is_closed]
    told = "; ".join(one.text(snapshot.at_ms) for one in parked or breakers)
    if not parked:
        return Verdict(name, "ok", told, figures)
    waiting = "" if lag is None else f"; at most {lag:,} records wait in the topics"
    cause = "clickhouse_reachable" if isinstance(snapshot.clickhouse, Unreachable) else ""
    return Verdict(name, "bad", f"rows are not inserted: {told}{waiting}", figures, cause)


def table_backlog(snapshot: StatusSnapshot, history: History) -> Verdict:
    """What the table job has not taken is still in the topics, and will not be gone soon; never sleeps."""
    name = "table_backlog"
    if snapshot.clickhouse is None:
        return Verdict(name, "ok", TABLE_PATH_OFF)
    if isinstance(snapshot.kafka, Unreachable):
        return unreachable(name, snapshot.kafka)
    unread = snapshot.kafka.unread
    if unread is None:
        return _without_a_position(name, history)
    gaps = [one for one in unread if one.lost]
    expiring = [one for one in unread if one.is_expiring]
    figures = {
        "waiting": sum(one.waiting for one in unread),
        "lost": max(sum(one.lost for one in unread), history.lost(KEPT_MS, snapshot.at_ms)),
        "expiring_partitions": len(expiring),
    }
    if figures["lost"]:
        offsets = ", ".join(f"{one.topic}[{one.partition}] {one.committed:,} to {one.earliest - 1:,}" for one in gaps)
        text = (
            f"at most {figures['lost']:,} records left their topics before they were in ClickHouse"
            f"{f' (offsets {offsets})' if offsets else ', in the last 10 min'}: the table job goes on behind them, and "
            "`ta compute` gives them again from recordings of that time"
        )
        return Verdict(name, "bad", text, figures, ticks=AT_ONCE)
    if expiring:
        offsets = ", ".join(f"{one.topic}[{one.partition}] from {one.committed:,}" for one in expiring)
        text = (
            f"records that are not in ClickHouse have spent {EXPIRING_SHARE:.0%} of the time that their topics keep "
            f"them: {offsets}; after that they are lost for the tables: bring ClickHouse back, or let the topics keep "
            "them longer"
        )
        return Verdict(name, "bad", text, figures, ticks=AT_ONCE)
    return Verdict(
        name, "ok", f"at most {figures['waiting']:,} records wait for ClickHouse, none of them for long", figures
    )


def _without_a_position(name: str, history: History) -> Verdict:
    if not history.positions:
        return Verdict(name, "asleep", "the table job has committed no position yet")
    text = (
        "Kafka has forgotten where the table job was, as it does with a group that commits nothing for the broker's "
        "`offsets.retention.minutes`: what waits for ClickHouse may be gone from the topics soon, and nobody would see "
        "it; bring ClickHouse and the table job back"
    )
    return Verdict(name, "bad", text, ticks=LASTING)
