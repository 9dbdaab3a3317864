"""The commands of a page, run in their order by one shell, as a person would: for tests on the local stack."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ta_pipeline.local.settings import REPOSITORY
from tests.documented import Command, Way, all_commands

QUICK_START = "docs/quickstart.md"
PAGES = (
    "README.md", "docs/consumers.md", "docs/dashboard.md", "docs/logs.md", "docs/replay-validation.md",
    "docs/transactions.md", "docs/recovery.md", "docs/runbooks.md", "docs/kubernetes.md",
)  # fmt: skip
"""In this order, on one stack; of what the quick start or an earlier page had, a later one runs nothing again."""
HOW_TO = ("kafka", "s3", "registry", "clickhouse")
_MARK = "\x1e"
_TA = '#!/bin/sh\nexec {python} -c \'import sys; sys.argv[0] = "ta"; from ta_pipeline.cli import main; main()\' "$@"\n'


def commands_of(page: str) -> list[Command]:
    """Those that a stack is needed for, and what prepares the shell for them."""
    wanted = {Way.STACK, Way.SETTINGS, Way.SHELL}
    return [one for one in all_commands() if one.page == page and one.way in wanted]


RUN = {
    command.text
    for page in (QUICK_START, *PAGES, *(f"docs/how-to/{name}.md" for name in HOW_TO))
    for command in commands_of(page)
    if command.way is Way.STACK
}
"""All that is run here; a test asks that it is all there is."""


@dataclass(frozen=True)
class Done:
    """One command, and what came of it."""

    command: str
    status: int
    output: str


def run_commands(
    commands: Iterable[str], folder: Path, environment: Mapping[str, str], *, timeout_seconds: float = 900.0
) -> list[Done]:
    """Run the commands one after the other in one bash, whatever each of them ends with.

    Args:
        commands: as bash has them; what one exports, the next ones see.
        folder: where they run; `ta` and this Python are on their PATH.
        environment: beside that of the tests.
        timeout_seconds: for all of them.
    """
    wanted = list(commands)
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "ta").write_text(_TA.format(python=sys.executable), encoding="utf-8")
    (tools / "ta").chmod(0o755)
    lines = [f"{command}\nprintf '{_MARK}%d\\n' $?" for command in wanted]
    own = {
        **os.environ, **environment, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "160",
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }  # fmt: skip
    # To a file: what a command leaves running would hold a pipe open.
    said = folder / "said.txt"
    with said.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(lines)], cwd=folder, env=own, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            shell.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            pass  # what it came to is told below
        finally:
            # What was left in the background, too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    parts = said.read_text(encoding="utf-8", errors="replace").split(_MARK)
    done, output = [], parts[0]
    for command, part in zip(wanted, parts[1:], strict=False):
        status, _, after = part.partition("\n")
        done.append(Done(command, int(status), output))
        output = after
    assert len(done) == len(wanted), f"{wanted[len(done)]} did not end:\n{output[-2_000:]}"
    return done
