"""`ta recover`: the state is gone, or what was pre-committed was aborted. Shows what it would do, then asks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ta_pipeline.errors import FlinkNoAnswerError, SettingsError, TaError
from ta_pipeline.local.jobs import forget_jobs, record_is_gone
from ta_pipeline.local.s3 import HIGH_AVAILABILITY_DIR
from ta_pipeline.platform import Platform
from ta_pipeline.recovery.gap import Gap, Refill, find_gap
from ta_pipeline.recovery.service import VERIFY_SECONDS, Recovery
from ta_pipeline.recovery.settled import is_settled
from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.savepoints.take import take as take_savepoint
from ta_pipeline.terminal import errors, fail

console = Console()
GAP_HOURS = 24
"""How far back a gap is looked for, unless somebody says."""


def register(app: typer.Typer) -> None:
    """Add `recover` to `app`."""
    app.command("recover")(recover)


def recover(
    since: Annotated[
        str,
        typer.Option(
            "--from",
            help="RFC 3339. Rebuild: read the inputs from here on, not from the earliest retained. "
            f"--gap: look at what was written since; default {GAP_HOURS} h ago",
        ),
    ] = "",
    gap: Annotated[
        bool, typer.Option("--gap", help="the job runs: give out what it had computed and Kafka has aborted")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    ignore_states: Annotated[
        bool, typer.Option("--ignore-states", help="rebuild although there are savepoints or checkpoints")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget-jobs",
            help="local: the JobManager does not start, because what it kept in S3 is gone too: start it without jobs",
        ),
    ] = False,
    verify_seconds: Annotated[
        float, typer.Option(min=1, help="how long the job may take to its first checkpoint")
    ] = VERIFY_SECONDS,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="how long to wait for the job to catch up, and take a savepoint then")
    ] = 3_600.0,
) -> None:
    """Rebuild the job from its inputs when its state is gone; --gap: give out what was aborted (docs/recovery.md)."""
    try:
        platform = Platform.here()
        if gap:
            _close_gap(platform, _epoch_ms(since) if since else _hours_ago(GAP_HOURS), yes=yes)
        else:
            start_ms = _epoch_ms(since) if since else None
            recovery = Recovery(platform, start_ms=start_ms, ignore_states=ignore_states)
            if forget and not platform.is_local:
                raise SettingsError("--forget-jobs is for the local stack; on Kubernetes the operator keeps the record")
            if forget:
                forget_jobs(platform.local, platform.settings, _say)
            _rebuild(recovery, verify_seconds, wait_seconds, yes=yes)
    except TaError as error:
        fail(error)


def _rebuild(recovery: Recovery, verify_seconds: float, wait_seconds: float, *, yes: bool) -> None:
    try:
        with console.status("looking at Flink, S3 and Kafka"):
            planned = recovery.plan()
    except FlinkNoAnswerError as error:
        # On Kubernetes it lies elsewhere: docs/runbooks.md says what to do there.
        if not recovery.platform.is_local or not record_is_gone(recovery.platform.settings):
            raise
        raise FlinkNoAnswerError(
            f"{error}\nwhat it keeps of its jobs in {HIGH_AVAILABILITY_DIR} is gone, so it cannot start with them: "
            "`ta recover --forget-jobs` starts it without"
        ) from None
    _say(str(planned))
    if planned.blockers:
        raise typer.Exit(1)
    if not yes:
        typer.confirm("rebuild the job?", abort=True)
    ended = recovery.start(_say, verify_seconds)
    _say(f"revision {ended.revision}: job {ended.job_id} runs, rebuilt from its inputs")
    if not wait_seconds:
        return
    with console.status("catching up") as status:
        caught_up = recovery.await_caught_up(ended, wait_seconds, status.update)
    _say(f"{caught_up.withheld:,} records were on the topics already, and were not given out again")
    if caught_up.seconds is None:
        errors.print(
            f"[yellow]note:[/] after {wait_seconds:g} s {caught_up.left:,} records of the inputs are left to read; the "
            "job goes on; take a savepoint when it is through: ta savepoint take",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
        raise typer.Exit(1)
    _say(f"caught up after {caught_up.seconds:.1f} s")
    _take_savepoint(recovery.platform, ended)


def _take_savepoint(platform: Platform, ended: Rollout) -> None:
    """A state exists again."""
    current = ended.target.on(platform)
    taken = take_savepoint(current.settings, current.job, "manual", datetime.now(UTC))
    _say(f"savepoint {taken.savepoint.path}")


def _close_gap(platform: Platform, since_ms: int, *, yes: bool) -> None:
    settings = platform.settings
    with console.status("reading the final topics, committed and not"):
        found = find_gap(settings, since_ms)
    settled = False
    if found.undecided:
        with console.status("waiting for two checkpoints: is the job through with its inputs?"):
            settled = is_settled(platform)
        found = find_gap(settings, since_ms, is_settled=settled)
    _say(f"looked at what was written since {_instant(since_ms)}: {found.aborted:,} aborted records")
    if found.undecided:
        margin = timedelta(milliseconds=settings.revision_horizon_ms + settings.max_out_of_orderness_ms)
        _say(
            f"{found.undecided:,} of them are too young to tell: the job may still compute them again; look again when "
            f"the market is {margin.total_seconds():g} s further"
        )
    if not found.lost:
        _say("nothing is lost" if not found.undecided else "nothing is lost as far as can be told")
        return
    console.print(_table(found))
    if not yes:
        typer.confirm("give them out, with the same keys and values?", abort=True)
    begun = time.monotonic()
    given = Refill(settings).run(since_ms, is_settled=settled)
    _say(f"{len(given.lost):,} records given out in one transaction, {time.monotonic() - begun:.1f} s")


def _table(found: Gap) -> Table:
    first, last = found.extent_ms or (None, None)
    table = Table("topic", "lost", title=f"aborted and never given out again: {_instant(first)} to {_instant(last)}")
    for topic, count in found.by_topic.items():
        table.add_row(topic, f"{count:,}")
    return table


def _epoch_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--from is {text!r}; allowed is RFC 3339, like 2026-07-21T08:00:00Z") from None
    if moment.tzinfo is None:
        raise SettingsError(f"--from is {text!r}, without a zone; allowed is RFC 3339, like 2026-07-21T08:00:00Z")
    return int(moment.timestamp() * 1_000)


def _hours_ago(hours: int) -> int:
    return int((datetime.now(UTC) - timedelta(hours=hours)).timestamp() * 1_000)


def _instant(ms: int | None) -> str:
    return "-" if ms is None else datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
