"""The job in a process of its own, with a small cluster inside: beside the running one, and with other code.

The TaskManager of the local stack runs one release of the code. A version that has other code can be tried before the
running one is stopped only elsewhere.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ta_pipeline.errors import FlinkError, FlinkNoAnswerError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.settings import LocalSettings, variables
from ta_pipeline.local.submission import Client, content_of
from ta_pipeline.processes import kill_group
from ta_pipeline.runtime import Deployment, JobStatus, Report
from ta_pipeline.settings import Settings

START_SECONDS = 120.0
_POLL_SECONDS = 0.25


class ShadowRuntime:
    """Runs one job as a drill: isolated settings, and without the state of exactly-once sinks.

    Args:
        settings: the drill's own.
        local: where Flink's configuration and jars lie.
        code: the folder with the code to try.
    """

    def __init__(self, settings: Settings, local: LocalSettings, code: Path) -> None:
        self._port = free_port()
        self._settings = settings.model_copy(update={"flink_rest_url": f"http://127.0.0.1:{self._port}"})
        environment = variables(self._settings)
        self._client = Client(
            self._settings, environment, local, program="flink/job.py", arguments=("--drill",), code=code
        )
        self._watched = LocalRuntime(self._settings, environment, local=local, code=code)
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None

    def deploy(self, *, restore_from: str | None, allow_non_restored: bool, report: Report) -> Deployment:
        """Run the job from `restore_from` and return when it has completed a checkpoint.

        Raises:
            FlinkError: it did not; the message has the reason.
        """
        if restore_from is None or not allow_non_restored:
            raise FlinkError("a shadow is restored from a state, without that of production's sinks")
        started = time.monotonic()
        report(f"starting {self._settings.k8s_deployment} in a process of its own")
        self._scratch = Path(tempfile.mkdtemp(prefix="ta-shadow-"))
        with tempfile.TemporaryFile() as output:
            process = self._client.run_here(restore_from, self._port, output.fileno(), self._scratch)
            self._process = process
            job_id = self._await_job(process, output.fileno())

            def tell(text: str) -> None:
                if (status := process.poll()) is not None:
                    raise self._client.refusal(status, content_of(output.fileno()))
                report(text)

            self._watched.await_checkpoint(job_id, tell)
        return Deployment(job_id, self._settings.k8s_deployment, restore_from, time.monotonic() - started)

    def status(self) -> list[JobStatus]:
        """Empty unless its process runs."""
        if self._process is None or self._process.poll() is not None:
            return []
        return self._watched.status()

    def cancel(self) -> None:
        """End the process with all it has started."""
        if self._process is not None:
            kill_group(self._process)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _await_job(self, process: subprocess.Popen[bytes], output: int) -> str:
        """The job's id, once its own REST API knows it."""
        rest = FlinkRest(self._settings.flink_rest_url)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (status := process.poll()) is not None:
                raise self._client.refusal(status, content_of(output))
            with contextlib.suppress(FlinkNoAnswerError):
                if jobs := rest.jobs():
                    return jobs[0].id
            time.sleep(_POLL_SECONDS)
        raise FlinkError(f"{self._settings.k8s_deployment} was not planned within {START_SECONDS:g} s")
