"""`ta watch` and `ta probe`: what a reader of the output topics sees."""

from __future__ import annotations

import contextlib
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ta_pipeline.errors import TaError
from ta_pipeline.local.stack import local_settings
from ta_pipeline.probe import probe as probe_outputs
from ta_pipeline.probe_report import render
from ta_pipeline.probe_server import LISTEN, serve
from ta_pipeline.terminal import errors, fail
from ta_pipeline.watch import watch as watch_outputs

console = Console()


def register(app: typer.Typer) -> None:
    """Add `watch` and `probe` to `app`."""
    app.command("watch")(watch)
    app.command("probe")(probe)


def watch(
    symbols: Annotated[str, typer.Option(help="comma-separated; default: all that come")] = "",
    seconds: Annotated[float, typer.Option(min=0, help="how long; 0: until Ctrl-C")] = 0.0,
) -> None:
    """Show live and final signals as they come, side by side, with latency and counters."""
    chosen = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    # Ctrl-C is how one stops looking, and no failure.
    with contextlib.suppress(KeyboardInterrupt):
        try:
            watch_outputs(local_settings(), seconds=seconds or None, console=console, symbols=chosen)
        except TaError as error:
            fail(error)


def probe(
    seconds: Annotated[float, typer.Option(min=1, help="how long to look")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    serving: Annotated[bool, typer.Option("--serve", help="look until Ctrl-C, and answer over HTTP")] = False,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="with --serve: where")] = LISTEN,
) -> None:
    """Measure what a reader sees: latency, duplicates, gaps, staleness.

    Exit status 1 when a final record came twice, or when nothing came. With --serve, as the local stack's component
    `probe`: /metrics for Prometheus, /report as JSON.
    """
    if serving:
        _serve(listen)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=errors, transient=True) as progress:
            task = progress.add_task("reading", total=seconds)

            def show(passed: float, records: int) -> None:
                progress.update(task, description=f"{records:,} records", completed=passed)

            report = probe_outputs(local_settings(), seconds, progress=show)
    except TaError as error:
        fail(error)
    if as_json:
        typer.echo(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        console.print(render(report))
    if report.failures:
        raise typer.Exit(1)


def _serve(listen: str) -> None:
    try:
        console.print(f"http://{listen}/metrics and /report; Ctrl-C ends it", highlight=False)
        serve(local_settings(), listen)
    except TaError as error:
        fail(error)
