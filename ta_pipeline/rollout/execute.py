"""Carries a rollout out, step by step; every step may be interrupted, and done again by whoever comes next.

Before a step begins, the journal says so, with everything that makes the step the same when it is done again: the id of
the job it submits, the state that starts from, the name under which the old one is asked to stop. A step first looks at
what is. So a second execution of the same rollout finishes the first one's work, wherever that ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from ta_pipeline.errors import FlinkError, KafkaSetupError, NoAnswerError, TaError
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.attempts import foreign, left_by_an_attempt, stranger
from ta_pipeline.rollout.journal import Journal, Rollout, Step, new_job_id
from ta_pipeline.rollout.stopping import Stopping
from ta_pipeline.rollout.tools import Tools
from ta_pipeline.rollout.transitions import at, failed, joined, noted, returning
from ta_pipeline.rollout.verify import verify
from ta_pipeline.rollout.way_back import PAUSE_SECONDS, WayBack
from ta_pipeline.runtime import Report

PATIENCE_SECONDS = 1_800.0
"""How long a step is tried again while something it needs does not answer, and a return while it fails."""
_PASSING = (NoAnswerError, KafkaSetupError, FlinkError)


class Execution:
    """One process's work on one rollout.

    Args:
        platform: the deployment; its settings give addresses and secrets.
        journal: where the rollout is written down.
        revisions: where its outcome is.
        report: told of everything, in words for people.
        patience_seconds: see `PATIENCE_SECONDS`.
        warn: told instead where something did not go as it should: it is tried again, or given up; default: `report`.
    """

    def __init__(
        self,
        platform: Platform,
        journal: Journal,
        revisions: RevisionStore,
        report: Report,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        warn: Report | None = None,
    ) -> None:
        self._tools = Tools(platform, revisions, report, warn or report)
        self._journal = journal
        self._patience_seconds = patience_seconds
        self._stopping = Stopping(self._tools)
        way_back = WayBack(self._tools, patience_seconds)
        self._steps: dict[Step, Callable[[Rollout], Rollout]] = {
            "planned": self._stopping.plan_ahead,
            "stopping": self._stopping.stop,
            "stopped": self._stopping.mark,
            "deploying": self._deploy,
            "deployed": self._verify,
            "verified": self._record,
            "returning": way_back.give_up,
            "restoring": way_back.restore,
        }

    def run(self, rollout: Rollout) -> Rollout:
        """Do what is left of the rollout; returns how it ended.

        Raises:
            TaError: what a step needs does not answer: the rollout stands where it is, and can be run again.
        """
        try:
            while not rollout.is_ended:
                done = self._patiently(rollout, self._steps[rollout.step])
                rollout = self._patiently(done, self._journal.save)
        finally:
            if self._stopping.prepared is not None:
                self._stopping.prepared.discard()
        return rollout

    def _patiently(self, rollout: Rollout, work: Callable[[Rollout], Rollout]) -> Rollout:
        """Do it again while something does not answer: the stream may stand still, and nobody else is at work."""
        begun = time.monotonic()
        while True:
            try:
                return work(rollout)
            except _PASSING as error:
                if rollout.step == "planned":
                    return failed(rollout, f"nothing was changed: {error}")
                if time.monotonic() - begun > self._patience_seconds:
                    raise
                self._tools.warn(f"{rollout.step}: {error}; trying again in {PAUSE_SECONDS:g} s")
                time.sleep(PAUSE_SECONDS)
                # Still at it: on another host, silence is taken for death.
                with contextlib.suppress(TaError):
                    self._journal.save(rollout)

    def _deploy(self, rollout: Rollout) -> Rollout:
        job_id, runtime = noted(rollout, rollout.job_id), self._tools.asked(rollout).job
        if (other := stranger(runtime, rollout)) is not None:
            return failed(rollout, foreign(other))
        try:
            if (left := left_by_an_attempt(runtime, job_id)) is not None:
                again = (*rollout.attempts, new_job_id())
                return at(rollout, "deploying", attempts=again, start_from=left or rollout.start_from)
            prepared, self._stopping.prepared = self._stopping.prepared, None
            first = self._tools.bring_up(rollout.target, job_id, rollout.start_from, rollout.verify_seconds, prepared)
            return at(rollout, "deployed", first_record_at=first)
        except NoAnswerError:
            raise
        except TaError as error:
            return returning(rollout, f"the new job did not start: {error}")

    def _verify(self, rollout: Rollout) -> Rollout:
        runtime, job_id = self._tools.asked(rollout).job, noted(rollout, rollout.job_id)
        with self._tools.flow(rollout) as flow:
            before = rollout.committed or flow.committed()
            found = verify(
                lambda: runtime.find(job_id), lambda: flow.since(before), rollout.verify_seconds, self._tools.report,
                is_catching_up=bool(rollout.target.rebuild) and rollout.start_from is None,
            )  # fmt: skip
            first = rollout.first_record_at or (time.time() if flow.since(before)[1] else None)
        (self._tools.warn if found.refuted else self._tools.report)(found.text)
        if found.refuted:
            return returning(rollout, f"the new version could not be verified: {found.text}")
        return at(rollout, "verified", first_record_at=first, note=joined(rollout.note, found.text))

    def _record(self, rollout: Rollout) -> Rollout:
        note = self._tools.with_table_job(rollout, rollout.target)
        return self._tools.recorded(at(rollout, "done", note=note), "running")
