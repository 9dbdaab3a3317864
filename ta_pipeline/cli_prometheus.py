"""`ta prometheus`: a Prometheus that scrapes the local stack, until it is interrupted."""

from __future__ import annotations

import signal
import subprocess

import typer
from rich.console import Console

from ta_pipeline.errors import StackError, TaError
from ta_pipeline.local.ports import require_free
from ta_pipeline.local.prometheus import prometheus_command, prometheus_url
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.processes import killed, wait_or_end
from ta_pipeline.terminal import end_as_by_ctrl_c, fail

console = Console()
STOP_SECONDS = 20


def register(app: typer.Typer) -> None:
    """Add `prometheus` to `app`."""
    app.command("prometheus")(prometheus)


def prometheus() -> None:
    """Start Prometheus on the local stack: http://127.0.0.1:19090 (TA_LOCAL_PROMETHEUS_PORT); Ctrl-C ends it."""
    try:
        local = load_local_settings()
        command = prometheus_command(local)
        require_free({"prometheus_port": local.prometheus_port})
    except TaError as error:
        fail(error)
    console.print(f"Prometheus: {prometheus_url(local)}  (data: {local.dir / 'prometheus'})", soft_wrap=True)
    console.print("the same as a picture: ta report; Ctrl-C ends it", highlight=False)
    end_as_by_ctrl_c()
    # A group of its own: Ctrl-C is for this process, which then ends it in its own way.
    with subprocess.Popen(command, start_new_session=True) as process:
        # By SIGTERM it writes what it has in memory.
        status = wait_or_end(process, (signal.SIGTERM,), STOP_SECONDS)
    if process.returncode < 0 and status:
        fail(StackError(killed("Prometheus", process.returncode)), status)
    raise typer.Exit(status)
