"""Flink's own client as a process: it plans the job's graph, then hands it to the cluster.

Planning takes most of the time of a submission. A client that is told to wait has planned already when the job before
it stops: from then on it only has to say from where to go on, so that an upgrade interrupts the stream for seconds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ta_pipeline.errors import FlinkError
from ta_pipeline.job_refusals import explained
from ta_pipeline.local.flink import NO_WORKER_SERVER, flink_command, flink_environment, s3_environment
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.processes import ProcessId, kill_group
from ta_pipeline.settings import Settings

SUBMIT_TIMEOUT_SECONDS = 180
LAUNCHES = 3
# PyFlink's gateway does not always come up on a busy machine; nothing was submitted then.
LAUNCH_FAILED = ("Answer from Java side is empty", "Error while obtaining a new communication channel")
_JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")
_TAIL_LINES = 12
# The configuration is the cluster's, and so are its ports.
_OF_ITS_OWN = (
    "-Dhigh-availability.type=NONE", "-Dmetrics.reporters=none", "-Dblob.server.port=0",
    "-Dtaskmanager.rpc.port=0", "-Dtaskmanager.data.port=0",
    "-Dtaskmanager.memory.network.min=64m", "-Dtaskmanager.memory.network.max=64m",
)  # fmt: skip
_POLL_SECONDS = 0.1
_CLIENT_LOG_BYTES = 200_000


class Client:
    """Submits `program` with the settings of `environment`.

    Args:
        settings: what the job runs with.
        environment: the same as `TA_*` variables, secrets included.
        local: where the cluster's configuration lies.
        program: the job's file, relative to `code`.
        arguments: of the program.
        code: the folder with `flink/` and `ta_pipeline/` that is planned; a release, or the checkout.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        local: LocalSettings,
        *,
        program: str,
        arguments: Sequence[str] = (),
        code: Path = REPOSITORY,
    ) -> None:
        self._settings = settings
        self._program = code / program
        self._arguments = tuple(arguments)
        self._code = code
        self._log_dir = local.dir / "flink" / "log"
        flink = flink_environment(local, java_home(), code)
        self._environment = {**os.environ, **environment, **s3_environment(settings), **NO_WORKER_SERVER, **flink}

    def submit(self, restore_from: str | None = None, *, allow_non_restored: bool = False) -> str:
        """Plan the job and hand it to the cluster; returns its id.

        Args:
            restore_from: a savepoint or retained checkpoint.
            allow_non_restored: state of operators that the job does not have is left behind, else it is refused.

        Raises:
            FlinkError: it was not submitted; the message has the reason.
        """
        for _ in range(LAUNCHES):
            with tempfile.TemporaryFile() as output:
                extra = ("--allowNonRestoredState",) if allow_non_restored else ()
                process = self._launch(restore_from, output.fileno(), flink=extra)
                status = _await_end(process, SUBMIT_TIMEOUT_SECONDS)
                printed = content_of(output.fileno())
            if found := _JOB_ID.search(printed):
                return found.group(1)
            if not any(sign in printed for sign in LAUNCH_FAILED):
                break
        raise self.refusal(status, printed)

    def prepare(self) -> PreparedJob:
        """Plan the job and wait with it.

        Raises:
            FlinkError: it could not be planned; the message has the reason.
        """
        for _ in range(LAUNCHES):
            job = PreparedJob(Path(tempfile.mkdtemp(prefix="ta-submission-")), self)
            job.process = self._launch(None, job.open_output(), ("--await", str(job.go_file)))
            if job.await_planned(SUBMIT_TIMEOUT_SECONDS):
                return job
            printed, status = job.printed(), job.process.returncode
            job.discard()
            if not any(sign in printed for sign in LAUNCH_FAILED):
                break
        raise self.refusal(status, printed)

    def run_here(self, restore_from: str, rest_port: int, output: int, scratch: Path) -> subprocess.Popen[bytes]:
        """Start the job in the client's own process, beside whatever runs on the cluster; it ends when this one does.

        Args:
            restore_from: a savepoint or retained checkpoint; state that the job has no operator for is left behind.
            rest_port: of its own REST API.
            output: a file descriptor for what it prints.
            scratch: for its files, options of the tables among them; nobody else's, and to be removed.
        """
        own = (*_OF_ITS_OWN, f"-Drest.bind-port={rest_port}", f"-Dio.tmp.dirs={scratch}")
        flink = ("--target", "local", "--allowNonRestoredState", *own)
        extra = ("--owner", json.dumps(dataclasses.asdict(ProcessId.here())))
        return self._launch(restore_from, output, extra, flink, detached=False)

    def _launch(
        self,
        restore_from: str | None,
        output: int,
        extra: Sequence[str] = (),
        flink: Sequence[str] = (),
        *,
        detached: bool = True,
    ) -> subprocess.Popen[bytes]:
        command = ["/usr/bin/env", "bash", str(flink_command()), "run", *(["--detached"] if detached else []), *flink]
        if restore_from:
            command += ["--fromSavepoint", restore_from]
        command += ["--python", str(self._program), *self._arguments, *extra]
        return subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self._environment, cwd=self._code,
            start_new_session=True,
        )  # fmt: skip

    def refusal(self, status: int | None, printed: str) -> FlinkError:
        """The error of a client that ended without a job; `status` None: it had to be ended."""
        reason = submission_error(printed, self._client_log())
        if status is None:
            reason = f"flink run did not return within {SUBMIT_TIMEOUT_SECONDS} s\n{reason}"
        return FlinkError(f"the job was not submitted (exit status {status}):\n{explained(self._settings, reason)}")

    def _client_log(self) -> str:
        """The end of what the client logged: what its Python process printed is only there."""
        logs = sorted(self._log_dir.glob("flink-*-client-*.log"), key=lambda path: path.stat().st_mtime)
        if not logs:
            return ""
        content = logs[-1].read_bytes()
        return content[-_CLIENT_LOG_BYTES:].decode(errors="replace")


