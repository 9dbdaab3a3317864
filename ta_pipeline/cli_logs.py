"""`ta logs`: what the components of the local stack have logged, together and by time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ta_pipeline.errors import LogError, TaError
from ta_pipeline.local.settings import GROUPS
from ta_pipeline.local.stack import Stack
from ta_pipeline.logs.files import LogFile
from ta_pipeline.logs.lines import Line
from ta_pipeline.logs.places import PLACES, folders, log_files, look
from ta_pipeline.logs.query import Query, answer, follow, minimum_of, seconds_between_looks, since_of
from ta_pipeline.logs.view import as_json, as_text, style_of
from ta_pipeline.terminal import fail, remark

LINES = 50
"""How many are shown where nothing says from when on."""

console = Console()


def register(app: typer.Typer) -> None:
    """Add `logs` to `app`."""
    app.command("logs")(logs)


def logs(
    component: Annotated[
        list[str] | None, typer.Argument(help=f"of {', '.join(PLACES)}, {', '.join(GROUPS)}; default: all")
    ] = None,
    symbol: Annotated[str, typer.Option(help="only lines about this symbol")] = "",
    since: Annotated[str, typer.Option(help="from then on: 90s, 5m, 2h, 1d ago, or a time in RFC 3339")] = "",
    level: Annotated[str, typer.Option(help="at least this grave: INFO, WARN, ERROR, FATAL")] = "",
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="keep printing what is added")] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-n", min=0, help="so many from the end, 0: all", show_default="50, all with --since"),
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="one JSON object a line, docs/logs.md")] = False,
) -> None:
    """Print what the components have logged, together and by time."""
    try:
        names = named(component or [])
        query = Query(symbol, minimum_of(level) if level else "", since_of(since, time.time()) if since else None)
    except LogError as error:
        fail(error, 2)
    try:
        directory = Stack().local.dir
    except TaError as error:
        fail(error)
    _require_logs(directory, names, is_asked=bool(component), is_followed=follow_)
    files = log_files(directory, names)
    wanted = lines if lines is not None else (0 if since else LINES)
    shown = 0
    try:
        for line in answer(files, query, wanted or None, is_followed=follow_):
            shown += 1
            _show(line, is_json=as_json_, with_component=len(names) > 1)
        if not shown:
            remark(_nothing(symbol, level, since))
        if follow_:
            for line in follow(_growing(directory, names, files), query, seconds_between_looks):
                _show(line, is_json=as_json_, with_component=len(names) > 1)
    finally:
        for file in files:
            file.close()


def _require_logs(directory: Path, names: tuple[str, ...], *, is_asked: bool, is_followed: bool) -> None:
    """End the command where no log can be read, and say which of them cannot."""
    found = look(directory, names)
    for why in found.refused:
        remark(f"not shown: {why}")
    if found.readable:
        return
    where = " and ".join(str(folder) for folder in folders(directory, names))
    whose = ", ".join(names) if is_asked else "all components"
    if found.refused:
        fail(LogError(f"no log in {where} can be read; ask as the user who started the stack"))
    if is_followed:
        remark(f"no log in {where} yet; waiting for it")
        return
    fail(
        LogError(
            f"{whose}: not logged yet, there is no file in {where}; `ta up` starts the stack, and TA_LOCAL_DIR says "
            "where that is"
        )
    )


def _nothing(symbol: str, level: str, since: str) -> str:
    """What is said when there are logs, and no line is wanted."""
    asked = {"--symbol": symbol, "--level": level, "--since": since}
    text = " ".join(f"{name} {value}" for name, value in asked.items() if value)
    if not text:
        return "the logs have no line"
    hint = f"; symbols are upper case: --symbol {symbol.upper()}" if symbol != symbol.upper() else ""
    return f"no line matches {text}{hint}"


def named(components: list[str]) -> tuple[str, ...]:
    """The components that are asked for, groups resolved; all of them when none is.

    Raises:
        LogError: there is no such component.
    """
    if unknown := [name for name in components if name not in PLACES and name not in GROUPS]:
        raise LogError(f"no such component: {', '.join(unknown)}; there are {', '.join([*PLACES, *GROUPS])}")
    asked = {part for name in components for part in GROUPS.get(name, (name,))}
    return tuple(name for name in PLACES if not asked or name in asked)


def _growing(directory: Path, names: tuple[str, ...], files: list[LogFile]) -> Callable[[], list[LogFile]]:
    """The files, and those that come into being while they are followed: a rollout has one of its own."""

    def look() -> list[LogFile]:
        known = {file.path for file in files}
        files.extend(file for file in log_files(directory, names) if file.path not in known)
        return files

    return look


def _show(line: Line, *, is_json: bool, with_component: bool) -> None:
    text = as_json(line) if is_json else as_text(line, with_component=with_component)
    if console.is_terminal and not is_json:
        console.print(text, style=style_of(line), markup=False, highlight=False, soft_wrap=True)
    else:
        typer.echo(text)
