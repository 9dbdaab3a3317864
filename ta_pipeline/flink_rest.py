"""A client of Flink's REST API: jobs, exceptions, checkpoints, savepoints, metrics.

Definition: the REST API page of Flink's operations documentation, version v1. What the answers mean is in
`ta_pipeline.flink_answers`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import requests

from ta_pipeline.errors import FlinkError, FlinkNoAnswerError, FlinkNotFoundError
from ta_pipeline.flink_answers import (
    ENDED,
    Backpressure,
    Checkpoints,
    Failure,
    JobSummary,
    TaskMetric,
    Vertex,
    parse_backpressure,
    parse_checkpoints,
    parse_exception,
    parse_failures,
    parse_job,
    parse_jobs,
    parse_restored,
    parse_vertices,
    root_cause,
)

TIMEOUT_SECONDS = 10.0
SAVEPOINT_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.25
_UNKNOWN, _TIMEOUT, _CONFLICT, _FAILED = 404, 408, 409, 500
_TOTALS = ("sum", "min", "max")


class FlinkRest:
    """A client for the REST API at `url`. Every method raises `FlinkError`; `FlinkNoAnswerError`: nothing was heard.

    Args:
        url: of the JobManager.
        timeout_seconds: of one request; default: `TIMEOUT_SECONDS`.
    """

    def __init__(self, url: str, timeout_seconds: float | None = None) -> None:
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    def overview(self) -> Mapping[str, Any]:
        """Slots, TaskManagers, versions, as Flink gives them."""
        return dict(self._get("/overview"))

    def jobs(self) -> list[JobSummary]:
        """Every job the cluster remembers, the newest first."""
        return parse_jobs(self._get("/jobs/overview"))

    def job(self, job_id: str) -> JobSummary:
        """One job."""
        return parse_job(self._get(f"/jobs/{job_id}"))

    def find(self, job_id: str) -> JobSummary | None:
        """One job; None when the cluster does not remember it."""
        found = self._call("GET", f"/jobs/{job_id}", absent=(_UNKNOWN,))
        return None if found is None else parse_job(found)

    def vertices(self, job_id: str) -> list[Vertex]:
        """The tasks of a job, sources first."""
        return parse_vertices(self._get(f"/jobs/{job_id}"))

    def is_running(self, job_id: str) -> bool:
        """Whether every task of the job runs: a job is RUNNING while its tasks are still being deployed."""
        return all(vertex.state == "RUNNING" for vertex in self.vertices(job_id))

    def backpressure(self, job_id: str) -> list[Backpressure]:
        """Every task of a running job; tasks Flink has not sampled yet are left out."""
        answers = {
            vertex.name: self._get(f"/jobs/{job_id}/vertices/{vertex.id}/backpressure")
            for vertex in self.vertices(job_id)
        }
        return [found for name, answer in answers.items() if (found := parse_backpressure(name, answer)) is not None]

    def config(self, job_id: str) -> Mapping[str, Any]:
        """The execution configuration of a job as Flink gives it: restart strategy, parallelism, object reuse."""
        return dict(self._get(f"/jobs/{job_id}/config")["execution-config"])

    def settings(self, job_id: str) -> dict[str, str]:
        """The `TA_*` settings a job of ours was submitted with, as it tells them; no secrets."""
        found = self.config(job_id).get("user-config", {})
        return {name: value for name, value in found.items() if name.startswith("TA_")}

    def checkpoint_config(self, job_id: str) -> Mapping[str, Any]:
        """The checkpoint configuration of a job as Flink gives it: mode, interval, timeout, storage."""
        return dict(self._get(f"/jobs/{job_id}/checkpoints/config"))

    def exception(self, job_id: str) -> str | None:
        """The innermost cause of the newest failure; None when nothing failed."""
        return parse_exception(self._get(f"/jobs/{job_id}/exceptions"))

    def failures(self, job_id: str) -> list[Failure]:
        """What made the job fail or restart, the newest first, as far as Flink remembers (16 by default)."""
        return parse_failures(self._get(f"/jobs/{job_id}/exceptions"))

    def checkpoints(self, job_id: str) -> Checkpoints:
        """Counts, and the latest completed checkpoint."""
        return parse_checkpoints(self._get(f"/jobs/{job_id}/checkpoints"))

    def restored_from(self, job_id: str) -> str | None:
        """The savepoint or checkpoint the job last restored; None when it started without state."""
        return parse_restored(self._get(f"/jobs/{job_id}/checkpoints"))

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
        return self._sums(job_id, lambda name: next((suffix for suffix in wanted if name.endswith(suffix)), None))

    def counters(self, job_id: str, operator: str = "signals", group: str = "ta") -> dict[str, float]:
        """Every counter of one metric group of one operator, summed over subtasks: `{"finals": 12.0, ...}`."""
        prefix = f"{operator}.{group}."
        return self._sums(job_id, lambda name: name.removeprefix(prefix) if name.startswith(prefix) else None)

    def savepoint(self, job_id: str, directory: str, timeout_seconds: float = SAVEPOINT_TIMEOUT_SECONDS) -> str:
        """Take a savepoint under `directory` and wait for it; returns its path."""
        body = {"target-directory": directory, "cancel-job": False}
        return self._await_savepoint(job_id, f"/jobs/{job_id}/savepoints", body, timeout_seconds)

    def trigger_checkpoint(self, job_id: str) -> None:
        """Ask for a checkpoint now, before the next one is due."""
        self._call("POST", f"/jobs/{job_id}/checkpoints", json={"checkpointType": "FULL"})

    def stop_with_savepoint(
        self,
        job_id: str,
        directory: str,
        *,
        drain: bool = False,
        request_id: str | None = None,
        timeout_seconds: float = SAVEPOINT_TIMEOUT_SECONDS,
    ) -> str:
        """Stop the job with a savepoint under `directory` and wait until both are done; returns the path.

        Args:
            job_id: the job.
            directory: for the savepoint.
            drain: close every open window first.
            request_id: 32 hexadecimal digits; a stop that is asked for again under the same ones is the same stop.
            timeout_seconds: for each of both.
        """
        body = {"targetDirectory": directory, "drain": drain} | ({"triggerId": request_id} if request_id else {})
        path = self._await_savepoint(job_id, f"/jobs/{job_id}/stop", body, timeout_seconds)
        self.await_state(job_id, ENDED, timeout_seconds)
        return path

    def cancel(self, job_id: str, timeout_seconds: float = 60.0) -> None:
        """Cancel the job and wait until it has ended; nothing is saved beyond its last checkpoint."""
        # A job that ends at this moment is refused, or is not remembered.
        asked = self._call("PATCH", f"/jobs/{job_id}", absent=(_UNKNOWN, _CONFLICT), params={"mode": "cancel"})
        if asked is None and self.find(job_id) is None:
            return
        self.await_state(job_id, ENDED, timeout_seconds)

    def await_state(self, job_id: str, states: Collection[str], timeout_seconds: float) -> str:
        """Wait until the job is in one of `states`; returns which. A job that has ended otherwise is an error."""
        deadline = time.monotonic() + timeout_seconds
        while (job := self.job(job_id)).state not in states:
            if job.is_ended or time.monotonic() > deadline:
                wanted = " or ".join(sorted(states))
                reason = self.exception(job_id) or "Flink reports no exception"
                when = "" if job.is_ended else f" after {timeout_seconds:g} s"
                text = f"job {job.name} ({job_id}) at {self.url} is {job.state}{when}, not {wanted}: {reason}"
                raise FlinkError(text) if job.is_ended else FlinkNoAnswerError(text)
            time.sleep(POLL_SECONDS)
        return job.state

    def task_metrics(self, job_id: str, tasks: Iterable[Vertex], suffixes: Iterable[str]) -> list[TaskMetric]:
        """Metrics of these tasks by the ends of their names, over the subtasks of each; not every task has each."""
        wanted = tuple(suffixes)
        found: list[TaskMetric] = []
        for task in tasks:
            path = f"/jobs/{job_id}/vertices/{task.id}/subtasks/metrics"
            names = [item["id"] for item in self._get(path) if item["id"].endswith(wanted)]
            answer = self._get(path, get=",".join(names), agg="sum,min,max") if names else ()
            found += [TaskMetric(task.name, item["id"], *(float(item[key]) for key in _TOTALS)) for item in answer]
        return found

    def task_texts(self, job_id: str, tasks: Iterable[Vertex], suffix: str) -> dict[str, str]:
        """Metrics that are texts, by name with the number of the subtask in front: `0.sink.breaker.lastError`."""
        found: dict[str, str] = {}
        for task in tasks:
            path = f"/jobs/{job_id}/vertices/{task.id}/metrics"
            names = [item["id"] for item in self._get(path) if item["id"].endswith(suffix)]
            found |= {item["id"]: str(item["value"]) for item in self._get(path, get=",".join(names))} if names else {}
        return found

    def _sums(self, job_id: str, label: Callable[[str], str | None]) -> dict[str, float]:
        """Sums over tasks and subtasks of every metric that has a label, by label."""
        sums: dict[str, float] = {}
        for vertex in self.vertices(job_id):
            path = f"/jobs/{job_id}/vertices/{vertex.id}/subtasks/metrics"
            labels = {item["id"]: found for item in self._get(path) if (found := label(item["id"])) is not None}
            for item in self._get(path, get=",".join(labels), agg="sum") if labels else ():
                name = labels[item["id"]]
                sums[name] = sums.get(name, 0.0) + float(item["sum"])
        return sums

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
                raise FlinkError(f"the savepoint of job {job_id} at {self.url} failed: {root_cause(trace)}")
            if time.monotonic() > deadline:
                raise FlinkNoAnswerError(
                    f"the savepoint of job {job_id} was not done after {timeout_seconds:g} s; it may still come: "
                    f"{self.url}/#/job/running/{job_id}/checkpoints"
                )
            time.sleep(POLL_SECONDS)

    def _get(self, path: str, **query: str) -> Any:
        return self._call("GET", path, params=query)

    def _call(self, method: str, path: str, *, absent: Collection[int] = (), **arguments: Any) -> Any:
        """The answer; None when its status is one of `absent`."""
        timeout_seconds = self._timeout_seconds or TIMEOUT_SECONDS
        try:
            response = requests.request(method, self.url + path, timeout=timeout_seconds, **arguments)
        except requests.ReadTimeout:
            raise FlinkNoAnswerError(
                f"Flink did not answer {method} {self.url}{path} within {timeout_seconds:g} s"
            ) from None
        except requests.RequestException:
            raise FlinkNoAnswerError(
                f"Flink cannot be reached at {self.url} (TA_FLINK_REST_URL); is it up (`ta status`)?"
            ) from None
        if response.status_code in absent:
            return None
        if not response.ok:
            raise _kind_of(response)(
                f"Flink refused {method} {self.url}{path} (status {response.status_code}): {_errors_of(response)}"
            )
        return response.json() if response.content else {}


def _kind_of(response: requests.Response) -> type[FlinkError]:
    """A refusal, or no answer: a JobManager that starts, is busy, or lost what it asked itself, may answer later."""
    if response.status_code == _UNKNOWN:
        return FlinkNotFoundError
    if response.status_code == _TIMEOUT or response.status_code >= _FAILED:
        return FlinkNoAnswerError
    return FlinkError


def _errors_of(response: requests.Response) -> str:
    try:
        errors = response.json().get("errors", [])
    except ValueError:
        return response.text[:300]
    return "; ".join(root_cause(error) for error in errors)[:600]
