"""`platform_health`: everything is asked every 30 s, judged, told to Dagster on change, and to a person when it lasts.

One tick is one snapshot. It never fails because a component does not answer: that is one of the verdicts. What it
remembers is in its cursor; one that cannot be read is begun anew, which the log says.
"""

import contextlib
import logging
from collections.abc import Iterable

import dagster as dg
import requests

from orchestration.defs.monitoring.events import evaluation, observation, summary
from orchestration.defs.transactions.schedules import examine_transactions
from orchestration.resources import NowResource, PlatformResource
from ta_pipeline.monitoring.channels import Webhook, tell
from ta_pipeline.monitoring.incidents import advance
from ta_pipeline.monitoring.judge import judge
from ta_pipeline.monitoring.memory import Memory
from ta_pipeline.monitoring.reach_verdicts import stable_offset
from ta_pipeline.monitoring.snapshot import take_snapshot
from ta_pipeline.monitoring.store_sources import StoreStatus
from ta_pipeline.monitoring.verdicts import Verdict, job_wanted
from ta_pipeline.settings import Settings

PERIOD_SECONDS = 30
HEARTBEAT_SECONDS = 0.5
STUCK = stable_offset.__name__


@dg.sensor(
    minimum_interval_seconds=PERIOD_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    job=examine_transactions,
)
def platform_health(
    context: dg.SensorEvaluationContext, platform: PlatformResource, now_ms: NowResource
) -> dg.SensorResult:
    """Asks Flink, Kafka, S3, ClickHouse and the probe; check evaluations, an observation, alerts.

    When committed readers stand still, the transactions are examined: that says behind whose.
    """
    at_ms, settings = now_ms(), platform.settings
    memory = _remembered(context)
    snapshot = take_snapshot(platform, at_ms)
    history = memory.history.extended(snapshot)
    verdicts = judge(snapshot, history)

    incidents, alerts = advance(memory.incidents, verdicts, at_ms, settings.alert_reminder_minutes * 60_000)
    incidents = tell(incidents, alerts, Webhook(settings), context.log)

    if isinstance(snapshot.store, StoreStatus):
        memory = memory.of_revision(snapshot.store.newest.number if snapshot.store.newest else None)
    due = memory.to_tell(verdicts, at_ms)
    observed = memory.observes(due, at_ms)
    events: list[dg.AssetCheckEvaluation | dg.AssetObservation] = [evaluation(verdict) for verdict in due]
    if observed:
        events.append(observation(verdicts, snapshot.seconds))
    told = {**memory.told, **{verdict.name: (verdict.state, at_ms) for verdict in due}}
    kept = Memory(history, incidents, told, at_ms if observed else memory.observed_ms, memory.revision)
    _beat(settings, verdicts, job_wanted(snapshot))
    runs = [dg.RunRequest(run_key=alert.id) for alert in alerts if alert.kind == "opened" and alert.name == STUCK]
    return dg.SensorResult(
        run_requests=runs,
        asset_events=events,
        cursor=kept.to_text(),
        # Dagster takes one or the other.
        skip_reason=None if runs else summary(verdicts),
    )


def _remembered(context: dg.SensorEvaluationContext) -> Memory:
    try:
        return Memory.of_text(context.cursor)
    except ValueError as error:
        logging.getLogger("ta.monitoring").warning("the cursor of platform_health is begun anew: %s", error)
        return Memory()


def _beat(settings: Settings, verdicts: Iterable[Verdict], wanted: bool | None) -> None:
    """Say that Dagster runs, and what it found: the probe tells Prometheus both."""
    body = {"verdicts": {verdict.name: verdict.calls for verdict in verdicts}, "job_wanted": wanted}
    # A probe that is away is a verdict already.
    with contextlib.suppress(requests.RequestException):
        requests.post(f"{settings.probe_url.rstrip('/')}/heartbeat", json=body, timeout=HEARTBEAT_SECONDS)
