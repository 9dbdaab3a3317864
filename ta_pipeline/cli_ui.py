"""`ta ui`: Dagster's web interface and daemon on this checkout, until it is interrupted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ta_pipeline.errors import StackError, TaError
from ta_pipeline.local.dagster_log import COMPONENT, dagster_log, json_lines, keep
from ta_pipeline.local.ports import LOOPBACK, require_free
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings
from ta_pipeline.logs.lines import parse
from ta_pipeline.logs.output import format_in_force
from ta_pipeline.logs.view import as_text, style_of
from ta_pipeline.processes import killed, wait_or_end
from ta_pipeline.terminal import end_as_by_ctrl_c, fail

console = Console()
STOP_SECONDS = 20


def register(app: typer.Typer) -> None:
    """Add `ui` to `app`."""
    app.command("ui")(ui)


def ui(
    daemon_only: Annotated[bool, typer.Option("--daemon", help="sensors and schedules only, no web interface")] = False,
) -> None:
    """Start Dagster on this checkout: http://127.0.0.1:13000 (TA_LOCAL_UI_PORT); Ctrl-C ends it."""
    try:
        local = load_local_settings()
        home, shown = dagster_home(local), _showing()
        if not daemon_only:
            require_free({"ui_port": local.ui_port})
        command = dagster_command("dagster_daemon" if daemon_only else "webserver", local)
    except TaError as error:
        fail(error)
    if not daemon_only:
        console.print(
            f"Dagster: http://{LOOPBACK}:{local.ui_port}  (runs and events: {home}; `ta logs dagster`)", soft_wrap=True
        )
    end_as_by_ctrl_c()
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=json_lines(dagster_environment(home)), start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        # Not in this thread: it has to go on while Dagster is being ended.
        keeper = threading.Thread(target=keep, args=(process.stdout, dagster_log(local), shown), daemon=True)
        keeper.start()
        # Webserver, daemon, code servers.
        status = wait_or_end(process, (signal.SIGINT, signal.SIGTERM), STOP_SECONDS)
        keeper.join(STOP_SECONDS)
    if process.returncode < 0 and status:
        fail(StackError(killed("Dagster", process.returncode)), status)
    raise typer.Exit(status)


def _showing() -> Callable[[bytes], None]:
    """How a line of Dagster's is shown: for a person on a terminal, as it is elsewhere.

    Raises:
        SettingsError: `TA_LOG_FORMAT` is neither `json` nor `text`.
    """
    if format_in_force() == "json":
        return lambda raw: console.print(raw.decode("utf-8", "replace"), markup=False, highlight=False, soft_wrap=True)

    def show(raw: bytes) -> None:
        line = parse(COMPONENT, raw)
        text = as_text(line, with_component=False)
        console.print(text, style=style_of(line), markup=False, highlight=False, soft_wrap=True)

    return show


def dagster_home(local: LocalSettings) -> Path:
    """DAGSTER_HOME of the local stack, with the instance's settings in it.

    Raises:
        StackError: Dagster is not installed.
    """
    if find_spec("dagster") is None:
        raise StackError(
            "dagster is not installed in this environment: pip install -c constraints.txt -e '.[platform]'"
        )
    home = local.dir / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(REPOSITORY / "orchestration" / "dagster.yaml", home / "dagster.yaml")
    return home.resolve()


def dagster_environment(home: Path) -> dict[str, str]:
    """The environment of a Dagster process on this checkout."""
    return {**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}


def dagster_command(what: str, local: LocalSettings) -> list[str]:
    """The command of one of Dagster's processes: `webserver` (the daemon with it) or `dagster_daemon`."""
    workspace = ["--workspace", str(REPOSITORY / "workspace.yaml")]
    if what == "dagster_daemon":
        return [sys.executable, "-m", "dagster._daemon", "run", *workspace]
    return [
        sys.executable, "-m", "dagster", "dev", *workspace, "--host", LOOPBACK, "--port", str(local.ui_port),
        "--log-level", "warning",
    ]  # fmt: skip
