"""`python -m ta_pipeline.rollout.agent <id>`: carries out the rollout of the journal, and outlives who started it.

Settings and secrets come from the environment; everything else is in the journal. One agent works on a stack at a time.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ta_pipeline.errors import RolloutError, TaError
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.execute import Execution
from ta_pipeline.rollout.journal import Agent, Journal
from ta_pipeline.settings import load_settings


def main() -> int:
    """Carry out the rollout named on the command line; returns the exit status."""
    # Who started us waits for this process only: the one that does the work is in a session of its own, and nobody's.
    if os.fork():
        return 0
    os.setsid()
    settings = load_settings()
    platform = Platform.of(settings, load_local_settings())
    journal = Journal(settings)
    try:
        with _alone(platform):
            rollout = journal.load()
            if rollout is None or rollout.id != sys.argv[1]:
                raise RolloutError(f"the journal has no rollout {sys.argv[1]!r}")
            rollout = journal.save(dataclasses.replace(rollout, agent=Agent.here()))
            ended = Execution(platform, journal, RevisionStore(settings), _report).run(rollout)
    except TaError as error:
        _report(settings.without_secrets(str(error)))
        return 1
    _report(f"{ended.kind} {ended.id}: {ended.step}" + (f": {ended.error}" if ended.error else ""))
    return 0 if ended.step == "done" else 1


@contextmanager
def _alone(platform: Platform) -> Iterator[None]:
    path = platform.local.dir / "rollouts" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RolloutError("another agent is at work on this stack") from None
        yield


def _report(text: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for line in text.splitlines():
        print(f"{now} {line}", flush=True)  # noqa: T201 - its output is its log


if __name__ == "__main__":
    sys.exit(main())
