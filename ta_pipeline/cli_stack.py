"""`ta up`, `ta down`, `ta status`, `ta jars`: the local stack on the command line."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ta_pipeline.errors import TaError
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.stack import ComponentStatus, Stack
from ta_pipeline.terminal import fail

_COLOURS = {"ready": "green", "running": "green", "not ready": "yellow", "starting": "yellow", "resolving": "yellow"}

console = Console()


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("jars")(jars)


def up(
    only: Annotated[str, typer.Option(help="comma-separated components, or the group flink; the rest is left")] = "",
) -> None:
    """Start the local stack and wait until it is ready."""
    started = time.monotonic()
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        stack = Stack()
        with Progress(*columns, console=console) as progress:
            tasks = {}

            def report(name: str, state: str) -> None:
                text = f"{name:<12} [{_COLOURS.get(state, 'white')}]{state}[/]"
                if name not in tasks:
                    tasks[name] = progress.add_task(text, total=1)
                done = 1 if state == "ready" else 0
                progress.update(tasks[name], description=text, completed=done)

            stack.up(only or None, report)
    except TaError as error:
        fail(error)
    console.print(f"ready after {time.monotonic() - started:.1f} s; Flink's web UI: {_web_ui(stack)}")


def jars() -> None:
    """Fetch and build the jars ahead of `ta up`, which then needs no network."""
    directory = Stack().local.jars_dir
    try:
        with console.status(f"resolving into {directory}"):
            made = ensure_jars(directory)
    except TaError as error:
        fail(error)
    console.print(f"{directory}: {'resolved' if made else 'nothing to do'}")


def down() -> None:
    """Stop the local stack; its data stays."""
    try:
        killed = Stack().down()
    except TaError as error:
        fail(error)
    for process in killed:
        console.print(f"[yellow]killed[/] {process}, which did not stop by itself")
    console.print("down")


def status() -> None:
    """Show every component: state, process, port, uptime, memory; exit status 1 unless all are ready."""
    try:
        lines = Stack().status()
    except TaError as error:
        fail(error)
    table = Table("component", "state", "pid", "port", "uptime", "memory", "")
    for line in lines:
        table.add_row(*_cells(line))
    console.print(table)
    total = sum(line.memory_bytes or 0 for line in lines)
    console.print(f"memory in all: {total / 2**30:.2f} GiB")
    if any(line.state != "ready" for line in lines):
        raise typer.Exit(1)


def _cells(line: ComponentStatus) -> tuple[str, ...]:
    uptime = "" if line.uptime_seconds is None else str(timedelta(seconds=int(line.uptime_seconds)))
    memory = "" if line.memory_bytes is None else f"{line.memory_bytes / 2**20:.0f} MiB"
    state = f"[{_COLOURS.get(line.state, 'red')}]{line.state}[/]"
    return (line.name, state, str(line.pid or ""), str(next(iter(line.ports), "")), uptime, memory, line.detail)


def _web_ui(stack: Stack) -> str:
    return stack.environment()["TA_FLINK_REST_URL"]
