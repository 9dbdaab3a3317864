"""`python -m ta_pipeline.rollout.agent <id>`: carries out the rollout of the journal, and outlives who started it.

Settings and secrets come from the environment; everything else is in the journal. One agent works on a stack at a time.
On one machine it is a process of nobody's; `--job NAME` says that it is the program of that Job's pod on Kubernetes,
where whoever follows it is in another pod.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from ta_pipeline.errors import LockError, RolloutError, TaError
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.locks import Held
from ta_pipeline.logs.output import log_to
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.execute import Execution
from ta_pipeline.rollout.journal import Agent, Journal, Rollout
from ta_pipeline.rollout.stored_log import StoredLog
from ta_pipeline.rollout.transitions import failed
from ta_pipeline.runtime import Report
from ta_pipeline.settings import Settings, load_settings

_log = logging.getLogger("ta.rollout")
STALE_SECONDS = 900.0
"""A plan that nobody has begun for so long, because no pod could be had, is given up: what it looked at has changed."""
STANDS, LOST = 1, 3
"""Exit status: the rollout stands where it is; another agent may be at it. A Job starts another pod for both."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the rollout named on the command line; returns the exit status, 0 when it has ended, however."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rollout", help="its id")
    parser.add_argument("--job", default="", help="this is a pod of that Job")
    asked = parser.parse_args(arguments)
    if not asked.job:
        # Who started us waits for this process only: the one that does the work is in a session of its own, and
        # nobody's.
        if os.fork():
            return 0
        os.setsid()
    else:
        # The first process of a container is ended by no signal that it does not handle; what it holds, it lets go of.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(STANDS))
    try:
        lines = log_to("rollout")
        settings = load_settings()
        lines.hide(settings.without_secrets)
        told = Told(settings, asked.rollout, StoredLog(settings, asked.rollout) if asked.job else None)
        platform = Platform.of(settings, load_local_settings())
    except TaError as error:
        _log.error("%s", error, extra={"rollout": asked.rollout})
        return STANDS
    try:
        with platform.locks(lambda why: _end(told.error, why)).alone("agent", wait=False) as held:
            ended = _carry_out(platform, asked.rollout, asked.job, held, told)
    except LockError as error:
        told.error(f"another agent is at work on this stack: {error}")
        return STANDS
    except TaError as error:
        told.error(str(error))
        return STANDS
    told.end(ended)
    return 0


def _carry_out(platform: Platform, rollout_id: str, job: str, held: Held, told: Told) -> Rollout:
    journal = Journal(platform.settings, held.require)
    rollout = journal.load()
    if rollout is None or rollout.id != rollout_id:
        if (before := journal.ended(rollout_id)) is not None:
            return before
        raise RolloutError(f"the journal has no rollout {rollout_id!r}")
    if rollout.is_ended:
        return rollout
    if job and (late := given_up(rollout, time.time())) is not None:
        return journal.save(late)
    rollout = journal.save(dataclasses.replace(rollout, agent=Agent.here(job)))
    revisions = RevisionStore(platform.settings)
    return Execution(platform, journal, revisions, told.report, warn=told.warning).run(rollout)


def given_up(rollout: Rollout, now: float) -> Rollout | None:
    """A rollout that was planned too long ago to be begun, as it ends; None: it may go on. Pure.

    Args:
        rollout: as the journal has it.
        now: epoch seconds.
    """
    waited = now - rollout.saved_at
    if rollout.step != "planned" or waited < STALE_SECONDS:
        return None
    error = f"nothing was changed: for {waited:.0f} s nobody could begin it; run again"
    return failed(rollout, error)


def _end(report: Report, why: str) -> NoReturn:
    """End at once, whatever is being done: somebody else may be at it."""
    report(why)
    os._exit(LOST)


class Told:
    """What is said of a rollout: lines of the log, each as grave as it is, and the copy beside the journal."""

    def __init__(self, settings: Settings, rollout_id: str, log: StoredLog | None) -> None:
        self._settings, self._rollout_id, self._stored = settings, rollout_id, log

    def report(self, text: str) -> None:
        """It goes on."""
        self._say(logging.INFO, text)

    def warning(self, text: str) -> None:
        """Something is tried again, or given up."""
        self._say(logging.WARNING, text)

    def error(self, text: str) -> None:
        """It does not go on."""
        self._say(logging.ERROR, text)

    def end(self, rollout: Rollout) -> None:
        """It has ended: other than it was to, that is an error, also where the old version is back."""
        text = f"{rollout.kind} {rollout.id}: {rollout.step}" + (f": {rollout.error}" if rollout.error else "")
        self._say(logging.INFO if rollout.step == "done" else logging.ERROR, text)

    def _say(self, level: int, text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for line in self._settings.without_secrets(text).splitlines():
            _log.log(level, "%s", line, extra={"rollout": self._rollout_id})
            if self._stored is not None:
                self._stored.add(f"{now} {line}")


if __name__ == "__main__":
    sys.exit(main())
