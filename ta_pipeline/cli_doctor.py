"""`ta doctor`: what is wrong with transactions, whose they are, and the end of one that hangs."""

from __future__ import annotations

import time
from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ta_pipeline.errors import KafkaSetupError, TaError
from ta_pipeline.platform import Platform
from ta_pipeline.settings import Settings
from ta_pipeline.terminal import fail
from ta_pipeline.transactions.doctor import (
    BETWEEN_SECONDS,
    Report,
    abort_hanging,
    abort_transaction,
    chosen,
    chosen_hanging,
    examine,
    reasons_to_keep,
)
from ta_pipeline.transactions.look import Look, Transaction

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "bold red", "unknown": "red", "asleep": "dim"}

console = Console()


def register(app: typer.Typer) -> None:
    """Add `doctor` to `app`."""
    app.command("doctor")(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="print what was found as JSON")] = False,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=60, help="between the two looks at each partition")
    ] = BETWEEN_SECONDS,
    abort: Annotated[str, typer.Option(metavar="ID", help="abort the open transaction of this transactional id")] = "",
    abort_lost: Annotated[
        str,
        typer.Option(
            "--abort-hanging", metavar="TOPIC[PARTITION]", help="abort what hangs there and no coordinator knows"
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="abort without asking")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="abort though a running or restored job may still commit it")
    ] = False,
) -> None:
    """Examine the transactions on Kafka; exit status 1 when something is bad or not known."""
    try:
        settings = Platform.here().settings
        report = examine(settings, _now_ms, seconds)
        if abort:
            _abort(settings, report, abort, yes=yes, force=force)
        if abort_lost:
            _abort_hanging(settings, report, abort_lost, yes=yes)
        if abort or abort_lost:
            report = examine(settings, _now_ms, seconds)
    except TaError as error:
        fail(error)
    if as_json:
        typer.echo(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        _show(report)
    if not report.is_well:
        raise typer.Exit(1)


def _abort(settings: Settings, report: Report, transactional_id: str, *, yes: bool, force: bool) -> None:
    """Show the transaction, ask, abort it.

    Raises:
        KafkaSetupError: it must not be aborted, or cannot be.
    """
    transaction = chosen(report, transactional_id)
    owner, reasons = report.found.owner(transaction), reasons_to_keep(report, transaction)
    # What is asked is no part of the answer: that may be JSON.
    typer.echo(_described(report, transaction), err=True)
    if reasons and not force:
        raise KafkaSetupError(
            f"{transactional_id} is not aborted: {'; '.join(reasons)}; what it holds would be lost to readers of "
            "committed records; --force does it all the same"
        )
    for reason in reasons:
        typer.echo(f"aborted all the same, what it holds is lost: {reason}", err=True)
    _confirm("the transactional id", transactional_id, yes=yes)
    abort_transaction(settings, transaction, owner, forced=force)
    typer.echo(f"aborted the transaction of {transactional_id}", err=True)


def _abort_hanging(settings: Settings, report: Report, place: str, *, yes: bool) -> None:
    """Show what hangs, ask, abort it.

    Raises:
        KafkaSetupError: nothing hangs there, or it cannot be aborted.
    """
    hanging = chosen_hanging(report, place)
    typer.echo(f"{hanging}: no coordinator knows it, so no timeout ends it", err=True)
    _confirm("the partition", place, yes=yes)
    abort_hanging(settings, hanging)
    typer.echo(f"aborted what hung in {place}", err=True)


def _confirm(what: str, wanted: str, *, yes: bool) -> None:
    if not yes and typer.prompt(f"type {what} to abort it", err=True) != wanted:
        raise KafkaSetupError(f"that is not {wanted}: nothing was aborted")


def _described(report: Report, transaction: Transaction) -> str:
    now = report.found.look
    places = [one for one in now.partitions if one.place in transaction.partitions]
    held = ", ".join(f"{one} (readers at {one.stable:,} of {one.end:,})" for one in places)
    return (
        f"{transaction.id}: {transaction.state}, open for {transaction.age_seconds(now.at_ms):.0f} s of "
        f"{transaction.timeout_ms / 1_000:g} s, producer {transaction.producer_id} epoch {transaction.epoch}\n"
        f"  holds {held or 'no partition'}\n"
        f"  {report.found.owner(transaction).text}"
    )


def _show(report: Report) -> None:
    if (opened := _open_table(report)).row_count:
        console.print(opened)
    if (behind := _behind_table(report)).row_count:
        console.print(behind)
    table = Table("", "state", "what was found", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for verdict in report.verdicts:
        said = f"see {verdict.caused_by}" if verdict.caused_by else verdict.message
        # As text: brackets in what the broker says are no markup.
        table.add_row(verdict.name, Text(verdict.state, style=_COLOURS[verdict.state]), Text(said))
    console.print(table)


def _open_table(report: Report) -> Table:
    """Prefixes with something open, and ours."""
    table = Table("prefix", "owner", "ids", "open", "age", "state", "partitions", box=box.SIMPLE_HEAD)
    now = report.found.now
    if not isinstance(now, Look):
        return table
    for one in report.prefixes:
        if not one.open and one.owner.kind == "foreign":
            continue
        ids = str(one.ids)
        if not one.open:
            table.add_row(Text(one.prefix), one.owner.kind, ids, "none")
        for number, open_one in enumerate(one.open):
            places = ", ".join(f"{topic}[{partition}]" for topic, partition in open_one.partitions)
            first = (Text(one.prefix), one.owner.kind, ids) if number == 0 else ("", "", "")
            age = f"{open_one.age_seconds(now.at_ms):.1f} s"
            table.add_row(*first, Text(open_one.id), age, open_one.state, Text(places))
    return table


def _behind_table(report: Report) -> Table:
    """Partitions that committed readers cannot read to the end."""
    table = Table("partition", "last stable offset", "end", "", box=box.SIMPLE_HEAD)
    if isinstance(report.found.now, Look):
        for one in report.found.now.partitions:
            if one.waiting:
                state = "stands still" if report.stands_still(one) else "moves"
                table.add_row(Text(str(one)), f"{one.stable:,}", f"{one.end:,}", state)
    return table


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
