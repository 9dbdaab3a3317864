"""`ta bench`: measure on the running stack, write the report and its picture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.markdown import Markdown

from ta_pipeline import cli_stack
from ta_pipeline.bench.machine import machine
from ta_pipeline.bench.report import render
from ta_pipeline.bench.results import Results
from ta_pipeline.bench.runner import Bench
from ta_pipeline.bench.shapes import DENSE, FAST_FINALS, FEW_SYMBOLS, LATENCY, MANY_SYMBOLS, SPARSE, SUSTAINED
from ta_pipeline.errors import TaError
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.local.stack import Stack, local_settings

console = Console()
errors = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add `bench` to `app`."""
    app.command("bench")(bench)


def bench(
    rounds: Annotated[int, typer.Option(min=0, help="rounds of each drain; 0 leaves the drains out")] = 3,
    symbols_rounds: Annotated[int, typer.Option(min=0, help="10 and 1,000 symbols; 0 leaves them out")] = 2,
    latency_seconds: Annotated[float, typer.Option(min=0, help="1,000 messages/s; 0 leaves it out")] = 60.0,
    fast_seconds: Annotated[float, typer.Option(min=0, help="fast finals, 800 messages/s; 0 leaves it out")] = 60.0,
    sustained_seconds: Annotated[float, typer.Option(min=0, help="5,000 messages/s; 0 leaves it out")] = 600.0,
    reader_rounds: Annotated[int, typer.Option(min=0, help="reader, 10,000 records/s; 0 leaves it out")] = 3,
    day: Annotated[
        list[Path] | None,
        typer.Option(help="recording of one day for `ta compute`; repeat it for more files", exists=True),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder of the report")] = REPOSITORY / "docs" / "benchmarks",
) -> None:
    """Measure drain rate, CPU per event and latency; takes about an hour, and wants the machine for itself."""
    try:
        cli_stack.up()
        with console.status("starting") as status:
            measured = Bench(Stack(), status.update, lambda line: console.print(line, highlight=False, soft_wrap=True))
            flink_version = measured.flink_version
            steps: list[Callable[[], None]] = []
            if rounds:
                steps += [lambda shape=shape: measured.drains(shape, rounds) for shape in (DENSE, SPARSE)]  # type: ignore[misc]
            if symbols_rounds:
                steps.append(lambda: measured.symbols((FEW_SYMBOLS, MANY_SYMBOLS), symbols_rounds))
            markets = ((LATENCY, latency_seconds), (FAST_FINALS, fast_seconds), (SUSTAINED, sustained_seconds))
            steps += [lambda s=s, n=n: measured.run(s, n) for s, n in markets if n]  # type: ignore[misc]
            if reader_rounds:
                steps.append(lambda: measured.reading(reader_rounds))
            if day:
                steps.append(lambda: measured.compute(day))
            when = datetime.now(UTC)
            path = out / f"{when:%Y-%m-%d-%H%M}.md"
            _take(steps, measured.results, lambda: _save(measured.results, flink_version, when, path))
    except TaError as error:
        _print_error(str(error))
        raise typer.Exit(1) from None
    if measured.results.is_empty and measured.results.stopped_by:
        _print_error(measured.results.stopped_by)
        raise typer.Exit(1)
    console.print(Markdown(path.read_text(encoding="utf-8")))
    console.print(f"written to {path}", soft_wrap=True)
    if measured.results.stopped_by:
        _print_error(measured.results.stopped_by)
        raise typer.Exit(1)


def _take(steps: list[Callable[[], None]], results: Results, save: Callable[[], None]) -> None:
    """One after the other, saved after each; an error ends it, and leaves what was measured before."""
    for step in steps:
        try:
            step()
        except (TaError, psutil.Error) as error:
            results.stopped_by = str(error)
        if not results.is_empty:
            save()
        if results.stopped_by:
            return


def _save(results: Results, flink_version: str, when: datetime, path: Path) -> None:
    """The report so far, and its picture beside it."""
    from ta_pipeline.bench.picture import draw  # noqa: PLC0415 - slow, and no other command needs it

    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    drawn = draw(results, picture)
    report = render(results, local_settings(), machine(flink_version), when, picture.name if drawn else None)
    path.write_text(report, encoding="utf-8")


def _print_error(text: str) -> None:
    errors.print(f"[red]error:[/] {text}", highlight=False, soft_wrap=True)
