"""What all steps of a rollout work with: the versions it is between, and bringing one of them up."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime

from ta_pipeline.errors import TaError
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Outcome, Revision, RevisionStore
from ta_pipeline.rollout.flow import Flow
from ta_pipeline.rollout.journal import Rollout, Version
from ta_pipeline.rollout.transitions import joined
from ta_pipeline.runtime import JobRuntime, JobStatus, Prepared, Report
from ta_pipeline.settings import differing


@dataclass(frozen=True)
class Tools:
    """Of one process that carries a rollout out.

    Attributes:
        platform: the deployment; its settings give addresses and secrets.
        revisions: where outcomes are recorded.
        report: told of everything, in words for people.
        warn: told instead where something did not go as it should.
    """

    platform: Platform
    revisions: RevisionStore
    report: Report
    warn: Report

    def old(self, rollout: Rollout) -> Platform:
        """What ran when this was planned, for questions and its stop: where it is, and where its state lies."""
        return self.platform.asked_as((rollout.previous or rollout.target).settings)

    def target(self, rollout: Rollout) -> Platform:
        """What is to run, with its code.

        Raises:
            StackError: that is not here any more.
        """
        return rollout.target.on(self.platform)

    def asked(self, rollout: Rollout) -> Platform:
        """The target's, for questions: its code may be gone."""
        return self.platform.asked_as(rollout.target.settings)

    def flow(self, rollout: Rollout) -> Flow:
        """Through the target's topics."""
        return Flow(self.asked(rollout).settings)

    def bring_up(
        self, version: Version, job_id: str, state: str | None, seconds: float, prepared: Prepared | None = None
    ) -> float | None:
        """Return when the job of this id is RUNNING with a checkpoint, whether it was submitted before or not.

        Returns:
            When the first live record came, epoch seconds; None: none has come, or it is not known.
        """
        platform = version.on(self.platform)
        runtime = platform.job
        with Flow(platform.settings) as flow, flow.first_record() as seen:
            status = runtime.find(job_id)
            if status is not None and not status.is_ended:
                self.report(f"job {job_id} was submitted before")
                runtime.await_checkpoint(job_id, self.report, seconds)
                return seen()
            self.report(f"starting job {job_id} from {state}" if state else f"starting job {job_id} without state")
            runtime.deploy(
                restore_from=state, job_id=job_id, prepared=prepared, interrupt_others=True, timeout_seconds=seconds,
                report=self.report,
            )  # fmt: skip
            return seen()

    def committed_since_the_stop(self, rollout: Rollout) -> int | None:
        """Final records; None: it was not known at the stop what had been committed."""
        if not rollout.committed:
            return None
        with self.flow(rollout) as flow:
            return flow.committed_since(rollout.committed)

    def with_table_job(self, rollout: Rollout, version: Version) -> str:
        """Bring the table job along; returns the rollout's note, with what came of it."""
        try:
            self._bring_table_job(version.on(self.platform))
        except TaError as error:
            # The tables are behind the topics, not before them: they catch up from there.
            self.warn(f"the table job does not run: {error}")
            return joined(rollout.note, f"The table job does not run: {error}")
        return rollout.note

    def recorded(self, rollout: Rollout, outcome: Outcome) -> Rollout:
        """Write the revision; one that was written by the one before us is not written again."""
        newest = self.revisions.newest()
        if newest is not None and newest.rollout == rollout.id:
            return dataclasses.replace(rollout, revision=newest.number)
        revision = revision_of(rollout, outcome, self.asked(rollout).job.name)
        return dataclasses.replace(rollout, revision=self.revisions.append(revision).number)

    def _bring_table_job(self, version: Platform) -> None:
        runtime = version.table_job
        if runtime is None:
            version.possible_table_job.cancel()
            return
        found = runtime.status()
        if found and found[0].state == "RUNNING" and not self._is_other(version, runtime, found[0]):
            return
        runtime.cancel()
        # Its place is in its consumer group, so it needs no savepoint.
        runtime.deploy(interrupt_others=True, report=self.report)

    def _is_other(self, version: Platform, runtime: JobRuntime, status: JobStatus) -> bool:
        return bool(differing(runtime.settings_of(status.job_id), version.settings.public()))


def revision_of(rollout: Rollout, outcome: Outcome, name: str) -> Revision:
    """What is recorded of a rollout that has ended; pure but for the time."""
    is_back = outcome == "rolled back"
    return Revision(
        number=0,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        outcome=outcome,
        name=name,
        job_id=(rollout.old_job_id if outcome == "stopped" else rollout.job_id) or "",
        settings=rollout.target.settings,
        release=rollout.target.release,
        restored_from=rollout.start_from,
        savepoint=rollout.savepoint,
        image=rollout.target.image,
        schema_ids=rollout.schema_ids,
        states=rollout.states,
        git=rollout.git,
        replay_verdict=rollout.replay_verdict,
        downtime_seconds=rollout.downtime_seconds,
        back_to=rollout.previous_revision if is_back else None,
        back_job_id=rollout.back_job_id if is_back else None,
        back_from=rollout.back_from if is_back else None,
        reason=rollout.error,
        rollout=rollout.id,
        rebuild=rollout.target.rebuild,
        manifest=rollout.target.manifest,
    )


def version_of(platform: Platform) -> Version:
    """What a deployment declares, as a version; a release of its code is made."""
    return Version(platform.settings.public(), platform.release, platform.settings.image, manifest=platform.manifest)
