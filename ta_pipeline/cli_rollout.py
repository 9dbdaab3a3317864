"""`ta rollout plan | history | status | abandon`: what a rollout would do, what the last ones did, how far one is.

Rollouts are started in Dagster (jobs bootstrap, upgrade, rollback, stop).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from ta_pipeline.errors import TaError
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.service import Rollouts
from ta_pipeline.terminal import fail

console = Console()
rollout = typer.Typer(name="rollout", help="What a rollout would do, and what the last ones did.", no_args_is_help=True)
_COLOURS = {"running": "green", "rolled back": "red", "stopped": "yellow"}


def register(app: typer.Typer) -> None:
    """Add `rollout` to `app`."""
    app.add_typer(rollout)


@rollout.command("plan")
def plan() -> None:
    """Show what rolling out the declared settings and code would do; exit status 1 when it is blocked."""
    with _explained():
        found = Rollouts(Platform.here()).plan(Options())
    console.print(str(found), highlight=False, soft_wrap=True)
    if found.blockers:
        raise typer.Exit(1)


@rollout.command("history")
def history() -> None:
    """Show the revisions, the newest last."""
    with _explained():
        revisions = Rollouts(Platform.here()).revisions.all()
    table = Table("revision", "at", "outcome", "settings", "code", "downtime", "restored from", "why")
    for revision in revisions:
        table.add_row(*_cells(revision))
    console.print(table)


@rollout.command("status")
def status() -> None:
    """Show how far the newest rollout is; exit status 1 when it failed or was left by a process that died."""
    with _explained():
        rollouts = Rollouts(Platform.here())
        found = rollouts.journal.load()
        is_alone = found is not None and rollouts.is_alone(found)
    if found is None:
        console.print("there was no rollout yet")
        return
    began = datetime.fromtimestamp(found.started_at, UTC)
    state = "left by a process that has died; run it again to finish it" if is_alone else found.step
    console.print(f"{found.kind} {found.id}, begun {began:%Y-%m-%d %H:%M:%S} UTC: {state}", soft_wrap=True)
    if found.error:
        console.print(found.error, soft_wrap=True, highlight=False)
    if is_alone or found.step in {"failed", "rolled back"}:
        raise typer.Exit(1)


@rollout.command("abandon")
def abandon() -> None:
    """Give up a rollout that was left and cannot be finished; what runs is left as it is."""
    with _explained():
        found = Rollouts(Platform.here()).abandon()
    console.print(f"{found.kind} {found.id}: {found.error}", soft_wrap=True, highlight=False)


def _cells(revision: Revision) -> tuple[str, ...]:
    downtime = "" if revision.downtime_seconds is None else f"{revision.downtime_seconds:.1f} s"
    colour = _COLOURS[revision.outcome]
    return (
        str(revision.number),
        revision.at,
        f"[{colour}]{revision.outcome}[/]",
        revision.settings_hash,
        revision.release,
        downtime,
        revision.restored_from or "",
        revision.reason or "",
    )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except TaError as error:
        fail(error)
