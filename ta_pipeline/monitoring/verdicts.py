"""What a verdict is, and the questions several of them begin with.

    ok        as it should be
    warn      worth a look; nobody is called
    bad       a person is called
    unknown   what it takes to judge is missing: never ok. When an unreachable component or a job that does not run is
              the reason, `caused_by` names the verdict that says so, and only that one calls
    asleep    there is nothing to judge: no job should run, or no trades come and none are to be expected

Freshness sleeps when the market does. Whether it does is asked of the data first: where trades come, it is judged, at
any hour (a simulated market has no hours). Where none come, the exchange's calendar says whether that is a fault
(`input_flow`); the others then have nothing to measure. State, checkpoints, restarts and settings never sleep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ta_pipeline.metrics import limits
from ta_pipeline.monitoring.flink_source import FlinkStatus, JobFigures
from ta_pipeline.monitoring.kafka_source import KafkaStatus
from ta_pipeline.monitoring.snapshot import StatusSnapshot, Unreachable
from ta_pipeline.monitoring.store_sources import ProbeStatus, Seen, StoreStatus

State = Literal["ok", "warn", "bad", "unknown", "asleep"]
Figure = int | float | str | bool | None

AT_ONCE = 1
"""Ticks before an alert: what was seen is a fact, or was measured over a time already."""
ONCE_MORE = 2
"""One observation is no reason to call: an answer may get lost, and a rollout takes a job down for seconds."""
LASTING = 3
"""Percentiles over a minute: one stall is in two ticks of 30 s, so the third has seen another."""


@dataclass(frozen=True)
class Verdict:
    """The answer to one question.

    Attributes:
        name: of the question.
        state: see the module.
        message: for a person, with the numbers.
        figures: the numbers by name, for tables and metadata.
        caused_by: the verdict that explains this one; that one alerts, this one does not.
        ticks: how often in a row it has to be bad or unknown before a person is called.
    """

    name: str
    state: State
    message: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    caused_by: str = ""
    ticks: int = ONCE_MORE

    @property
    def is_well(self) -> bool:
        """Nothing to do."""
        return self.state in {"ok", "asleep"}

    @property
    def calls(self) -> bool:
        """A person is to be called, when it lasts."""
        return self.state in {"bad", "unknown"} and not self.caused_by


def job_wanted(snapshot: StatusSnapshot) -> bool | None:
    """Whether the job should run, by the record of rollouts; None when that cannot be read."""
    if not isinstance(snapshot.store, StoreStatus):
        return None
    return snapshot.store.current is not None


def job_of(snapshot: StatusSnapshot, name: str) -> JobFigures | Verdict:
    """The running job, or the verdict `name` that there is none to judge."""
    flink = snapshot.flink
    if not isinstance(flink, FlinkStatus):
        return unreachable(name, flink)
    if flink.job is not None:
        return flink.job
    match job_wanted(snapshot):
        case True:
            return Verdict(name, "unknown", "the job does not run", caused_by="job_state")
        case None:
            return Verdict(name, "unknown", "no job runs; whether one should is not known", caused_by="s3_reachable")
        case _:
            return Verdict(name, "asleep", "no job runs, and none should")


def seen_of(snapshot: StatusSnapshot, name: str) -> Seen | Verdict:
    """What the probe saw, or the verdict `name` that nobody knows, or that there is nothing to see."""
    job = job_of(snapshot, name)
    if isinstance(job, Verdict) and job.state == "asleep":
        return job
    probe = snapshot.probe
    if not isinstance(probe, ProbeStatus):
        return unreachable(name, probe)
    if probe.seen is None:
        return Verdict(name, "unknown", f"the probe does not read: {probe.trouble}", caused_by="probe_reachable")
    return probe.seen


def unreachable(name: str, what: Unreachable) -> Verdict:
    """The verdict `name` that a component does not say."""
    return Verdict(name, "unknown", what.reason, caused_by=f"{what.component}_reachable")


def trade_age_ms(snapshot: StatusSnapshot) -> int | None:
    """How old the newest trade is; None when there is none, or Kafka does not answer."""
    kafka = snapshot.kafka
    if not isinstance(kafka, KafkaStatus) or kafka.newest_trade_ms is None:
        return None
    return max(0, snapshot.at_ms - kafka.newest_trade_ms)


def trades_flow(snapshot: StatusSnapshot) -> bool:
    """Whether trades come."""
    age_ms = trade_age_ms(snapshot)
    return age_ms is not None and age_ms <= limits.FLOWING_MS


def closing_delay_ms(snapshot: StatusSnapshot, seen: Seen) -> int:
    """How far the watermark may be behind: the out-of-orderness, or, in a thin market, the time until a bar closes."""
    beat = seen.job_beat
    if beat is None:
        return limits.closing_delay_ms(snapshot.settings, None)
    return limits.closing_delay_ms(snapshot.settings, beat.trades_per_second, beat.quotes_per_second)


def interval_ms(snapshot: StatusSnapshot) -> int:
    """The checkpoint interval in force, else the declared one."""
    flink = snapshot.flink
    job = flink.job if isinstance(flink, FlinkStatus) else None
    return (job.checkpoint_interval_ms if job else None) or snapshot.settings.checkpoint_interval_ms
