"""Plays the REST API of the JobManagers that the operator would start: without nodes there are none.

The answers are Flink's own, in what the platform reads of them (`ta_pipeline.flink_answers`); that it reads the real
ones is proved where the real Flink runs (tests/integration).
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ta_pipeline.s3 import s3_client, write_object
from ta_pipeline.settings import Settings, load_settings

EMPTY_STATE = struct.pack(">iiqii", 0x4960672D, 3, 1, 0, 0)
"""The metadata of a checkpoint or savepoint without an operator (Flink's `MetadataV3Serializer`)."""
_JOB = re.compile(r"^/jobs/([0-9a-f]{32})(/[a-z]*)?")


@dataclass
class PlayedJob:
    """A job as its JobManager has it."""

    name: str
    restored_from: str | None
    folder: str
    image: str
    state: str = "INITIALIZING"
    started_ms: int = field(default_factory=lambda: int(time.time() * 1_000))
    ended_ms: int = -1
    checkpoints: int = 0
    exception: str = ""

    def newest_checkpoint(self, job_id: str) -> str:
        """Where it lies."""
        return f"{self.folder}/{job_id}/chk-{self.checkpoints}"


@dataclass
class PlayedJobManager:
    """Answers for every job of a test.

    Attributes:
        jobs: by id.
        first_state: what a job becomes that is started: RUNNING, or FAILED.
        exception: of a job that fails.
        comes_up: whether the pods of a JobManager that is being started do.
        url: of the REST API, while it answers.
    """

    jobs: dict[str, PlayedJob] = field(default_factory=dict)
    first_state: str = "RUNNING"
    exception: str = ""
    comes_up: bool = True
    url: str = ""

    def submit(self, job_id: str, deployment: Mapping[str, Any], restored_from: str | None) -> None:
        """A JobManager is being started for a job."""
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        folder = spec["flinkConfiguration"]["execution.checkpointing.dir"]
        self.jobs[job_id] = PlayedJob(name, restored_from, folder, spec["image"])

    def is_up(self, job_id: str) -> bool:
        """It answers as soon as its pods are up."""
        return self.comes_up and job_id in self.jobs

    def run(self, job_id: str) -> None:
        """It answers."""
        self.jobs[job_id].state = self.first_state
        self.jobs[job_id].exception = self.exception

    def savepoint(self, job_id: str, directory: str) -> str:
        """Taken at once."""
        return f"{directory}/savepoint-{job_id[:6]}-{uuid.uuid4().hex[:12]}"

    def checkpoint(self, job_id: str) -> None:
        """Completed at once."""
        self.jobs[job_id].checkpoints += 1

    def stop(self, job_id: str, directory: str) -> str:
        """Stopped at once."""
        self.end(job_id, "FINISHED")
        return self.savepoint(job_id, directory)

    def end(self, job_id: str, state: str) -> None:
        """The job ends, unless it has."""
        if job_id in self.jobs and self.jobs[job_id].ended_ms < 0:
            self.jobs[job_id].state = state
            self.jobs[job_id].ended_ms = int(time.time() * 1_000)

    def state(self, job_id: str) -> str | None:
        """What the operator hears of it."""
        return self.jobs[job_id].state if job_id in self.jobs else None

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """It answers for as long as this lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """Status and content."""
        if path.startswith("/overview"):
            return 200, {"taskmanagers": 1}
        if path.startswith("/jobs/overview"):
            return 200, {"jobs": [_summary(job_id, job) for job_id, job in self.jobs.items()]}
        found = _JOB.match(path)
        job = self.jobs.get(found.group(1)) if found else None
        if found is None or job is None:
            return 404, {"errors": ["org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find job"]}
        what = found.group(2) or ""
        if method == "POST" and what == "/checkpoints":
            self.checkpoint(found.group(1))
            return 202, {"request-id": "0" * 32}
        answers = {
            "": _summary(found.group(1), job) | {"vertices": [_vertex(job)]},
            "/checkpoints": _checkpoints(found.group(1), job),
            "/exceptions": {"exceptionHistory": {"entries": _failures(job)}},
            "/metrics": [{"id": "numRestarts", "value": "0"}],
            "/config": {"execution-config": {"user-config": {"TA_SESSION": "extended", "other": "1"}}},
        }
        return 200, answers[what]


@dataclass
class StoringJobManager(PlayedJobManager):
    """Whose savepoints and checkpoints are in S3, and of no operator.

    Attributes:
        store: settings of S3.
    """

    store: Settings = field(default_factory=load_settings)

    def savepoint(self, job_id: str, directory: str) -> str:
        """Taken at once."""
        path = super().savepoint(job_id, directory)
        self._write(path)
        return path

    def checkpoint(self, job_id: str) -> None:
        """Completed at once."""
        super().checkpoint(job_id)
        self._write(self.jobs[job_id].newest_checkpoint(job_id))

    def _write(self, path: str) -> None:
        write_object(s3_client(self.store), f"{path}/_metadata", EMPTY_STATE)


def _summary(job_id: str, job: PlayedJob) -> dict[str, Any]:
    return {"jid": job_id, "name": job.name, "state": job.state, "start-time": job.started_ms, "end-time": job.ended_ms}


def _vertex(job: PlayedJob) -> dict[str, Any]:
    return {"id": "v", "name": "source", "parallelism": 1, "status": job.state, "metrics": {}}


def _failures(job: PlayedJob) -> list[dict[str, Any]]:
    return [{"timestamp": job.started_ms, "stacktrace": f"Caused by: {job.exception}"}] if job.exception else []


def _checkpoints(job_id: str, job: PlayedJob) -> dict[str, Any]:
    latest: dict[str, Any] = {}
    if job.checkpoints:
        latest["completed"] = {
            "trigger_timestamp": int(time.time() * 1_000), "state_size": 1, "end_to_end_duration": 5,
            "external_path": job.newest_checkpoint(job_id),
        }  # fmt: skip
    if job.restored_from:
        latest["restored"] = {"restore_timestamp": job.started_ms, "external_path": job.restored_from}
    counts = {"completed": job.checkpoints, "failed": 0, "in_progress": 0}
    return {"counts": counts, "latest": latest, "summary": {"end_to_end_duration": {"p50": 5.0, "p99": 5.0}}}


def _handler(played: PlayedJobManager) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer("POST")

        def _answer(self, method: str) -> None:
            status, content = played.answer(method, self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            return

    return Handler
