"""`ta demo`: everything once, for someone who has never seen it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from ta_pipeline import cli_job, cli_stack
from ta_pipeline.clickhouse import client_of
from ta_pipeline.errors import TaError
from ta_pipeline.feed import FeedReport, send, simulated
from ta_pipeline.local.stack import Stack, local_settings
from ta_pipeline.probe import probe
from ta_pipeline.probe_report import render
from ta_pipeline.settings import Settings
from ta_pipeline.simulator import Market
from ta_pipeline.watch import watch

console = Console()
errors = Console(stderr=True)
SETTLE_SECONDS = 5


def register(app: typer.Typer) -> None:
    """Add `demo` to `app`."""
    app.command("demo")(demo)


def demo(
    seconds: Annotated[float, typer.Option(min=20, help="how long the market lasts")] = 60.0,
    symbols: Annotated[int, typer.Option(min=1, help="number of symbols")] = 8,
    rate: Annotated[float, typer.Option(min=1, help="messages a second")] = 400.0,
    keep: Annotated[bool, typer.Option("--keep", help="leave the job and the stack running")] = False,
) -> None:
    """Start the stack and the job, stream a simulated market through it, show the signals, sum up, clean up."""
    stack = Stack()
    keep = keep or stack.supervisor.is_up()  # a stack that was there before is not ours to take down
    try:
        _say("1. real components: Kafka, a schema registry, S3, ClickHouse's engine, Flink")
        cli_stack.up()
        _say("2. the job, on Flink: deployed when it has completed a checkpoint")
        cli_job.run()
        settings = local_settings()
        _say(f"3. a simulated market: {symbols} symbols, {rate:g} messages a second, {seconds:g} s")
        _stream(settings, Market(symbols, rate, seconds), seconds)
        cli_job.status()
        if keep:
            console.print("the job runs on: ta watch, ta probe, ta feed --fakepaca; ta job stop and ta down end it")
        else:
            _say("5. stop with a savepoint, and take everything down")
            cli_job.stop()
    except TaError as error:
        errors.print(f"[red]error:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    finally:
        if not keep:
            stack.down()
            console.print("down; what was written stays in .local (make clean removes it)")


def _stream(settings: Settings, market: Market, seconds: float) -> None:
    # The last finals are committed a watermark delay and a checkpoint after the last trade.
    tail = (settings.max_out_of_orderness_ms + 1.5 * settings.checkpoint_interval_ms) / 1_000 + SETTLE_SECONDS
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        fed = pool.submit(send, settings, simulated(market, settings), stop=stop)
        seen = pool.submit(probe, settings, seconds + tail, stop=stop)
        try:
            watch(settings, seconds=seconds + tail, console=console)
            report, probed = fed.result(), seen.result()
        finally:
            stop.set()
    _say("4. what came of it")
    console.print(_fed(report), render(probed))
    if settings.clickhouse_url:
        console.print(_rows(settings))


def _fed(report: FeedReport) -> Table:
    table = Table("sent to", "messages", title="in", title_justify="left")
    for topic, count in report.sent.items():
        table.add_row(topic, f"{count:,}")
    return table


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
