"""The restore drill: a savepoint is worth what a restore of it showed.

The job is restored from the savepoint beside production, into topics of its own. It has to become RUNNING, complete a
checkpoint and, when the market has moved since the savepoint was taken, write a final bar that a read_committed reader
sees. Then it is cancelled, and everything it made is deleted.

A drill that was killed leaves its topics behind: they are made first and deleted last, so whatever else it left is
found by them, and the next drill removes it. Its consumer group has no members then, and expires by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import orjson

from ta_pipeline.errors import FlinkError, TaError
from ta_pipeline.kafka_admin import create_topics, declared_topics, delete_topics, topic_names
from ta_pipeline.readers import OutputReader
from ta_pipeline.runtime import Deployment, JobStatus, Report
from ta_pipeline.s3 import delete_object, list_objects, s3_client, split_uri
from ta_pipeline.savepoints.drill_settings import Isolate, drill_folders, drill_id, drill_settings, drills_of
from ta_pipeline.savepoints.savepoint import Savepoint
from ta_pipeline.settings import Settings

OUTPUT_SECONDS = 90.0
"""From the first checkpoint on; the first bars come with the next one."""


class DrillRuntime(Protocol):
    """Runs the job as a drill: without the state of production's sinks, whose transactions are production's."""

    def deploy(self, *, restore_from: str | None, allow_non_restored: bool, report: Report) -> Deployment:
        """As `JobRuntime.deploy`; state that the drill has no operator for is left behind when that is allowed."""
        ...

    def status(self) -> list[JobStatus]:
        """Every job of this drill that has not ended."""
        ...

    def cancel(self) -> None:
        """End the job where it stands; one that does not run is fine."""
        ...


@dataclass(frozen=True)
class DrillTools:
    """What a drill is done with.

    Attributes:
        isolate: production's settings and an id to the settings of a replay.
        isolation_problems: what of a replay's settings is production's; production's come first.
        runtime: of the drill with these settings.
        kind: begins the ids of these drills: what one of another kind has left, this runtime could not end.
    """

    isolate: Isolate
    isolation_problems: Callable[[Settings, Settings], Sequence[str]]
    runtime: Callable[[Settings], DrillRuntime]
    kind: str = "drill"


@dataclass(frozen=True)
class DrillReport:
    """What a drill showed.

    Attributes:
        number: of the drill.
        savepoint: what was restored.
        problems: why it failed; empty: it passed.
        steps: what was done, in order.
        job_id: Flink's id of the restored job; None when it was not submitted, or did not get to run.
        restore_seconds: from the submission to the first completed checkpoint.
        output: what was seen of its output, for people.
    """

    number: str
    savepoint: str
    problems: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    job_id: str | None = None
    restore_seconds: float | None = None
    output: str = ""

    @property
    def passed(self) -> bool:
        """Nothing failed."""
        return not self.problems


def drill(
    production: Settings,
    savepoint: Savepoint,
    tools: DrillTools,
    now: datetime,
    *,
    output_seconds: float = OUTPUT_SECONDS,
    report: Report = lambda _text: None,
) -> DrillReport:
    """Restore `savepoint` beside production, look at it, and remove all of it; one drill at a time.

    Args:
        production: settings of the job that took the savepoint.
        savepoint: what to restore.
        tools: how to isolate and run.
        now: names the drill.
        output_seconds: longest wait for a committed bar.
        report: told of each step.

    Returns:
        What it showed: a restore that fails is a result, not an exception.
    """
    number = drill_id(now, tools.kind)
    steps: list[str] = []

    def tell(text: str) -> None:
        steps.append(text)
        report(text)

    result = DrillReport(number, savepoint.path)
    try:
        for leftover in remove_leftovers(production, tools):
            tell(f"removed what drill {leftover} had left")
        settings = drill_settings(production, number, tools.isolate)
        if shared := tools.isolation_problems(production, settings):
            return replace(result, problems=(f"refused, it would touch production: {'; '.join(shared)}",))
    except TaError as error:
        return replace(result, problems=(f"not begun: {error}",), steps=tuple(steps))
    try:
        result = _restore(
            production, settings, savepoint, tools, result=result, output_seconds=output_seconds, tell=tell
        )
    except TaError as error:
        result = replace(result, problems=(str(error),))
    finally:
        # Also when the run is cancelled: Dagster raises in this thread.
        left = _removed(production, number, tools)
    return replace(result, problems=(*result.problems, *left), steps=tuple(steps))


def remove_leftovers(production: Settings, tools: DrillTools) -> list[str]:
    """End the jobs of earlier drills and delete what they left; returns the drills.

    Raises:
        TaError: something could not be removed.
    """
    found = drills_of(production, topic_names(production), tools.kind)
    for number, topics in found.items():
        _remove(production, number, topics, tools)
    return sorted(found)


def _restore(
    production: Settings,
    settings: Settings,
    savepoint: Savepoint,
    tools: DrillTools,
    *,
    result: DrillReport,
    output_seconds: float,
    tell: Report,
) -> DrillReport:
    twins = set(settings.output_topics)
    create_topics(settings, [topic for topic in declared_topics(settings) if topic.name in twins])
    tell(f"restoring {savepoint.path} as {settings.k8s_deployment}")
    runtime = tools.runtime(settings)
    deployment = runtime.deploy(restore_from=savepoint.path, allow_non_restored=True, report=tell)
    tell(f"RUNNING with a completed checkpoint after {deployment.seconds:.1f} s (job {deployment.job_id})")
    result = replace(result, job_id=deployment.job_id, restore_seconds=deployment.seconds)
    since_ms = int(savepoint.taken_at.timestamp() * 1_000)
    if not _has_records(production, production.trades_topic, since_ms):
        text = "no trade came since the savepoint was taken, so there is no output to be expected"
        tell(text)
        return replace(result, output=text)
    bar = _first_bar(settings, output_seconds)
    if bar is None:
        problem = f"no committed bar within {output_seconds:g} s, and trades have come since the savepoint was taken"
        return replace(result, problems=(problem,), output="none")
    tell(bar)
    return replace(result, output=bar)


def _first_bar(settings: Settings, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    with OutputReader(settings, (settings.bars_topic,), committed=True, start="earliest") as reader:
        while time.monotonic() < deadline:
            for arrival in reader.read(timeout_seconds=0.5):
                if arrival.value is not None:
                    bar = orjson.loads(arrival.value)
                    return f"first committed bar: {bar['symbol']} at {bar['event_ts']}, close {bar['c']}"
    return None


def _has_records(settings: Settings, topic: str, since_ms: int) -> bool:
    """Whether the topic has a record that is no older."""
    with OutputReader(settings, (topic,), committed=True, start=since_ms) as reader:
        return bool(reader.read(timeout_seconds=5.0, max_records=1))


def _removed(production: Settings, number: str, tools: DrillTools) -> list[str]:
    """Remove what a drill made; what could not be, as text."""
    try:
        topics = drills_of(production, topic_names(production), tools.kind).get(number, [])
        _remove(production, number, topics, tools)
    except TaError as error:
        return [f"not everything was removed, the next drill does it: {error}"]
    return []


def _remove(production: Settings, number: str, topics: Sequence[str], tools: DrillTools) -> None:
    """The job, its checkpoints, its topics: in this order, because the topics are what the rest is found by."""
    settings = drill_settings(production, number, tools.isolate)
    runtime = tools.runtime(settings)
    runtime.cancel()
    if left := runtime.status():
        raise FlinkError(f"{settings.k8s_deployment} is still {left[0].state} after it was cancelled")
    client = s3_client(settings)
    for folder in drill_folders(settings, number):
        bucket, _ = split_uri(folder)
        for stored in list_objects(client, f"{folder}/"):
            delete_object(client, f"s3a://{bucket}/{stored.key}")
    delete_topics(settings, topics)
