"""`ta feed`: a simulated market, or recordings, onto the input topics."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ta_pipeline.errors import SettingsError, TaError
from ta_pipeline.feed import FeedReport, Outgoing, recorded, send, simulated
from ta_pipeline.local.stack import local_settings
from ta_pipeline.simulator import Market
from ta_pipeline.terminal import errors, fail, is_logging

_DEFAULT = Market()
_log = logging.getLogger("ta.feed")
SAID_SECONDS = 10.0

console = Console()


def register(app: typer.Typer) -> None:
    """Add `feed` to `app`."""
    app.command("feed")(feed)


def feed(
    recordings: Annotated[list[Path] | None, typer.Argument(help="JSONL files, plain or gzip")] = None,
    fakepaca: Annotated[bool, typer.Option("--fakepaca", help="a simulated market instead of recordings")] = False,
    symbols: Annotated[
        int | None, typer.Option(help="simulated: number of symbols", show_default=str(_DEFAULT.symbols))
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="simulated: messages a second, all symbols together", show_default=f"{_DEFAULT.rate:g}"),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="simulated: length; 0 runs until Ctrl-C", show_default=f"{_DEFAULT.seconds:g}"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="simulated: the same seed gives the same market", show_default=str(_DEFAULT.seed)),
    ] = None,
    speed: Annotated[float | None, typer.Option(help="recordings: 1 is their own pace, 10 ten times as fast")] = None,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="recordings: keep their times; without --speed as fast as it goes")
    ] = False,
) -> None:
    """Send market data to the input topics; Ctrl-C ends it when all that was sent has arrived."""
    if fakepaca == bool(recordings):
        _usage("give either --fakepaca or one or more recordings")
    if fakepaca and (speed is not None or as_recorded):
        _usage("--speed and --as-recorded are for recordings, not for --fakepaca")
    options = {"symbols": symbols, "rate": rate, "seconds": seconds, "seed": seed}
    given: dict[str, Any] = {name: option for name, option in options.items() if option is not None}
    if recordings and given:
        _usage(f"{', '.join('--' + name for name in given)}: for --fakepaca, not for recordings")
    if speed is not None and speed <= 0:
        _usage(f"--speed is {speed:g}; it must be above 0")
    market = _market(given) if fakepaca else None
    pace = speed if speed is not None or as_recorded else 1.0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    try:
        settings = local_settings()
        messages: Iterator[Outgoing]
        if market is not None:
            messages = simulated(market, settings)
        else:
            messages = recorded(recordings or [], settings, speed=pace, as_recorded=as_recorded)
        with _stopped_by_signals() as stop, Progress(*columns, console=console, transient=True) as progress:
            said = _Said()
            task = progress.add_task("starting", total=market.seconds if market is not None else None)

            def show(sent: int, elapsed: float) -> None:
                each = sent / elapsed if elapsed else 0.0
                progress.update(task, description=f"{sent:,} sent, {each:,.0f}/s", completed=elapsed)
                said.at(sent, elapsed)

            report = send(settings, messages, stop=stop, progress=show)
    except TaError as error:
        fail(error)
    _show(report, paced=fakepaca or pace is not None)


class _Said:
    """Logs how far it is, every `SAID_SECONDS`, where no person sees the progress (`TA_LOG_FORMAT=json`)."""

    def __init__(self) -> None:
        self._next = SAID_SECONDS

    def at(self, sent: int, elapsed: float) -> None:
        if is_logging() and elapsed >= self._next:
            self._next = elapsed + SAID_SECONDS
            _log.info("%d messages sent, %.0f a second", sent, sent / elapsed)


def _market(given: dict[str, Any]) -> Market:
    if given.get("seconds") == 0:
        given = {**given, "seconds": None}
    try:
        return Market(**given)
    except SettingsError as error:
        _usage(str(error))


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, instead of ending the process with messages in its queue."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda _number, _frame: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _show(report: FeedReport, *, paced: bool) -> None:
    text = f"{report.total:,} in {report.seconds:.1f} s, {report.total / max(report.seconds, 1e-9):,.0f}/s"
    if paced:
        text += (
            f"; behind schedule p50 {report.delay_p50_ms:.1f} ms, p99 {report.delay_p99_ms:.1f} ms, "
            f"max {report.delay_max_ms:.1f} ms"
        )
    if is_logging():
        _log.info("%s", text)
        return
    table = Table("topic", "messages")
    for topic, count in report.sent.items():
        table.add_row(topic, f"{count:,}")
    console.print(table)
    console.print(text, highlight=False)


def _usage(text: str) -> NoReturn:
    errors.print(f"[red]error:[/] {text}", highlight=False)
    raise typer.Exit(2)
