"""Flink's REST API: jobs, exceptions, checkpoints, savepoints, metrics.

Definition: the REST API page of Flink's operations documentation, version v1. Parsing is pure, beside the client.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from ta_pipeline.errors import FlinkError

ENDED = frozenset({"FAILED", "CANCELED", "FINISHED", "SUSPENDED"})
TIMEOUT_SECONDS = 10.0
SAVEPOINT_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.25
_CAUSE = re.compile(r"^Caused by: (.*)$", re.MULTILINE)
# Wrappers say that something failed, not what.
_WRAPPERS = ("java.lang.RuntimeException: java.", "java.util.concurrent.", "org.apache.flink.util.SerializedThrowable")


@dataclass(frozen=True)
class JobSummary:
    """One line of the jobs overview; times are epoch milliseconds."""

    id: str
    name: str
    state: str
    start_ms: int

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


class FlinkRest:
    """A client for the REST API at `url`. Every method raises `FlinkError`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()

    def overview(self) -> Mapping[str, Any]:
        """Slots, TaskManagers, versions, as Flink gives them."""
        return dict(self._get("/overview"))

    def jobs(self) -> list[JobSummary]:
        """Every job the cluster remembers, the newest first."""
        return parse_jobs(self._get("/jobs/overview"))

    def job(self, job_id: str) -> JobSummary:
        """One job."""
        found = self._get(f"/jobs/{job_id}")
        return JobSummary(found["jid"], found["name"], found["state"], found["start-time"])

    def vertices(self, job_id: str) -> list[Vertex]:
        """The tasks of a job, sources first."""
        return parse_vertices(self._get(f"/jobs/{job_id}"))

    def is_running(self, job_id: str) -> bool:
        """Whether every task of the job runs: a job is RUNNING while its tasks are still being deployed."""
        return all(vertex.state == "RUNNING" for vertex in self.vertices(job_id))

    def exception(self, job_id: str) -> str | None:
        """The innermost cause of the newest failure; None when nothing failed."""
        return parse_exception(self._get(f"/jobs/{job_id}/exceptions"))

    def checkpoints(self, job_id: str) -> Checkpoints:
        """Counts, and the latest completed checkpoint."""
        return parse_checkpoints(self._get(f"/jobs/{job_id}/checkpoints"))

    def restarts(self, job_id: str) -> int:
        """How often the job was restarted."""
        found = self._get(f"/jobs/{job_id}/metrics", get="numRestarts")
        return int(float(found[0]["value"])) if found else 0

    def metrics(self, job_id: str, suffixes: Iterable[str]) -> dict[str, float]:
        """Metrics of all tasks and subtasks, summed.

        Args:
            job_id: the job.
            suffixes: ends of metric names, `signals.ta.finals`; a suffix nobody has is not in the result.
        """
        wanted = tuple(suffixes)
        sums: dict[str, float] = {}
        for vertex in self.vertices(job_id):
            path = f"/jobs/{job_id}/vertices/{vertex.id}/subtasks/metrics"
            names = [item["id"] for item in self._get(path) if item["id"].endswith(wanted)]
            if not names:
                continue
            for item in self._get(path, get=",".join(names), agg="sum"):
                suffix = next(suffix for suffix in wanted if item["id"].endswith(suffix))
                sums[suffix] = sums.get(suffix, 0.0) + float(item["sum"])
        return sums

    def counters(self, job_id: str, operator: str = "signals", group: str = "ta") -> dict[str, float]:
        """Every counter of one metric group of one operator, summed over subtasks: `{"finals": 12.0, ...}`."""
        prefix = f"{operator}.{group}."
        sums: dict[str, float] = {}
        for vertex in self.vertices(job_id):
            path = f"/jobs/{job_id}/vertices/{vertex.id}/subtasks/metrics"
            names = [item["id"] for item in self._get(path) if item["id"].startswith(prefix)]
            for item in self._get(path, get=",".join(names), agg="sum") if names else ():
                name = item["id"].removeprefix(prefix)
                sums[name] = sums.get(name, 0.0) + float(item["sum"])
        return sums

    def savepoint(self, job_id: str, directory: str, timeout_seconds: float = SAVEPOINT_TIMEOUT_SECONDS) -> str:
        """Take a savepoint under `directory` and wait for it; returns its path."""
        body = {"target-directory": directory, "cancel-job": False}
        return self._await_savepoint(job_id, f"/jobs/{job_id}/savepoints", body, timeout_seconds)

    def trigger_checkpoint(self, job_id: str) -> None:
        """Ask for a checkpoint now, before the next one is due."""
        self._call("POST", f"/jobs/{job_id}/checkpoints", json={"checkpointType": "FULL"})

    def stop_with_savepoint(
        self, job_id: str, directory: str, *, drain: bool = False, timeout_seconds: float = SAVEPOINT_TIMEOUT_SECONDS
    ) -> str:
        """Stop the job with a savepoint under `directory` and wait until both are done; returns the path."""
        body = {"targetDirectory": directory, "drain": drain}
        path = self._await_savepoint(job_id, f"/jobs/{job_id}/stop", body, timeout_seconds)
        self._await_end(job_id, timeout_seconds)
        return path

    def cancel(self, job_id: str, timeout_seconds: float = 60.0) -> None:
        """Cancel the job and wait until it has ended; nothing is saved beyond its last checkpoint."""
        self._call("PATCH", f"/jobs/{job_id}", params={"mode": "cancel"})
        self._await_end(job_id, timeout_seconds)

    def _await_savepoint(self, job_id: str, path: str, body: Mapping[str, Any], timeout_seconds: float) -> str:
        trigger = self._call("POST", path, json=dict(body))["request-id"]
        deadline = time.monotonic() + timeout_seconds
        while True:
            answer = self._get(f"/jobs/{job_id}/savepoints/{trigger}")
            if answer["status"]["id"] == "COMPLETED":
                operation = answer["operation"]
                if "location" in operation:
                    return str(operation["location"])
                trace = operation.get("failure-cause", {}).get("stack-trace", "")
                raise FlinkError(f"the savepoint of job {job_id} failed: {root_cause(trace)}")
            if time.monotonic() > deadline:
                raise FlinkError(
                    f"the savepoint of job {job_id} was not done after {timeout_seconds:g} s; it may still come: "
                    f"{self.url}/#/job/running/{job_id}/checkpoints"
                )
            time.sleep(POLL_SECONDS)

    def _await_end(self, job_id: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not (job := self.job(job_id)).is_ended:
            if time.monotonic() > deadline:
                raise FlinkError(f"job {job_id} is still {job.state} after {timeout_seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, params=query)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._session.request(method, self.url + path, timeout=TIMEOUT_SECONDS, **arguments)
        except requests.Timeout:
            raise FlinkError(f"Flink did not answer {method} {self.url}{path} within {TIMEOUT_SECONDS:g} s") from None
        except requests.RequestException:
            raise FlinkError(
                f"Flink cannot be reached at {self.url} (TA_FLINK_REST_URL); is it up (`ta status`)?"
            ) from None
        if not response.ok:
            raise FlinkError(f"Flink refused {method} {path} (status {response.status_code}): {_errors_of(response)}")
        return response.json() if response.content else {}


def parse_jobs(answer: Mapping[str, Any]) -> list[JobSummary]:
    """From `/jobs/overview`."""
    jobs = [JobSummary(job["jid"], job["name"], job["state"], job["start-time"]) for job in answer["jobs"]]
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


def root_cause(stack_trace: str) -> str:
    """The last `Caused by:` that says something, else the first line."""
    causes = [cause for cause in _CAUSE.findall(stack_trace) if not cause.startswith(_WRAPPERS)]
    first = stack_trace.strip().splitlines()
    return causes[-1] if causes else first[0] if first else "no reason was given"


def parse_checkpoints(answer: Mapping[str, Any]) -> Checkpoints:
    """From `/jobs/<id>/checkpoints`."""
    counts = answer["counts"]
    latest = (answer.get("latest") or {}).get("completed") or {}
    return Checkpoints(
        completed=counts["completed"],
        failed=counts["failed"],
        in_progress=counts["in_progress"],
        latest_ms=latest.get("trigger_timestamp"),
        latest_path=latest.get("external_path"),
        latest_bytes=latest.get("state_size"),
        latest_duration_ms=latest.get("end_to_end_duration"),
    )


def _number(value: object) -> int:
    # Flink writes NaN as a string for tasks that have not reported yet.
    return int(value) if isinstance(value, (int, float)) and value == value else 0  # noqa: PLR0124


def _errors_of(response: requests.Response) -> str:
    try:
        errors = response.json().get("errors", [])
    except ValueError:
        return response.text[:300]
    return "; ".join(root_cause(error) for error in errors)[:600]
