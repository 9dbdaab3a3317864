"""What the commands of `ta` show in the same way: errors, and the progress of what takes long."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ta_pipeline.errors import TaError
from ta_pipeline.logs.output import FORMAT_VARIABLE, STDERR, log_to

errors = Console(stderr=True)
_log = logging.getLogger("ta.cli")

Steps = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and how much there is (0: not known)."""


def is_logging() -> bool:
    """Whether no person reads what a command says of itself: `TA_LOG_FORMAT=json`."""
    return os.environ.get(FORMAT_VARIABLE) == "json"


def log_as_asked() -> None:
    """Let what a command logs, and the error that ends it, be JSON lines on standard error, where that is asked for."""
    if is_logging():
        log_to("cli", STDERR, logging.WARNING)
        logging.getLogger("ta").setLevel(logging.INFO)


def end_as_by_ctrl_c() -> None:
    """From now on SIGTERM does what Ctrl-C does: a command that has started others ends them first."""
    signal.signal(signal.SIGTERM, _interrupted)


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def fail(error: TaError, status: int = 1) -> NoReturn:
    """Print an error of ours and end the command with this exit status; as a line of a log where that is asked for."""
    if is_logging():
        _log.error("%s", error)
    else:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    raise typer.Exit(status) from None


def remark(text: str) -> None:
    """Say on standard error what is no error and no answer; as a line of a log where that is asked for."""
    if is_logging():
        _log.warning("%s", text)
    else:
        errors.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def steps(console: Console) -> Iterator[Steps]:
    """Show the step that is at work, as a bar where its size is known; gone when the block ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)
        yield lambda step, done, everything: progress.update(
            task, description=step, completed=done, total=everything or None
        )
