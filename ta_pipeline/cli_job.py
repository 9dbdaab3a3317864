"""`ta job run | stop | status` on the cluster, and `ta compute` on recordings."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ta_pipeline.breakers import ask_breakers
from ta_pipeline.compute import compute as compute_recordings
from ta_pipeline.errors import TaError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kubernetes.deployment import rest_url
from ta_pipeline.platform import Platform
from ta_pipeline.preflight import problems
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.outage import outage_note
from ta_pipeline.runtime import JobStatus
from ta_pipeline.settings import Settings, load_settings, parse_overrides
from ta_pipeline.terminal import errors, fail, steps

console = Console()
job = typer.Typer(name="job", help="Run, stop and look at the job on the cluster.", no_args_is_help=True)

Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="TA_X=Y", help="override one setting")]


def register(app: typer.Typer) -> None:
    """Add `job` and `compute` to `app`."""
    app.add_typer(job)
    app.command("compute")(compute)


@job.command("run")
def run(
    from_savepoint: Annotated[str, typer.Option(help="savepoint or retained checkpoint to restore")] = "",
    overrides: Overrides = None,
) -> None:
    """Submit the job and wait until it is RUNNING with a completed checkpoint."""
    try:
        platform = Platform.here(**parse_overrides(overrides or []))
        settings, runtimes = platform.settings, platform.runtimes
        found = problems(settings)
        if found:
            raise typer.Exit(_refuse(found))
        if from_savepoint and (note := outage_note(settings, from_savepoint, RevisionStore(settings).newest())):
            errors.print(f"[yellow]note:[/] {note}", highlight=False, soft_wrap=True)
        for runtime in runtimes:
            # The table job's place is in its consumer group, not in the savepoint of the job.
            restore_from = from_savepoint or None if runtime is runtimes[0] else None
            with console.status("starting") as status:
                deployment = runtime.deploy(restore_from=restore_from, report=status.update)
            restored = f", restored from {restore_from}" if restore_from else ""
            console.print(
                f"[green]RUNNING[/] {deployment.name} (job {deployment.job_id}){restored}: first checkpoint after "
                f"{deployment.seconds:.1f} s",
                soft_wrap=True,
            )
    except TaError as error:
        fail(error)
    console.print(f"watch it: ta watch, {settings.flink_rest_url}", soft_wrap=True)


@job.command("stop")
def stop(
    drain: Annotated[bool, typer.Option(help="close every open window first: for retiring the job")] = False,
) -> None:
    """Stop the job with a savepoint and print its path."""
    try:
        runtimes = Platform.here().runtimes
        with console.status("taking the savepoint"):
            path = runtimes[0].stop(drain=drain)
            for runtime in runtimes[1:]:
                runtime.cancel()
        console.print(path, soft_wrap=True, highlight=False)
    except TaError as error:
        fail(error)


@job.command("status")
def status() -> None:
    """Show state, checkpoints and counters; exit status 1 unless the job is RUNNING."""
    try:
        platform = Platform.here()
        found = [status for runtime in platform.runtimes for status in runtime.status()]
        table = Table("job", "state", "uptime", "restarts", "checkpoints", "checkpoint age", "last failure")
        for line in found:
            table.add_row(*_cells(line))
        console.print(table)
        for line in found:
            _print_breakers(platform.settings, line)
        if found:
            console.print(_counters(platform.settings, found[0].job_id))
    except TaError as error:
        fail(error)
    if not found:
        console.print("no job runs; `ta job run` starts it")
    if not found or any(line.state != "RUNNING" for line in found):
        raise typer.Exit(1)


def compute(
    recordings: Annotated[list[Path], typer.Argument(help="JSONL files, plain or gzip: Alpaca messages or envelopes")],
    out: Annotated[Path, typer.Option(help="folder for bars.jsonl, signals.jsonl, late.jsonl, rejects.jsonl")],
    overrides: Overrides = None,
) -> None:
    """Run the same job, bounded, over recordings; write its output as JSON lines."""
    try:
        given = parse_overrides(overrides or [])
        settings = load_settings(**given)
        with steps(console) as told:
            report = compute_recordings(recordings, out, settings, given, progress=told)
    except TaError as error:
        fail(error)
    table = Table("output", "records")
    for name, count in report.written.items():
        table.add_row(str(out / f"{name}.jsonl"), f"{count:,}")
    console.print(table)
    read = ", ".join(f"{count:,} {name}" for name, count in report.read.items() if count)
    console.print(f"read {read}; {report.seconds:.1f} s in all")


def _cells(line: JobStatus) -> tuple[str, ...]:
    age = "" if line.checkpoint_age_seconds is None else f"{line.checkpoint_age_seconds:.0f} s"
    failed = f", {line.checkpoints_failed} failed" if line.checkpoints_failed else ""
    colour = "green" if line.state == "RUNNING" else "red"
    return (
        line.name,
        f"[{colour}]{line.state}[/]",
        str(timedelta(seconds=int(line.uptime_seconds))),
        str(line.restarts),
        f"{line.checkpoints_completed}{failed}",
        age,
        line.exception or "",
    )


def _print_breakers(settings: Settings, line: JobStatus) -> None:
    """What stands between the table job and ClickHouse; nothing for the other job."""
    for breaker in ask_breakers(FlinkRest(rest_url(settings, line.name)), line.job_id):
        text = Text(breaker.text(time.time_ns() // 1_000_000), "green" if breaker.is_closed else "red")
        console.print(Text("breaker: ").append(text), soft_wrap=True)


def _counters(settings: Settings, job_id: str) -> Table:
    rest = FlinkRest(settings.flink_rest_url)
    read, passed = "trades_log_deduplicate.numRecordsIn", "trades_log_deduplicate.numRecordsOut"
    known = {f"{log}_log_known_symbols.ta.symbols": f"symbols_known_{log}" for log in ("trades", "quotes", "bars_1m")}
    seen = rest.metrics(job_id, (read, passed, *known))
    numbers = rest.counters(job_id)
    if {read, passed} <= seen.keys():
        numbers["duplicates_dropped"] = seen[read] - seen[passed]
    numbers |= {label: seen[metric] for metric, label in known.items() if metric in seen}
    table = Table("counter", "since the (re)start")
    for name, number in sorted(numbers.items()):
        table.add_row(name, f"{number:,.0f}")
    return table


def _refuse(found: list[str]) -> int:
    errors.print("[red]error:[/] the job was not started:", highlight=False)
    for problem in found:
        errors.print(f"  {problem}", highlight=False, soft_wrap=True)
    return 1
