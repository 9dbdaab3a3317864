"""The way back: a version that could not be verified is given up, and the old one goes on."""

from __future__ import annotations

import time

from ta_pipeline.errors import DeployError, NoAnswerError, TaError
from ta_pipeline.job_state import incompatibilities
from ta_pipeline.rollout.attempts import foreign, left_by_an_attempt, stranger
from ta_pipeline.rollout.journal import Rollout, new_job_id
from ta_pipeline.rollout.running import state_at
from ta_pipeline.rollout.tools import Tools
from ta_pipeline.rollout.transitions import at, failed, noted
from ta_pipeline.state_reader import describe_job

PAUSE_SECONDS = 5.0
RETURN_SECONDS = 120.0
"""How long the old version may at least take to come up: it has proved itself before."""


class WayBack:
    """The steps `returning` and `restoring`.

    Args:
        tools: see there.
        patience_seconds: how long a return that fails is tried again.
    """

    def __init__(self, tools: Tools, patience_seconds: float) -> None:
        self._tools = tools
        self._patience_seconds = patience_seconds

    def give_up(self, rollout: Rollout) -> Rollout:
        """End the new version, and find what the old one goes on from."""
        self._tools.warn(f"{rollout.error}; returning to the old version")
        runtime = self._tools.asked(rollout).job
        if (other := stranger(runtime, rollout)) is not None:
            return failed(rollout, f"{rollout.error}; {foreign(other)}")
        # First, so that what it commits until then is in the state that is looked for.
        runtime.cancel()
        if rollout.previous is None:
            return failed(rollout, f"{rollout.error}; nothing ran before, so nothing runs now")
        try:
            rollout.previous.on(self._tools.platform)
        except TaError as error:
            return failed(rollout, f"{rollout.error}; and the old version cannot come back, nothing runs: {error}")
        state, repeated = self._state_for_return(rollout)
        if state is None:
            return failed(
                rollout, f"{rollout.error}; and there is no state for the old version to go on from: nothing runs"
            )
        back = (new_job_id(),)
        return at(rollout, "restoring", back_attempts=back, back_from=state, repeated=repeated)

    def restore(self, rollout: Rollout) -> Rollout:
        """Bring the old version up."""
        previous, job_id = noted(rollout, rollout.previous), noted(rollout, rollout.back_job_id)
        runtime = self._tools.platform.asked_as(previous.settings).job
        if (other := stranger(runtime, rollout)) is not None:
            return failed(rollout, f"{rollout.error}; {foreign(other)}")
        try:
            if (left := left_by_an_attempt(runtime, job_id)) is not None:
                again = (*rollout.back_attempts, new_job_id())
                return at(rollout, "restoring", back_attempts=again, back_from=left or rollout.back_from)
            seconds = max(rollout.verify_seconds, RETURN_SECONDS)
            first = self._tools.bring_up(previous, job_id, rollout.back_from, seconds)
        except NoAnswerError:
            raise
        except TaError as error:
            return self._after_a_failed_return(rollout, error)
        note = self._tools.with_table_job(rollout, previous)
        back = at(rollout, "rolled back", first_record_at=rollout.first_record_at or first, note=note)
        return self._tools.recorded(back, "rolled back")

    def _state_for_return(self, rollout: Rollout) -> tuple[str | None, int | None]:
        """The state the old version goes on from, and how many final records it emits again from there.

        The savepoint is the old version's own, and to be trusted; the new one's last state is taken only when it has
        committed something, which the savepoint would emit again.
        """
        committed = self._tools.committed_since_the_stop(rollout)
        if committed == 0 or rollout.clean_start:
            return rollout.savepoint, committed
        try:
            left = self._tools.asked(rollout).job.last_state(noted(rollout, rollout.job_id))
        except NoAnswerError:
            raise
        except TaError as error:
            self._tools.warn(f"the new version's last state is not known: {error}")
            left = None
        # Without one of its own, the last attempt went on from what the one before it had left.
        newest = left.path if left else rollout.start_from
        if newest not in {None, rollout.savepoint, rollout.restore_from} and self._is_readable_by_old(rollout, newest):
            return newest, rollout.repeated or 0
        return rollout.savepoint, committed

    def _is_readable_by_old(self, rollout: Rollout, path: str) -> bool:
        previous = noted(rollout, rollout.previous)
        try:
            old = previous.on(self._tools.platform)
            if not old.has_code:
                self._tools.warn(f"the code of {previous.release} is not here: whether it can read {path} is not known")
                return False
            manifest, saved = describe_job(old.settings, old.local, old.code), state_at(old, path)
        except NoAnswerError:
            raise
        except TaError as error:
            self._tools.warn(f"whether the old version can read {path} is not known: {error}")
            return False
        return saved is not None and not incompatibilities(manifest, saved, rollout.states)

    def _after_a_failed_return(self, rollout: Rollout, error: TaError) -> Rollout:
        """Again, for as long as anything is: the stream stands still. From the savepoint, if it was something else."""
        if time.time() - noted(rollout, rollout.returning_since) > self._patience_seconds:
            return failed(rollout, f"{rollout.error}; and the old version does not start: {error}")
        self._tools.warn(f"the return failed: {error}; trying again in {PAUSE_SECONDS:g} s")
        time.sleep(PAUSE_SECONDS)
        savepoint = rollout.savepoint
        if not isinstance(error, DeployError) or savepoint is None or savepoint == rollout.back_from:
            return rollout
        repeated = self._tools.committed_since_the_stop(rollout)
        return at(rollout, "restoring", back_from=savepoint, repeated=repeated)
