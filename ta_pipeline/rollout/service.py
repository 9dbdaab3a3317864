"""Rollouts for people and for Dagster: plan one, start it, follow it, finish one that was left.

What is started is carried out by a process of its own (`ta_pipeline.rollout.agent`), which outlives whoever started it:
a Dagster run that is cancelled or killed between the stop and the start of the job must not leave a stream that stands
still.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from ta_pipeline.errors import RolloutError
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.execute import version_of
from ta_pipeline.rollout.facts import Options, gather, git_revision, running_job, state_for_rollback
from ta_pipeline.rollout.journal import Journal, Rollout, Version
from ta_pipeline.rollout.plan import Plan, plan
from ta_pipeline.runtime import Report

POLL_SECONDS = 0.3
TAKE_OVER_SECONDS = 15.0
"""An agent that was started has written its name into the journal by then."""
_EXPECTED_SECONDS = 20.0


class Rollouts:
    """The rollouts of one deployment."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.journal = Journal(platform.settings)
        self.revisions = RevisionStore(platform.settings)

    def plan(self, options: Options) -> Plan:
        """What rolling out the declared version would do; changes nothing.

        Raises:
            TaError: something that has to be asked does not answer.
        """
        gathered = gather(self.platform, self.revisions, version_of(self.platform), options)
        return plan(gathered.facts, self._expected_downtime())

    def start(self, options: Options, report: Report) -> Rollout | None:
        """Begin to roll the declared version out, or join a rollout that has not ended; None: nothing is to be done.

        Raises:
            RolloutError: it is blocked; nothing was changed. The message has each reason.
            TaError: something that has to be asked does not answer.
        """
        if (left := self.unfinished()) is not None:
            return self.resume(left, report)
        target = version_of(self.platform)
        gathered = gather(self.platform, self.revisions, target, options)
        facts = gathered.facts
        planned = plan(facts, self._expected_downtime())
        report(str(planned))
        if planned.kind is None:
            return None
        if planned.blockers:
            raise RolloutError("the rollout is blocked, and nothing was changed:\n" + "\n".join(planned.blockers))
        rollout = Rollout(
            id=_new_id(),
            kind=planned.kind,
            started_at=time.time(),
            target=target,
            previous=Version(facts.current.settings, facts.current.release, facts.current.image)
            if facts.current
            else None,
            previous_revision=facts.current.number if facts.current else None,
            restore_from=planned.restore_from,
            verify_seconds=options.verify_seconds,
            states=gathered.states,
            schema_ids=gathered.schema_ids,
            git=git_revision(REPOSITORY),
            replay_verdict=facts.verdict,
        )
        return self._begin(rollout, report)

    def start_rollback(self, number: int | None, options: Options, report: Report) -> Rollout:
        """Begin to return to an older revision.

        Args:
            number: of the revision; None: the one before the current.
            options: see there.
            report: told of each step.

        Raises:
            RolloutError: there is no such revision, or the job does not run.
        """
        if (left := self.unfinished()) is not None:
            return self.resume(left, report)
        revisions = self.revisions.all()
        current = self.revisions.current()
        to = revision_before(revisions, current, number)
        target = Version(to.settings, to.release, to.image)
        restore_from, note = state_for_rollback(self.platform, to, current, options)
        rollout = Rollout(
            id=_new_id(),
            kind="rollback",
            started_at=time.time(),
            target=target,
            previous=Version(current.settings, current.release, current.image) if current else None,
            previous_revision=current.number if current else None,
            restore_from=restore_from,
            note=note,
            verify_seconds=options.verify_seconds,
            schema_ids=to.schema_ids,
            states=to.states,
            git=to.git,
            replay_verdict=to.replay_verdict,
        )
        report(f"rolling back to revision {to.number} (settings {to.settings_hash}, code {to.release})")
        return self._begin(rollout, report)

    def start_stop(self, report: Report) -> Rollout:
        """Begin to stop the job with a savepoint.

        Raises:
            RolloutError: it does not run.
        """
        if (left := self.unfinished()) is not None:
            return self.resume(left, report)
        current = self.revisions.current()
        if running_job(self.platform) is None:
            raise RolloutError(f"{self.platform.job.name} does not run: there is nothing to stop")
        target = Version(current.settings, current.release, current.image) if current else version_of(self.platform)
        rollout = Rollout(
            id=_new_id(), kind="stop", started_at=time.time(), target=target,
            states=current.states if current else {}, schema_ids=current.schema_ids if current else {},
            git=current.git if current else None,
        )  # fmt: skip
        return self._begin(rollout, report)

    def unfinished(self) -> Rollout | None:
        """The rollout that has not ended; None when there is none."""
        found = self.journal.load()
        return None if found is None or found.is_ended else found

    def resume(self, rollout: Rollout, report: Report) -> Rollout:
        """Join a rollout that somebody carries out, or carry on with one that nobody does."""
        if not rollout.is_alone:
            report(f"joining the {rollout.kind} {rollout.id}, which is {rollout.step}")
            return rollout
        report(f"going on with the {rollout.kind} {rollout.id}, which was left {rollout.step}")
        self._spawn(rollout)
        return rollout

    def follow(self, rollout: Rollout, report: Report) -> Rollout:
        """Report what the agent does until the rollout has ended; returns how.

        Raises:
            RolloutError: the agent died: the rollout stands where it is, and another run finishes it.
        """
        begun = time.monotonic()
        with _Tail(self._log(rollout)) as lines:
            while True:
                now = self.journal.load() or rollout
                for line in lines:
                    report(line)
                if now.is_ended or now.id != rollout.id:
                    return now
                if now.is_alone and time.monotonic() - begun > TAKE_OVER_SECONDS:
                    raise RolloutError(
                        f"the process that carried out the {now.kind} {now.id} has died at the step {now.step!r}; "
                        f"run it again to finish it (its log: {self._log(rollout)})"
                    )
                time.sleep(POLL_SECONDS)

    def _begin(self, rollout: Rollout, report: Report) -> Rollout:
        self.journal.save(rollout)
        report(f"{rollout.kind} {rollout.id} begins; it goes on should this run be cancelled")
        self._spawn(rollout)
        return rollout

    def _spawn(self, rollout: Rollout) -> None:
        log = self._log(rollout)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            subprocess.run(
                [sys.executable, "-m", "ta_pipeline.rollout.agent", rollout.id],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=REPOSITORY, check=True,
                env={**os.environ, **self.platform.environment, **self.platform.local.variables()},
            )  # fmt: skip

    def _log(self, rollout: Rollout) -> Path:
        return self.platform.local.dir / "rollouts" / f"{rollout.id}.log"

    def _expected_downtime(self) -> float:
        seen = [one.downtime_seconds for one in self.revisions.all()[-5:] if one.downtime_seconds is not None]
        return max(seen, default=_EXPECTED_SECONDS)


def revision_before(revisions: list[Revision], current: Revision | None, number: int | None) -> Revision:
    """The revision a rollback returns to; pure.

    Args:
        revisions: the oldest first.
        current: what should run now.
        number: what was asked for; None: the newest that ran before the current one and is another version.

    Raises:
        RolloutError: there is none.
    """
    ran = [one for one in revisions if one.outcome == "running"]
    if number is not None:
        found = next((one for one in ran if one.number == number), None)
        if found is None:
            allowed = ", ".join(str(one.number) for one in ran) or "none"
            raise RolloutError(f"revision {number} never ran; a rollback can return to: {allowed}")
        return found
    if current is None:
        raise RolloutError("no revision is running: there is nothing to roll back from")
    before = [
        one
        for one in ran
        if one.number < current.number and (one.settings_hash, one.release) != (current.settings_hash, current.release)
    ]
    if not before:
        raise RolloutError(f"revision {current.number} is the first version: there is none to return to")
    return before[-1]


class _Tail:
    """The lines that are added to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.exists() else 0

    def __enter__(self) -> _Tail:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def __iter__(self) -> Iterator[str]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield line.decode(errors="replace").rstrip()


def _new_id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
