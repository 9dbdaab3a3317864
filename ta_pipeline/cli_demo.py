"""`ta demo`: everything once, through Dagster, for someone who has never seen it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from ta_pipeline import cli_stack
from ta_pipeline.clickhouse import client_of
from ta_pipeline.demo import Demo, is_refuted, summary
from ta_pipeline.errors import TaError
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.local.stack import Stack, local_settings
from ta_pipeline.probe_report import render
from ta_pipeline.settings import Settings
from ta_pipeline.terminal import fail

AFTERWARDS_SECONDS = 15.0
"""The market goes on for so long after the upgrade."""

console = Console()


def register(app: typer.Typer) -> None:
    """Add `demo` to `app`."""
    app.command("demo")(demo)


def demo(
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="JSONL files to send instead of a simulated market", exists=True)
    ] = None,
    seconds: Annotated[float, typer.Option(min=20, help="how long to watch before anything changes")] = 40.0,
    symbols: Annotated[int, typer.Option(min=1, help="number of symbols of the simulated market")] = 8,
    rate: Annotated[float, typer.Option(min=1, help="its messages a second")] = 400.0,
    speed: Annotated[float, typer.Option(min=0.1, help="of recordings: 1 is their own pace")] = 10.0,
    keep: Annotated[bool, typer.Option("--keep", help="leave the job and the stack running")] = False,
) -> None:
    """Start the stack; bootstrap, evolve, upgrade and replay through Dagster under a market; sum up; clean up.

    Exit status 1 when something failed, or what was seen refutes a line of the summary.
    """
    # Its time runs from the command, not from where the stack is up.
    began = psutil.Process().create_time()
    stack = Stack()
    keep = keep or stack.supervisor.is_up()  # a stack that was there before is not ours to take down
    try:
        _say("1. real components: Kafka, a schema registry, S3, ClickHouse's engine, Flink")
        cli_stack.up()
        settings = local_settings()
        acts = Demo(
            settings, load_local_settings(), console,
            recordings=recordings or (), market=(symbols, rate), speed=speed, began=began,
        )  # fmt: skip
        _say("2. Dagster, job bootstrap: topics, schemas, tables, each checked; then the job")
        acts.bootstrap()
        source = (
            ", ".join(path.name for path in recordings) if recordings else f"{symbols} symbols, {rate:g} messages/s"
        )
        _say(f"3. a market ({source}), and what comes of it")
        with acts.market() as end:
            acts.watch(seconds)
            _say("4. Dagster, job declare: one more field in the bars' schema")
            acts.evolve()
            _say("5. Dagster, job upgrade: a changed setting, with a savepoint, while the market goes on")
            acts.upgrade()
            acts.watch(AFTERWARDS_SECONDS)
            _say("6. the market ends; the last seconds are committed")
            end()
        _say("7. Dagster, job validate_replay: the day once more, alone, against pandas and against what was given out")
        acts.replay()
        _say("8. what came of it")
        if acts.proof.seen is not None:
            console.print(render(acts.proof.seen))
        if settings.clickhouse_url:
            console.print(_rows(settings))
        console.print(summary(acts.proof))
        if keep:
            console.print("the job runs on: ta watch, ta health, ta feed --fakepaca, make ui; ta down ends all of it")
        else:
            _say("9. Dagster, job stop: a savepoint, from which the next start goes on; everything is taken down")
            acts.stop()
        if is_refuted(acts.proof):
            raise typer.Exit(1)
    except TaError as error:
        fail(error)
    finally:
        if not keep:
            stack.down()
            console.print("down; what was written stays in .local (make clean removes it)")


def _rows(settings: Settings) -> Table:
    client = client_of(settings)
    table = Table("table", "rows", "symbols", "newest", title="in ClickHouse", title_justify="left")
    for name in ("ta_microbars_latest", "ta_signals_latest"):
        query = "SELECT count(), uniqExact(symbol), max(event_ts) FROM {database:Identifier}.{table:Identifier}"
        (row,) = client.query(query, parameters={"database": "torghut", "table": name}).result_rows
        table.add_row(name, f"{row[0]:,}", f"{row[1]:,}", f"{row[2]:%Y-%m-%d %H:%M:%S} UTC")
    return table


def _say(text: str) -> None:
    console.print(Panel(text, border_style="cyan", expand=False))
