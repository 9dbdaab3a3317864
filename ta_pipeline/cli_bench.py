"""`ta bench`: measure on the running stack, write the report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from ta_pipeline import cli_stack
from ta_pipeline.bench import DENSE, SPARSE, Bench
from ta_pipeline.bench_report import render
from ta_pipeline.errors import TaError
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.local.stack import Stack, local_settings

console = Console()
errors = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add `bench` to `app`."""
    app.command("bench")(bench)


def bench(
    rounds: Annotated[int, typer.Option(min=0, help="measured rounds of each drain; 0 leaves the drains out")] = 2,
    latency_seconds: Annotated[float, typer.Option(min=0, help="1,000 messages a second; 0 leaves it out")] = 60.0,
    sustained_seconds: Annotated[float, typer.Option(min=0, help="5,000 messages a second; 0 leaves it out")] = 600.0,
    out: Annotated[Path, typer.Option(help="folder of the report")] = REPOSITORY / "docs" / "benchmarks",
) -> None:
    """Measure drain rate, CPU per event and latency; takes about half an hour, and wants the machine for itself."""
    try:
        cli_stack.up()
        with console.status("starting") as status:
            measured = Bench(Stack(), status.update)
            drains = [(shape, measured.drain(shape, rounds)) for shape in (DENSE, SPARSE)] if rounds else []
            wanted = ((1_000, 10, latency_seconds), (5_000, 50, sustained_seconds))
            runs = [measured.run(rate, symbols, seconds) for rate, symbols, seconds in wanted if seconds]
    except TaError as error:
        errors.print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    report = render(local_settings(), drains, runs)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{datetime.now(UTC):%Y-%m-%d-%H%M}.md"
    path.write_text(report, encoding="utf-8")
    console.print(Markdown(report))
    console.print(f"written to {path}", soft_wrap=True)
