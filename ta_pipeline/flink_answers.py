"""What Flink's REST API answers, as dataclasses; parsing is pure.

Definition: the REST API page of Flink's operations documentation, version v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})
"""SUSPENDED is not among them: its JobManager lost the lead, and the next one goes on with it."""
_CAUSE = re.compile(r"^Caused by: (.*)$", re.MULTILINE)
_REFUSED_TOPICS = "Topic authorization failed."
_TOPICS = re.compile(r"for topics \[")
# Wrappers say that something failed, not what.
_WRAPPERS = ("java.lang.RuntimeException: java.", "java.util.concurrent.", "org.apache.flink.util.SerializedThrowable")


@dataclass(frozen=True)
class JobSummary:
    """One line of the jobs overview; times are epoch milliseconds."""

    id: str
    name: str
    state: str
    start_ms: int
    end_ms: int | None = None
    """None while it has not ended."""

    @property
    def is_ended(self) -> bool:
        """The job will not run again."""
        return self.state in ENDED


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints of one job; the latest completed one with its trigger time (epoch ms), path, size and duration."""

    completed: int
    failed: int
    in_progress: int
    latest_ms: int | None
    latest_path: str | None
    latest_bytes: int | None
    latest_duration_ms: int | None
    duration_p50_ms: float | None = None
    """Of all completed checkpoints Flink remembers, as is the 99th percentile."""
    duration_p99_ms: float | None = None
    savepoint_ms: int | None = None
    """Of the latest completed savepoint: when it was triggered, and where it is."""
    savepoint_path: str | None = None
    restored_ms: int | None = None
    """When the job was last restored; None: it started without state and was never restarted."""

    def age_seconds(self, now_ms: float) -> float | None:
        """Since the latest completed checkpoint was triggered; None before the first."""
        return None if self.latest_ms is None else (now_ms - self.latest_ms) / 1_000


@dataclass(frozen=True)
class Vertex:
    """One task of the job: operators chained together."""

    id: str
    name: str
    parallelism: int
    state: str
    read_records: int
    written_records: int
    busy_ms: int
    backpressured_ms: int


@dataclass(frozen=True)
class Backpressure:
    """How one task spends its time, as ratios from 0 to 1 of its busiest subtask."""

    name: str
    backpressured: float
    busy: float


@dataclass(frozen=True)
class TaskMetric:
    """One metric of one task: over its subtasks the sum, the smallest and the largest."""

    task: str
    name: str
    total: float
    least: float
    most: float


@dataclass(frozen=True)
class Failure:
    """What made a job fail or restart: when (epoch milliseconds), and the innermost cause."""

    at_ms: int
    cause: str


def parse_job(answer: Mapping[str, Any]) -> JobSummary:
    """From `/jobs/<id>`, or one line of `/jobs/overview`."""
    ended = answer.get("end-time", -1)
    return JobSummary(
        answer["jid"], answer["name"], answer["state"], answer["start-time"], None if ended < 0 else ended
    )


def parse_jobs(answer: Mapping[str, Any]) -> list[JobSummary]:
    """From `/jobs/overview`."""
    jobs = [parse_job(job) for job in answer["jobs"]]
    return sorted(jobs, key=lambda job: job.start_ms, reverse=True)


def parse_vertices(answer: Mapping[str, Any]) -> list[Vertex]:
    """From `/jobs/<id>`."""
    return [
        Vertex(
            vertex["id"],
            vertex["name"],
            vertex["parallelism"],
            vertex["status"],
            _number(vertex["metrics"].get("read-records")),
            _number(vertex["metrics"].get("write-records")),
            _number(vertex["metrics"].get("accumulated-busy-time")),
            _number(vertex["metrics"].get("accumulated-backpressured-time")),
        )
        for vertex in answer["vertices"]
    ]


def parse_exception(answer: Mapping[str, Any]) -> str | None:
    """From `/jobs/<id>/exceptions`: the innermost cause of the newest entry."""
    entries = answer.get("exceptionHistory", {}).get("entries") or []
    return root_cause(entries[0].get("stacktrace", "")) if entries else None


def parse_failures(answer: Mapping[str, Any]) -> list[Failure]:
    """From `/jobs/<id>/exceptions`, the newest first."""
    entries = answer.get("exceptionHistory", {}).get("entries") or []
    return [Failure(int(entry.get("timestamp", 0)), root_cause(entry.get("stacktrace", ""))) for entry in entries]


def root_cause(stack_trace: str) -> str:
    """The last `Caused by:` that says something, else the first line.

    Kafka does not name the topics that it refuses: the cause around it does, and is told too.
    """
    causes = [cause for cause in _CAUSE.findall(stack_trace) if not cause.startswith(_WRAPPERS)]
    first = stack_trace.strip().splitlines()
    if causes and causes[-1].endswith(_REFUSED_TOPICS):
        named = [cause for cause in causes if _TOPICS.search(cause)]
        return f"{causes[-1]} {named[-1].partition(': ')[2]}" if named else causes[-1]
    return causes[-1] if causes else first[0] if first else "no reason was given"


def parse_checkpoints(answer: Mapping[str, Any]) -> Checkpoints:
    """From `/jobs/<id>/checkpoints`."""
    counts = answer["counts"]
    latest = (answer.get("latest") or {}).get("completed") or {}
    savepoint = (answer.get("latest") or {}).get("savepoint") or {}
    restored = (answer.get("latest") or {}).get("restored") or {}
    durations = answer.get("summary", {}).get("end_to_end_duration", {}) if counts["completed"] else {}
    return Checkpoints(
        completed=counts["completed"],
        failed=counts["failed"],
        in_progress=counts["in_progress"],
        latest_ms=latest.get("trigger_timestamp"),
        latest_path=latest.get("external_path"),
        latest_bytes=latest.get("state_size"),
        latest_duration_ms=latest.get("end_to_end_duration"),
        duration_p50_ms=durations.get("p50"),
        duration_p99_ms=durations.get("p99"),
        savepoint_ms=savepoint.get("trigger_timestamp"),
        savepoint_path=savepoint.get("external_path"),
        restored_ms=restored.get("restore_timestamp"),
    )


def parse_restored(answer: Mapping[str, Any]) -> str | None:
    """The path that was restored, from `/jobs/<id>/checkpoints`."""
    restored = (answer.get("latest") or {}).get("restored") or {}
    path = restored.get("external_path")
    return str(path) if path else None


def parse_backpressure(name: str, answer: Mapping[str, Any]) -> Backpressure | None:
    """From `/jobs/<id>/vertices/<id>/backpressure`; None when Flink has no sample yet."""
    subtasks = answer.get("subtasks") or []
    if answer.get("status") != "ok" or not subtasks:
        return None
    return Backpressure(
        name,
        max(_ratio(subtask.get("ratio")) for subtask in subtasks),
        max(_ratio(subtask.get("busyRatio")) for subtask in subtasks),
    )


def _number(value: object) -> int:
    # Flink writes NaN as a string for tasks that have not reported yet.
    return int(value) if isinstance(value, (int, float)) and value == value else 0  # noqa: PLR0124


def _ratio(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and value == value else 0.0  # noqa: PLR0124
