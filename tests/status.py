"""Snapshots for tests: a platform that is well at `NOW_MS`, and what a test changes in it."""

from __future__ import annotations

import dataclasses
from typing import Any

from ta_pipeline.breakers import Breaker
from ta_pipeline.flink_answers import Checkpoints, Failure, JobSummary
from ta_pipeline.latency import LatencySummary
from ta_pipeline.monitoring.flink_source import Backpressured, FlinkStatus, JobFigures
from ta_pipeline.monitoring.kafka_source import KafkaStatus, PartitionEnd, Unread
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.store_sources import ClickHouseStatus, ProbeStatus, Seen, StoreStatus
from ta_pipeline.probe_window import PATHS, Counts, JobBeat
from ta_pipeline.revisions import Revision
from ta_pipeline.settings import Settings, load_settings

NOW_MS = 1_767_364_200_000
INTERVAL_MS = 10_000
JOB, TABLE_JOB = "torghut-ta", "torghut-ta-table"


def settings(**overrides: Any) -> Settings:
    """Those of the local stack."""
    return load_settings(**{"clickhouse_url": "http://127.0.0.1:9", "status_topic": "ta.status.v1", **overrides})


def latency(p99_ms: float | None, count: int = 600) -> LatencySummary:
    """Percentiles; None: nothing came."""
    if p99_ms is None:
        return LatencySummary(0, None, None, None, None, None)
    return LatencySummary(count, 1.0, p99_ms / 2, p99_ms, p99_ms, p99_ms)


def job(name: str = JOB, **changes: Any) -> JobFigures:
    """A job that has run for an hour, with a checkpoint of 4 s ago."""
    found = JobFigures(
        id="a1" if name == JOB else "b2",
        name=name,
        state="RUNNING",
        start_ms=NOW_MS - 3_600_000,
        tasks_running=True,
        restarts=0,
        failures=(),
        checkpoints=Checkpoints(360, 0, 0, NOW_MS - 4_000, "s3a://b/c/chk-360", 50_000, 230, 200.0, 400.0),
        checkpoint_interval_ms=INTERVAL_MS,
        checkpoint_timeout_ms=60_000,
        settings=settings().public(),
        watermark_ms=NOW_MS - 2_200,
        backpressure=Backpressured("signals", 0.01),
        failed_commits=0,
        breakers=() if name == JOB else (breaker("ta_microbars"), breaker("ta_signals")),
    )
    return dataclasses.replace(found, **changes)


def breaker(table: str, **changes: Any) -> Breaker:
    """Closed since the job began."""
    return dataclasses.replace(Breaker(table, "closed", NOW_MS - 3_600_000, 0, 0, 0, 0, 3), **changes)


def checkpoints(**changes: Any) -> Checkpoints:
    """Those of `job`, changed."""
    return dataclasses.replace(job().checkpoints, **changes)


def failure(seconds_ago: float, cause: str) -> Failure:
    """One the job had."""
    return Failure(int(NOW_MS - seconds_ago * 1_000), cause)


def flink(main: JobFigures | None = None, **changes: Any) -> FlinkStatus:
    """Both jobs run."""
    both = [main or job(), job(TABLE_JOB)]
    jobs = tuple(JobSummary(one.id, one.name, one.state, one.start_ms) for one in both)
    return dataclasses.replace(FlinkStatus(jobs, both[0], both[1]), **changes)


def no_job(*ended: tuple[str, str], failed_by: str | None = None) -> FlinkStatus:
    """No job runs; `ended` gives names and states of those that did, the newest first."""
    jobs = tuple(JobSummary("a1", name, state, NOW_MS - 60_000) for name, state in ended)
    return FlinkStatus(jobs, None, None, failed_by)


def revision(**changes: Any) -> Revision:
    """The rollout of `job`."""
    found = Revision(3, "2026-01-02T13:30:00Z", "running", JOB, "a1", job().settings, "release")
    return dataclasses.replace(found, **changes)


def store(newest: Revision | None, current: Revision | None = None) -> StoreStatus:
    """What S3 holds; the newest is the one that should run, when it does."""
    runs = newest if newest is not None and newest.outcome == "running" else None
    return StoreStatus(newest, current or runs)


def kafka(**changes: Any) -> KafkaStatus:
    """Trades come."""
    ends = (PartitionEnd("ta.bars.1s.v1", 0, 100, 100, overdue=False),)
    return dataclasses.replace(KafkaStatus((), ends, 30_000, NOW_MS - 100, (unread(),)), **changes)


def unread(**changes: Any) -> Unread:
    """Twelve records are not in ClickHouse yet."""
    return dataclasses.replace(Unread("ta.bars.1s.v1", 0, committed=88, earliest=0, end=100, expiring=40), **changes)


def beat(**changes: Any) -> JobBeat:
    """The job's heartbeat of 3 s ago, in a busy market."""
    return dataclasses.replace(JobBeat(NOW_MS - 3_000, "ok", None, 2_150, 2_300.0, 400.0, 400.0), **changes)


def seen(**changes: Any) -> Seen:
    """What the probe saw of a busy market: live after 140 ms, final after 11 s."""
    times = {"live": latency(140), "final": latency(11_000), "final_1m": latency(None), "bars": latency(11_000)}
    found = Seen(
        at_ms=NOW_MS,
        since_ms=NOW_MS - 3_600_000,
        short=times,
        long=times,
        recent=Counts(live=30_000, finals=6_000, signals_judged=3_000, live_judged=3_000),
        newest_event_ms={"live": NOW_MS, "bars": NOW_MS - 12_000, "signals": NOW_MS - 12_000},
        job_beat=beat(),
        final_within_ms=21_000,
    )
    return dataclasses.replace(found, **changes)


def quiet(**changes: Any) -> Seen:
    """What the probe sees when nothing comes."""
    nothing = dict.fromkeys(PATHS, latency(None))
    return seen(**{"short": nothing, "long": nothing, "recent": Counts(), **changes})


def probe(what: Seen | None = None, **changes: Any) -> ProbeStatus:
    """The probe reads."""
    return dataclasses.replace(ProbeStatus(NOW_MS - 200, None, what or seen()), **changes)


def snapshot(*, session_open: bool = True, opened_ms: int = NOW_MS - 3_600_000, **changes: Any) -> StatusSnapshot:
    """Everything is well, and a session is open, for an hour now."""
    tables = {"ta_microbars": NOW_MS - 13_000, "ta_signals": NOW_MS - 13_000}
    found = StatusSnapshot(
        at_ms=NOW_MS,
        settings=settings(),
        flink=flink(),
        kafka=kafka(),
        store=store(revision()),
        clickhouse=ClickHouseStatus(tables),
        probe=probe(),
        is_session_open=lambda at_ms: session_open and at_ms >= opened_ms,
        checkpoint_stored=True,
    )
    return dataclasses.replace(found, **changes)


def down(component: str) -> Unreachable:
    """It does not answer."""
    return Unreachable(component, f"{component} does not answer within 1.6 s")
