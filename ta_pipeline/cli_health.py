"""`ta health`: is it well? The verdicts that Dagster's sensor gives, at a terminal."""

from __future__ import annotations

import time
from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ta_pipeline.errors import TaError
from ta_pipeline.monitoring.incidents import HELP
from ta_pipeline.monitoring.judge import judge
from ta_pipeline.monitoring.snapshot import take_snapshot
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.platform import Platform
from ta_pipeline.terminal import fail

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "bold red", "unknown": "red", "asleep": "dim"}

console = Console()


def register(app: typer.Typer) -> None:
    """Add `health` to `app`."""
    app.command("health")(health)


def health(as_json: Annotated[bool, typer.Option("--json", help="print the verdicts as JSON")] = False) -> None:
    """Judge the job, its components and its data; exit status 1 when something is bad or unknown."""
    try:
        platform = Platform.here()
    except TaError as error:
        fail(error)
    snapshot = take_snapshot(platform, time.time_ns() // 1_000_000)
    verdicts = judge(snapshot)
    if as_json:
        found = [{"name": v.name, "state": v.state, "message": v.message, "figures": dict(v.figures)} for v in verdicts]
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    else:
        console.print(_table(verdicts))
        console.print(f"asked everything in {snapshot.seconds:.2f} s", highlight=False)
        if any(verdict.calls for verdict in verdicts):
            console.print(f"what it means, and what to do: {HELP}", highlight=False)
    if any(verdict.state in {"bad", "unknown"} for verdict in verdicts):
        raise typer.Exit(1)


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("", "state", "what was found", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for verdict in verdicts:
        # An unknown one is explained by another: that is where to look.
        because = f" (see {verdict.caused_by})" if verdict.caused_by else ""
        # As text: brackets in what a component says are no markup.
        table.add_row(verdict.name, Text(verdict.state, style=_COLOURS[verdict.state]), Text(verdict.message + because))
    return table
