"""Plan first, start later: a client that waits until the job before it has stopped.

The client writes `<go>.planned`, then waits for the file `go`, which says from where the job goes on, and under which
id. `<go>.owner` names the process that will write it: when that is gone, nobody will. See
`ta_pipeline.local.submission`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment

from ta_pipeline.processes import ProcessId

LONGEST_SECONDS = 900.0
"""Whoever should say where to start from has died: nothing was submitted, and nothing will be."""
_POLL_SECONDS = 0.02
_OWNER_SECONDS = 1.0
_RESTORE_FROM = "execution.state-recovery.path"
_JOB_ID = "$internal.pipeline.job-id"
"""What Flink's own application mode and its Kubernetes operator use: the id is known before the job is submitted."""


def wait_for_go(environment: StreamExecutionEnvironment, go: Path) -> None:
    """Return when `go` is there, with the environment set to restore what it names.

    Raises:
        TimeoutError: it did not come, and will not.
    """
    owner = ProcessId(**json.loads(go.with_suffix(".owner").read_text(encoding="utf-8")))
    go.with_suffix(".planned").touch()
    deadline = time.monotonic() + LONGEST_SECONDS
    while not go.exists():
        if time.monotonic() > deadline or not go.parent.exists() or not owner.is_alive:
            raise TimeoutError(f"{go} did not come, and nobody is there to write it: the job was not started")
        time.sleep(_POLL_SECONDS)
    said = json.loads(go.read_text(encoding="utf-8"))
    configuration = Configuration()
    for key, value in ((_RESTORE_FROM, said["restore_from"]), (_JOB_ID, said["job_id"])):
        if value:
            configuration.set_string(key, value)
    environment.configure(configuration)


def end_with_owner(owner: str) -> None:
    """End this process, and all of its group, when the process that started it is gone.

    Args:
        owner: its id and when it was started, `{"pid": 1, "started": 1.0}`.
    """
    process = ProcessId(**json.loads(owner))

    def watch() -> None:
        while process.is_alive:
            time.sleep(_OWNER_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