class PreparedJob:
    """A job that is planned, and waits for where to start from. Use it once: `start` or `discard`."""

    def __init__(self, folder: Path, client: Client) -> None:
        self._folder = folder
        self._client = client
        self.process: subprocess.Popen[bytes]
        self._write(".owner", dataclasses.asdict(ProcessId.here()))

    @property
    def go_file(self) -> Path:
        """Its client waits for this file (see flink/handover.py)."""
        return self._folder / "go.json"

    def start(self, restore_from: str | None, job_id: str | None = None) -> str:
        """Hand the job to the cluster; returns its id.

        Args:
            restore_from: a savepoint or retained checkpoint.
            job_id: 32 hexadecimal digits; None: Flink chooses.

        Raises:
            FlinkError: it was not submitted; the message has the reason.
        """
        self._write(".new", {"restore_from": restore_from, "job_id": job_id}).replace(self.go_file)
        status = _await_end(self.process, SUBMIT_TIMEOUT_SECONDS)
        printed = self.printed()
        self.discard()
        if found := _JOB_ID.search(printed):
            return found.group(1)
        raise self._client.refusal(status, printed)

    def discard(self) -> None:
        """End the client and remove its files; fine to call again."""
        kill_group(self.process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def await_planned(self, seconds: float) -> bool:
        """Whether the graph was planned; False when the client ended, or took too long."""
        deadline = time.monotonic() + seconds
        while not self.go_file.with_suffix(".planned").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _write(self, suffix: str, content: Mapping[str, object]) -> Path:
        path = self.go_file.with_suffix(suffix)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def open_output(self) -> int:
        """A file for what the client prints."""
        return os.open(self._folder / "output", os.O_WRONLY | os.O_CREAT, 0o600)

    def printed(self) -> str:
        """What the client has printed."""
        try:
            return (self._folder / "output").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def submission_error(printed: str, client_log: str = "") -> str:
    """What matters of a failed client's output: our own error if there is one, the causes, else the last lines.

    Args:
        printed: by the client.
        client_log: what it logged: the trace of its Python process is nowhere else.
    """
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    logged = [line.rstrip() for line in client_log.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("ta_pipeline.errors.")]
    if own:
        return "\n".join(own)
    if "Python process exits with code" in printed and (trace := _last_trace(logged)):
        return trace
    causes = [line for line in lines if line.startswith("Caused by:")]
    return "\n".join(causes[-2:] or lines[-_TAIL_LINES:])


def _last_trace(lines: Sequence[str]) -> str:
    """The last line of the newest Python trace, with where it was raised."""
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return ""
    trace = lines[starts[-1] + 1 :]
    end = next((number for number, line in enumerate(trace) if not line.startswith(" ")), len(trace) - 1)
    where = [line.strip() for line in trace[:end] if line.strip().startswith("File ")]
    return "\n".join([*where[-1:], trace[end]]) if trace else ""


def _await_end(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status; None when it had to be ended."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        kill_group(process)


def content_of(descriptor: int) -> str:
    """What was written to a file so far, wherever the descriptor stands in it."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
