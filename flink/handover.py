"""Plan first, start later: a client that waits until the job before it has stopped.

The client writes `<go>.planned`, then waits for the file `go`, which says from where the job goes on. See
`ta_pipeline.local.submission`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment

LONGEST_SECONDS = 900.0
"""Whoever should say where to start from has died: nothing was submitted, and nothing will be."""
_POLL_SECONDS = 0.02


def wait_for_go(environment: StreamExecutionEnvironment, go: Path) -> None:
    """Return when `go` is there, with the environment set to restore what it names.

    Raises:
        TimeoutError: it did not come.
    """
    go.with_suffix(".planned").touch()
    deadline = time.monotonic() + LONGEST_SECONDS
    while not go.exists():
        if time.monotonic() > deadline or not go.parent.exists():
            raise TimeoutError(f"{go} did not come within {LONGEST_SECONDS:g} s: the job was not started")
        time.sleep(_POLL_SECONDS)
    restore_from = json.loads(go.read_text(encoding="utf-8"))["restore_from"]
    if restore_from:
        configuration = Configuration()
        configuration.set_string("execution.state-recovery.path", restore_from)
        environment.configure(configuration)
