"""`ta savepoint take | list | verify | prune`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ta_pipeline.errors import S3Error, TaError
from ta_pipeline.platform import Platform
from ta_pipeline.release_retention import apply_release_retention, release_retention_of
from ta_pipeline.savepoints.catalog import Catalog, read_catalog, save_catalog
from ta_pipeline.savepoints.retention import RetentionPlan, apply_retention, retention_of
from ta_pipeline.savepoints.savepoint import Savepoint
from ta_pipeline.savepoints.take import take as take_savepoint
from ta_pipeline.savepoints.tools import state_reader
from ta_pipeline.savepoints.verify import judged
from ta_pipeline.savepoints.verify import verify as verify_savepoint
from ta_pipeline.terminal import errors, fail

console = Console()
savepoint = typer.Typer(
    name="savepoint", help="Take, list, verify and delete savepoints of the job.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add `savepoint` to `app`."""
    app.add_typer(savepoint)


@savepoint.command("take")
def take() -> None:
    """Take a savepoint of the running job, now; print its path."""
    try:
        platform = Platform.here()
        with console.status("taking the savepoint"):
            taken = take_savepoint(platform.settings, platform.job, "manual", datetime.now(UTC))
    except TaError as error:
        fail(error)
    console.print(taken.savepoint.path, soft_wrap=True, highlight=False)
    console.print(f"{_size(taken.savepoint.bytes)} in {taken.seconds:.1f} s")
    _tell([taken.trouble] if taken.trouble else [])


@savepoint.command("list")
def list_() -> None:
    """Show every savepoint: when, how large, of which revision, verified when, and why it is kept."""
    try:
        settings = Platform.here().settings
        catalog = read_catalog(settings)
        plan = retention_of(settings, catalog, datetime.now(UTC))
    except TaError as error:
        fail(error)
    console.print(_table(catalog, plan))
    console.print(f"in {settings.savepoint_dir}", soft_wrap=True, highlight=False)
    _tell([*catalog.unknown, *catalog.notes])


@savepoint.command("verify")
def verify(
    path: Annotated[str, typer.Argument(help="path, or name of its folder; default: the newest complete one")] = "",
) -> None:
    """Check that a savepoint is whole and its metadata readable; exit status 1 when it is not."""
    try:
        platform = Platform.here()
        catalog = read_catalog(platform.settings)
        found = catalog.find(path) if path else catalog.newest
        if found is None:
            raise S3Error(f"no savepoint {path} in {platform.settings.savepoint_dir}; see `ta savepoint list`")
        with console.status(f"reading {found.name}"):
            problems = verify_savepoint(platform.settings, found, state_reader(platform))
        now = datetime.now(UTC)
        trouble = save_catalog(platform.settings, catalog.replaced(judged(found, problems, now)), now)
    except TaError as error:
        fail(error)
    console.print(found.path, soft_wrap=True, highlight=False)
    for problem in problems:
        console.print(f"[red]damaged:[/] {problem}", soft_wrap=True, highlight=False)
    if not problems:
        console.print(f"[green]verified:[/] {found.files} files, {_size(found.bytes)}, its metadata can be read")
    _tell([trouble] if trouble else [])
    if problems:
        raise typer.Exit(1)


@savepoint.command("prune")
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be deleted, and delete nothing")] = False,
) -> None:
    """Delete the savepoints, and the copies of the code, that nothing needs any more; the job may be down."""
    now = datetime.now(UTC)
    try:
        platform = Platform.here()
        settings, local = platform.settings, platform.local
        catalog = read_catalog(settings)
        plan = retention_of(settings, catalog, now)
        console.print(_table(catalog, plan))
        deleted = [] if dry_run else apply_retention(settings, plan, now, console.print)
        releases: Sequence[str] = ()
        if not plan.unknown:
            of_code = release_retention_of(settings, local, now)
            releases = of_code.delete if dry_run else apply_release_retention(settings, local, now)
    except TaError as error:
        fail(error)
    _tell([*plan.unknown, *catalog.notes])
    if plan.unknown:
        console.print("nothing was deleted: what is not known may be needed")
    elif dry_run:
        console.print(f"{len(plan.delete)} would be deleted, and {len(releases)} copies of the code")
    else:
        console.print(f"{len(deleted)} deleted, {len(plan.keep)} kept; {len(releases)} copies of the code deleted")


def _table(catalog: Catalog, plan: RetentionPlan) -> Table:
    table = Table("taken (UTC)", "name", "size", "revision", "kind", "verified (UTC)", "kept because")
    for one in catalog.savepoints:
        kept = plan.why(one)
        table.add_row(
            _when(one.taken_at),
            one.name,
            _size(one.bytes),
            "" if one.revision is None else str(one.revision),
            one.kind,
            _verified(one),
            kept or "[yellow]not kept[/]",
        )
    return table


def _verified(one: Savepoint) -> str:
    if not one.complete:
        return "[red]incomplete[/]"
    if one.problem:
        return f"[red]{one.problem}[/]"
    return _when(one.verified_at) if one.verified_at else ""


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _size(number: int) -> str:
    return f"{number / 2**20:.1f} MiB" if number >= 2**20 else f"{number / 2**10:.1f} KiB"


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        errors.print(f"[yellow]note:[/] {note}", highlight=False, soft_wrap=True)
