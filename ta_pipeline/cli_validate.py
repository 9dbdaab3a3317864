"""`ta validate`: replay a day through the job and compare every value with pandas; green or red."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ta_pipeline.decode import epoch_ms
from ta_pipeline.errors import RecordingError, SettingsError, TaError
from ta_pipeline.local.stack import local_settings
from ta_pipeline.recordings import read
from ta_pipeline.replay.inputs import ALL, cut_day, day_bounds, day_of, recordings_of
from ta_pipeline.replay.verdict import Comparison, FieldVerdict
from ta_pipeline.settings import Settings, parse_overrides
from ta_pipeline.terminal import fail, steps

if TYPE_CHECKING:  # they need pandas
    from ta_pipeline.replay.compare import Frames
    from ta_pipeline.replay.validate import Progress as Told
    from ta_pipeline.replay.validate import Replay

RED, NOT_JUDGED = 1, 2
console = Console()

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="TA_X=Y", help="override one setting")]


def register(app: typer.Typer) -> None:
    """Add `validate` to `app`."""
    app.command("validate")(validate_command)


def validate_command(
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(help="JSONL files, plain or gzip; none: those of --day in TA_RECORDINGS_DIR"),
    ] = None,
    symbol: Annotated[str, typer.Option(help="only this symbol")] = ALL,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="only this day")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for report.md, its pictures and the job's output")] = None,
    topics: Annotated[bool, typer.Option("--topics", help="read the day from the input topics")] = False,
    production: Annotated[
        bool, typer.Option("--production", help="compare with what production gave out for --day, too")
    ] = False,
    overrides: Overrides = None,
    job_only: Annotated[
        list[str] | None,
        typer.Option(
            "--job-set", metavar="TA_X=Y", help="a setting of the job alone: shows that the verdict turns red"
        ),
    ] = None,
) -> None:
    """Replay a day through the job, alone, and compare every bar and signal with an independent computation.

    Exit status: 0 green, 1 red, 2 it could not be judged.
    """
    from ta_pipeline.replay.validate import validate  # noqa: PLC0415 - slow, and no other command needs it

    try:
        settings = local_settings(**parse_overrides(overrides or []))
        of_job = parse_overrides(job_only or [])
        with _scratch(out) as scratch, steps(console) as told:
            files, source = _messages(recordings, settings, day, symbol, scratch, topics=topics, told=told)
            emitted = _emitted(settings, day, symbol, told) if production else None
            named = f"{day:%Y-%m-%d}" if day else _day_of(files, settings)
            replay = validate(
                files, scratch / "output", settings, day=named, symbol=symbol, source=source, job_only=of_job,
                emitted=emitted, progress=told,
            )  # fmt: skip
            report = _report(replay, out) if out else None
    except TaError as error:
        fail(error, NOT_JUDGED)
    _print(replay)
    if report:
        console.print(f"report: {report}", soft_wrap=True, highlight=False)
    if not replay.verdict.is_green:
        raise typer.Exit(RED)


def _messages(
    recordings: list[Path] | None,
    settings: Settings,
    day: datetime | None,
    symbol: str,
    scratch: Path,
    *,
    topics: bool,
    told: Told,
) -> tuple[list[Path], str]:
    """The files to replay, and where they are from."""
    from ta_pipeline.replay.topics import record_day  # noqa: PLC0415 - as above

    if topics:
        if recordings:
            raise SettingsError("give recordings or --topics, not both")
        bounds = day_bounds(_given(day, "--topics"), settings)
        files = record_day(settings, bounds, symbol, scratch / "topics", progress=lambda n: told("topics", n, 0))
        return files, f"topics {', '.join(settings.input_topics)}"
    files = recordings or recordings_of(settings, _given(day, "a replay without recordings named"), symbol)
    source = ", ".join(path.name for path in files)
    if day is not None and recordings:
        told("cutting", 0, 0)
        return [cut_day(files, day_bounds(day.date(), settings), scratch / "recording.jsonl")], source
    return files, source


def _emitted(settings: Settings, day: datetime | None, symbol: str, told: Told) -> Frames:
    from ta_pipeline.replay.topics import emitted_frames  # noqa: PLC0415 - as above

    bounds = day_bounds(_given(day, "--production"), settings)
    return emitted_frames(settings, bounds, symbol, progress=lambda n: told("production", n, 0))


def _report(replay: Replay, out: Path) -> Path:
    from ta_pipeline.replay.report import write_report  # noqa: PLC0415 - as above: it draws

    return write_report(replay, out)


def _given(day: datetime | None, by: str) -> date:
    if day is None:
        raise SettingsError(f"{by} needs --day, like --day 2018-01-02")
    return day.date()


def _day_of(files: list[Path], settings: Settings) -> str:
    """The day that the first message belongs to."""
    time = next((record.time for record in read(files) if record.time), None)
    if time is None:
        raise RecordingError(f"{', '.join(map(str, files))}: no message has a time")
    return day_of(epoch_ms(f"{time}Z"), settings).isoformat()


@contextmanager
def _scratch(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="ta-validate-") as folder:
        yield Path(folder)


def _print(replay: Replay) -> None:
    for comparison in replay.verdict.comparisons:
        console.print(_table(comparison))
        for note in comparison.notes:
            console.print(f"  {note}", highlight=False, soft_wrap=True)
    problems = replay.verdict.problems()
    for line in problems:
        console.print(f"[red]-[/] {line}", highlight=False, soft_wrap=True)
    for example in [one for comparison in replay.verdict.comparisons for one in comparison.examples()]:
        console.print(f"    {example}", highlight=False, soft_wrap=True)
    read_ = ", ".join(f"{count:,} {kind}" for kind, count in replay.read.items() if count)
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in replay.steps.items())
    console.print(f"read {read_}; {replay.seconds:.1f} s in all: {steps}", highlight=False, soft_wrap=True)
    colour, word = ("green", "GREEN") if replay.verdict.is_green else ("red", "RED")
    console.print(f"[{colour}]{word}[/] {replay.verdict.summary()}", highlight=False, soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    title = f"{comparison.found_side} against {comparison.expected_side}"
    names = ("", "expected", "missing", "extra", "differ", "largest", "tolerance", "share of it")
    table = Table(*names, title=title, title_justify="left")
    for verdict in comparison.tables:
        table.add_row(
            f"[bold]{verdict.name}[/]", f"{verdict.expected:,}", _count(verdict.missing), _count(verdict.extra),
            _count(verdict.differences),
        )  # fmt: skip
        for field in verdict.fields:
            if field.unequal:
                share = "" if math.isinf(field.worst_share) else f"{field.worst_share:.1e}"
                cells = (_count(field.differences), _largest(field), field.tolerance, share)
                table.add_row(f"  {field.name}", "", "", "", *cells)
        equal = [field.name for field in verdict.fields if not field.unequal]
        if equal:
            table.add_row(
                "  the other fields" if len(equal) < len(verdict.fields) else "  every field", "", "", "", "0", "equal"
            )
    return table


def _largest(field: FieldVerdict) -> str:
    nulls = f", {field.nulls_on_one_side:,} nulls" if field.nulls_on_one_side else ""
    return f"{field.worst_relative:.1e}{nulls}"


def _count(number: int) -> str:
    return f"[red]{number:,}[/]" if number else "0"
