"""The command line `ta`: one module for each group of commands, put together here."""

from __future__ import annotations

import sys

import typer

from ta_pipeline import (
    cli_bench,
    cli_demo,
    cli_doctor,
    cli_feed,
    cli_health,
    cli_job,
    cli_logs,
    cli_manifests,
    cli_market,
    cli_prometheus,
    cli_recover,
    cli_report,
    cli_rollout,
    cli_savepoint,
    cli_stack,
    cli_ui,
    cli_validate,
)
from ta_pipeline.terminal import log_as_asked

app = typer.Typer(
    name="ta",
    help="Market data in, 1-second bars and indicator signals out: the job, its local stack, and what watches it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for group in (
    cli_demo,
    cli_stack,
    cli_logs,
    cli_feed,
    cli_job,
    cli_rollout,
    cli_savepoint,
    cli_recover,
    cli_validate,
    cli_health,
    cli_doctor,
    cli_market,
    cli_prometheus,
    cli_report,
    cli_manifests,
    cli_ui,
    cli_bench,
):
    group.register(app)


def main() -> None:
    """Entry point of the `ta` command."""
    log_as_asked()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
