"""Carries a rollout out, step by step; every step may be interrupted, and done again by whoever comes next.

Before a step begins, the journal says so. A step first looks at what is: the old job may have stopped already, the new
one may run already. So a second execution of the same rollout finishes the first one's work, wherever that ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.errors import DeployError, FlinkError, RolloutError, TaError
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Outcome, Revision, RevisionStore
from ta_pipeline.rollout.facts import running_job
from ta_pipeline.rollout.flow import Flow
from ta_pipeline.rollout.journal import Journal, Rollout, Step, Version
from ta_pipeline.rollout.verify import verify
from ta_pipeline.runtime import JobStatus, Prepared, Report

RETURNS = 3
"""Attempts to bring the old version back."""
PAUSE_SECONDS = 5.0


class Execution:
    """One process's work on one rollout.

    Args:
        platform: the deployment; its settings give addresses and secrets.
        journal: where the rollout is written down.
        revisions: where its outcome is.
        report: told of everything, in words for people.
    """

    def __init__(self, platform: Platform, journal: Journal, revisions: RevisionStore, report: Report) -> None:
        self._platform = platform
        self._journal = journal
        self._revisions = revisions
        self._report = report
        self._prepared: Prepared | None = None
        self._steps: dict[Step, Callable[[Rollout], Rollout]] = {
            "planned": self._plan_ahead,
            "stopping": self._stop,
            "stopped": self._mark,
            "deploying": self._deploy,
            "deployed": self._verify,
            "verified": self._record,
            "returning": self._return,
        }

    def run(self, rollout: Rollout) -> Rollout:
        """Do what is left of the rollout; returns how it ended.

        Raises:
            S3Error: the journal cannot be written: the rollout stands where it is, and can be run again.
        """
        try:
            while not rollout.is_ended:
                rollout = self._journal.save(self._steps[rollout.step](rollout))
        finally:
            if self._prepared is not None:
                self._prepared.discard()
        return rollout

    def _plan_ahead(self, rollout: Rollout) -> Rollout:
        running = running_job(self._platform)
        if running is None:
            return _at(rollout, "stopped", savepoint=rollout.savepoint or rollout.restore_from)
        if rollout.kind == "start":
            return _at(rollout, "failed", error=f"a job was started meanwhile: {running.job_id} is {running.state}")
        if rollout.kind != "stop":
            try:
                self._prepared = self._target(rollout).job.prepare(report=self._report)
            except TaError as error:
                return _at(rollout, "failed", error=f"the new job cannot be planned, nothing was changed: {error}")
        return _at(rollout, "stopping", old_job_id=running.job_id)

    def _stop(self, rollout: Rollout) -> Rollout:
        running = running_job(self._platform)
        if running is not None and running.job_id != rollout.old_job_id:
            # The one before us came further than it could write down.
            return _at(rollout, "deployed", job_id=running.job_id)
        stopped_at = rollout.stopped_at or time.time()
        if running is not None:
            self._report(f"stopping job {running.job_id} with a savepoint")
            stopped_at = time.time()
            try:
                savepoint = self._platform.job.stop()
            except FlinkError as error:
                return self._without_savepoint(rollout, running, error)
            return _at(rollout, "stopped", savepoint=savepoint, stopped_at=stopped_at)
        self._report("the old job has stopped already; looking for the state it left")
        return self._from_last_state(rollout, stopped_at, "")

    def _without_savepoint(self, rollout: Rollout, running: JobStatus, error: FlinkError) -> Rollout:
        """The stop failed: a job that does its work goes on; one that is broken leaves its last checkpoint."""
        now = running_job(self._platform)
        if now is None:
            return self._from_last_state(rollout, time.time(), "")
        if now.state == "RUNNING" and now.restarts == running.restarts:
            return _at(rollout, "failed", error=f"no savepoint could be taken, the old job runs on: {error}")
        self._report(f"the job is {now.state} and takes no savepoint ({error}); cancelling it for its last checkpoint")
        self._platform.job.cancel()
        return self._from_last_state(rollout, time.time(), f"the old job was {now.state}: its last checkpoint was used")

    def _from_last_state(self, rollout: Rollout, stopped_at: float, note: str) -> Rollout:
        state = self._platform.job.last_state(rollout.old_job_id or "")
        if state is None:
            error = (
                f"job {rollout.old_job_id} has ended, and neither a savepoint nor a checkpoint of it was found under "
                f"{self._platform.settings.savepoint_dir} and {self._platform.settings.checkpoint_dir}"
            )
            return _at(rollout, "failed", error=error)
        self._report(f"going on from {state.path}")
        return _at(rollout, "stopped", savepoint=state.path, stopped_at=stopped_at, note=note)

    def _mark(self, rollout: Rollout) -> Rollout:
        with self._flow(rollout) as flow:
            committed = flow.committed()
        if rollout.kind == "stop":
            self._stop_table_job()
            return self._recorded(_at(rollout, "done", committed=committed), "stopped")
        return _at(rollout, "deploying", committed=committed)

    def _deploy(self, rollout: Rollout) -> Rollout:
        runtime = self._target(rollout).job
        running = running_job(self._platform)
        prepared, self._prepared = self._prepared, None
        try:
            if running is not None:
                # Submitted by the one before us, who did not live to see it run.
                runtime.await_checkpoint(running.job_id, self._report, rollout.verify_seconds)
                return _at(rollout, "deployed", job_id=running.job_id)
            state = self._state_for_start(rollout)
            self._report(f"starting the new job from {state}" if state else "starting the job without state")
            with self._flow(rollout) as flow, flow.first_record() as seen:
                deployed = runtime.deploy(
                    restore_from=state, prepared=prepared, interrupt_others=True,
                    timeout_seconds=rollout.verify_seconds, report=self._report,
                )  # fmt: skip
                first = seen()
            return _at(rollout, "deployed", job_id=deployed.job_id, first_record_at=first)
        except TaError as error:
            known = running.job_id if running else rollout.job_id
            job_id = error.job_id if isinstance(error, DeployError) else known
            return _at(rollout, "returning", job_id=job_id, error=f"the new job did not start: {error}")

    def _state_for_start(self, rollout: Rollout) -> str | None:
        """What the new job goes on from: where an attempt of the one before us ended, else where the old job did."""
        state = rollout.restore_from or rollout.savepoint
        newest = self._platform.job.newest_job_id()
        if newest is None or newest == rollout.old_job_id or rollout.stopped_at is None:
            return state
        attempt = self._platform.job.last_state(newest)
        return attempt.path if attempt and attempt.at_ms > rollout.stopped_at * 1_000 else state

    def _verify(self, rollout: Rollout) -> Rollout:
        runtime = self._target(rollout).job

        def status() -> JobStatus | None:
            return next((one for one in runtime.status() if one.job_id == rollout.job_id), None)

        with self._flow(rollout) as flow:
            found = verify(status, lambda: flow.since(rollout.committed), rollout.verify_seconds, self._report)
            first = rollout.first_record_at or (time.time() if flow.since(rollout.committed)[1] else None)
        self._report(found.text)
        if found.refuted:
            return _at(rollout, "returning", error=f"the new version could not be verified: {found.text}")
        return _at(rollout, "verified", first_record_at=first, note=" ".join(filter(None, (rollout.note, found.text))))

    def _record(self, rollout: Rollout) -> Rollout:
        note = rollout.note
        try:
            self._bring_table_job(self._target(rollout))
        except TaError as error:
            # The tables are behind the topics, not before them: they catch up from there.
            note = f"{note} The table job does not run: {error}"
            self._report(f"the table job does not run: {error}")
        return self._recorded(dataclasses.replace(rollout, step="done", note=note), "running")

    def _return(self, rollout: Rollout) -> Rollout:
        self._report(f"{rollout.error}; returning to the old version")
        if rollout.previous is None:
            self._platform.job.cancel()
            return _at(rollout, "failed", error=f"{rollout.error}; there is no version to return to, so nothing runs")
        old = self._platform.at(rollout.previous.settings, rollout.previous.release)
        running = running_job(self._platform)
        if running is not None and running.job_id != rollout.job_id and rollout.job_id is not None:
            return self._recorded(_at(rollout, "rolled back", old_job_id=running.job_id), "rolled back")
        # First, so that what it commits until then is in the state that is looked for.
        self._platform.job.cancel()
        state, repeated = self._state_for_return(rollout)
        error: TaError = RolloutError("not tried")
        for attempt in range(1, RETURNS + 1):
            try:
                with Flow(old.settings) as flow, flow.first_record() as seen:
                    deployed = old.job.deploy(restore_from=state, interrupt_others=True, report=self._report)
                    first = seen()
                break
            except TaError as failed:
                error = failed
                self._report(f"attempt {attempt} of {RETURNS} to return failed: {failed}")
                time.sleep(PAUSE_SECONDS)
        else:
            return _at(rollout, "failed", error=f"{rollout.error}; and the old version does not start: {error}")
        with contextlib.suppress(TaError):
            self._bring_table_job(old)
        returned = _at(
            rollout, "rolled back", old_job_id=deployed.job_id, repeated=repeated,
            first_record_at=rollout.first_record_at or first,
        )  # fmt: skip
        return self._recorded(returned, "rolled back")

    def _state_for_return(self, rollout: Rollout) -> tuple[str | None, int]:
        """The newest state the old version can read, and how many final records it emits again from there."""
        state = rollout.savepoint
        if rollout.job_id is None or not self._is_readable_by_old(rollout):
            with self._flow(rollout) as flow:
                return state, flow.committed_since(rollout.committed) if rollout.job_id else 0
        newest = self._platform.job.last_state(rollout.job_id)
        return (newest.path if newest else state), 0

    def _is_readable_by_old(self, rollout: Rollout) -> bool:
        """The same code reads its own state; of another one it is not known, so the savepoint is taken."""
        return rollout.previous is not None and rollout.previous.release == rollout.target.release

    def _bring_table_job(self, version: Platform) -> None:
        runtime = version.table_job
        if runtime is None:
            return
        found = runtime.status()
        if found and found[0].state == "RUNNING" and not self._is_other(version, found[0]):
            return
        runtime.cancel()
        # Its place is in its consumer group, so it needs no savepoint.
        runtime.deploy(interrupt_others=True, report=self._report)

    def _is_other(self, version: Platform, status: JobStatus) -> bool:
        return version.job.settings_of(status.job_id) != version.settings.public()

    def _stop_table_job(self) -> None:
        if (runtime := self._platform.table_job) is not None:
            runtime.cancel()

    def _target(self, rollout: Rollout) -> Platform:
        return self._platform.at(rollout.target.settings, rollout.target.release)

    def _flow(self, rollout: Rollout) -> Flow:
        return Flow(self._target(rollout).settings)

    def _recorded(self, rollout: Rollout, outcome: Outcome) -> Rollout:
        """Write the revision; one that was written by the one before us is not written again."""
        newest = self._revisions.newest()
        revision = revision_of(rollout, outcome, self._platform.job.name)
        if newest is not None and dataclasses.replace(newest, number=0, at="") == dataclasses.replace(revision, at=""):
            return dataclasses.replace(rollout, revision=newest.number)
        return dataclasses.replace(rollout, revision=self._revisions.append(revision).number)


def revision_of(rollout: Rollout, outcome: Outcome, name: str) -> Revision:
    """What is recorded of a rollout that has ended; pure but for the time."""
    return Revision(
        number=0,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        outcome=outcome,
        name=name,
        job_id=(rollout.old_job_id if outcome == "stopped" else rollout.job_id) or "",
        settings=rollout.target.settings,
        release=rollout.target.release,
        restored_from=None if outcome == "stopped" else rollout.restore_from or rollout.savepoint,
        savepoint=rollout.savepoint,
        image=rollout.target.image,
        schema_ids=rollout.schema_ids,
        states=rollout.states,
        git=rollout.git,
        replay_verdict=rollout.replay_verdict,
        downtime_seconds=rollout.downtime_seconds,
        back_to=rollout.previous_revision if outcome == "rolled back" else None,
        reason=rollout.error,
    )


def version_of(platform: Platform) -> Version:
    """What a deployment declares, as a version; a release of its code is made."""
    return Version(platform.settings.public(), platform.release, platform.settings.image)


def _at(rollout: Rollout, step: Step, **changes: Any) -> Rollout:
    return dataclasses.replace(rollout, step=step, **changes)
