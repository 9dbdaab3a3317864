"""The first half of a rollout: try the new version beside the old one, then stop that with its state."""

from __future__ import annotations

import time

from ta_pipeline.errors import FlinkError, KafkaSetupError, NoAnswerError, TaError
from ta_pipeline.retained import written_at_ms
from ta_pipeline.rollout.attempts import foreign, stranger
from ta_pipeline.rollout.journal import Rollout, new_job_id
from ta_pipeline.rollout.outage import outage_note
from ta_pipeline.rollout.running import running_job
from ta_pipeline.rollout.shadow import shadow_restore
from ta_pipeline.rollout.tools import Tools
from ta_pipeline.rollout.transitions import at, failed, joined, noted
from ta_pipeline.runtime import JobStatus, Prepared, without_circumstances

STOPS = 10
"""How often a stop is begun anew."""
_PAUSE_SECONDS = 3.0
_INTERRUPTED = ("Checkpoint Coordinator is suspending", "Not all required tasks are currently running")
"""Why Flink has no savepoint of a job that was restarted meanwhile."""


class Stopping:
    """The steps `planned`, `stopping` and `stopped`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.prepared: Prepared | None = None
        """The new job, planned; whoever starts it takes it away."""

    def plan_ahead(self, rollout: Rollout) -> Rollout:
        """Restore the new version beside the old one, and plan its graph; nothing is changed yet."""
        running = running_job(self._tools.old(rollout))
        if running is not None and running.job_id != rollout.old_job_id:
            what = f"instead of {rollout.old_job_id}" if rollout.old_job_id else "although nothing ran"
            return failed(rollout, f"nothing was changed: job {running.job_id} was started meanwhile, {what}")
        if rollout.old_job_id is None:
            return at(rollout, "stopped", savepoint=rollout.savepoint or rollout.restore_from)
        if running is None:
            return self._from_last_state(at(rollout, "stopping"), "the old job had ended by itself")
        note = rollout.note
        if rollout.kind != "stop":
            try:
                target = self._tools.target(rollout)
                if rollout.shadow_restore and running.state == "RUNNING" and not rollout.clean_start:
                    shown = shadow_restore(self._tools.old(rollout), target, rollout.restore_from, self._tools.report)
                    note = joined(note, shown)
                self.prepared = target.job.prepare(report=self._tools.report)
            except TaError as error:
                return failed(rollout, f"the new job cannot run, nothing was changed: {error}")
        return at(rollout, "stopping", stopped_at=time.time(), note=note)

    def stop(self, rollout: Rollout) -> Rollout:
        """Stop the old job with a savepoint; one that has stopped already left one, or a checkpoint."""
        runtime = self._tools.old(rollout).job
        running = running_job(self._tools.old(rollout))
        if running is None:
            self._tools.report("the old job has stopped already; looking for the state it left")
            return self._from_last_state(rollout, "")
        if running.job_id != rollout.old_job_id:
            return failed(rollout, foreign(running))
        self._tools.report(f"stopping job {running.job_id} with a savepoint")
        try:
            savepoint = runtime.stop(request_id=rollout.stop_request, report=self._tools.report)
        except NoAnswerError:
            raise
        except FlinkError as error:
            return self._without_savepoint(rollout, running, error)
        return at(rollout, "stopped", savepoint=savepoint)

    def mark(self, rollout: Rollout) -> Rollout:
        """Note what was committed until the stop, and choose the new job's id and state."""
        committed = self._committed(rollout)
        if rollout.kind == "stop":
            self._tools.old(rollout).possible_table_job.cancel()
            return self._tools.recorded(at(rollout, "done", committed=committed), "stopped")
        start_from = None if rollout.clean_start else rollout.restore_from or rollout.savepoint
        repeated = self._emitted_again(rollout, start_from)
        note = self._outage(rollout, start_from)
        return at(
            rollout, "deploying", committed=committed, attempts=(new_job_id(),), start_from=start_from,
            repeated=repeated, note=joined(rollout.note, note),
        )  # fmt: skip

    def _without_savepoint(self, rollout: Rollout, running: JobStatus, error: FlinkError) -> Rollout:
        """The stop failed: a job that does its work goes on; one that is broken leaves its last checkpoint."""
        old = self._tools.old(rollout)
        now = running_job(old)
        if now is None:
            return self._from_last_state(rollout, "")
        if now.state == "RUNNING" and rollout.stops < STOPS and was_interrupted(error):
            self._tools.warn(f"the job was restarted while it was to stop; trying again in {_PAUSE_SECONDS:g} s")
            time.sleep(_PAUSE_SECONDS)
            return at(rollout, "stopping", stops=rollout.stops + 1)
        if now.state == "RUNNING" and now.restarts == running.restarts:
            return failed(rollout, f"no savepoint could be taken, the old job runs on: {error}")
        self._tools.warn(
            f"the job is {now.state} and takes no savepoint ({error}); cancelling it for its last checkpoint"
        )
        old.job.cancel()
        return self._from_last_state(rollout, f"the old job was {now.state}: its last checkpoint was used")

    def _from_last_state(self, rollout: Rollout, note: str) -> Rollout:
        where = self._tools.old(rollout)
        if (other := stranger(where.job, rollout)) is not None:
            return failed(rollout, foreign(other))
        state = where.job.last_state(noted(rollout, rollout.old_job_id))
        if state is None and not (rollout.clean_start or rollout.restore_from):
            return failed(
                rollout,
                f"job {rollout.old_job_id} has ended, and neither a savepoint nor a checkpoint of it was found under "
                f"{where.settings.savepoint_dir} and {where.settings.checkpoint_dir}; name one with restore_from",
            )
        path = None if state is None else state.path
        self._tools.report(f"going on from {path}")
        stopped_at = rollout.stopped_at or time.time()
        return at(rollout, "stopped", savepoint=path, stopped_at=stopped_at, note=joined(rollout.note, note))

    def _committed(self, rollout: Rollout) -> dict[str, int]:
        """What was committed until the stop. A figure, no more: nobody waits for a broker because of it."""
        try:
            with self._tools.flow(rollout) as flow:
                return flow.committed()
        except KafkaSetupError as error:
            self._tools.warn(f"what was committed until the stop is not known: {error}")
            return {}

    def _outage(self, rollout: Rollout, start_from: str | None) -> str:
        """What is said of a state that is older than the transactions in it."""
        if start_from is None:
            return ""
        said = outage_note(self._tools.asked(rollout).settings, start_from, self._tools.revisions.newest())
        if said:
            self._tools.warn(said)
        return said

    def _emitted_again(self, rollout: Rollout, start_from: str | None) -> int | None:
        """Final records that were committed after the state the new job goes on from."""
        if start_from is None or start_from == rollout.savepoint:
            return None
        try:
            with self._tools.flow(rollout) as flow:
                return flow.committed_after(written_at_ms(self._tools.platform.settings, start_from))
        except TaError as error:
            self._tools.warn(f"how many records are emitted again is not known: {error}")
            return None


def was_interrupted(error: FlinkError) -> bool:
    """Whether a stop failed because the job was restarted meanwhile; what else was seen does not count. Pure."""
    failure = without_circumstances(str(error))
    return any(sign in failure for sign in _INTERRUPTED)
