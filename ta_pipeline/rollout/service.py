"""Rollouts for people and for Dagster: plan one, start it, follow it, finish one that was left.

What is started is carried out by somebody of its own (`ta_pipeline.rollout.agents`), who outlives whoever started it: a
Dagster run that is cancelled or killed between the stop and the start of the job must not leave a stream that stands
still.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property

from ta_pipeline.errors import NoAnswerError, RolloutError, TaError
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.locks import Held
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.agents import Agents, agents_of
from ta_pipeline.rollout.facts import Options, gather, git_revision, state_for_rollback
from ta_pipeline.rollout.journal import TAKE_OVER_SECONDS, Journal, Rollout, Version, new_rollout_id
from ta_pipeline.rollout.plan import Facts, Plan, plan
from ta_pipeline.rollout.running import elsewhere, left_state, moved_here, running_job
from ta_pipeline.rollout.tools import version_of
from ta_pipeline.runtime import JobStatus, Report

POLL_SECONDS = 0.3
LOOK_SECONDS = 3.0
"""How often whoever carries a rollout out is looked after."""
_EXPECTED_SECONDS = 20.0


class Rollouts:
    """The rollouts of one deployment."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.journal = Journal(platform.settings)
        self.revisions = RevisionStore(platform.settings)

    @cached_property
    def agents(self) -> Agents:
        """Who carries them out."""
        return agents_of(self.platform)

    def is_alone(self, rollout: Rollout) -> bool:
        """Whether a rollout has not ended, and nobody carries it out, or has begun to.

        Raises:
            NoAnswerError: that is not known.
        """
        return self.agents.is_alone(rollout)

    def plan(self, options: Options) -> Plan:
        """What rolling out the declared version would do; changes nothing.

        Raises:
            TaError: something that has to be asked does not answer.
        """
        gathered = gather(self.platform, self.revisions, self.journal.load(), version_of(self.platform), options)
        return plan(gathered.facts, self._expected_downtime(), shadow_restore=options.shadow_restore)

    def start(self, options: Options, report: Report) -> Rollout | None:
        """Begin to roll the declared version out; None: nothing is to be done.

        A rollout that has not ended is finished first. When it was to this very version, it is this one.

        Raises:
            RolloutError: it is blocked; nothing was changed. The message has each reason.
            TaError: something that has to be asked does not answer.
        """
        target = version_of(self.platform)
        left = self._left(report)
        if left is not None and left.kind != "stop" and dataclasses.replace(left.target, rebuild="") == target:
            return self.resume(left, report)
        with self._planning(report) as held:
            return self._start(self._carried(target, options), options, report, held)

    def start_rebuild(self, rebuild: str, options: Options, report: Report) -> Rollout:
        """Begin to start the declared version without state, from its inputs, beside what is published.

        Args:
            rebuild: the URI of a `ta_pipeline.recovery.rebuild.Rebuild`.
            options: see there; the state is given up.
            report: told of each step.

        Raises:
            RolloutError: the job runs, or something else forbids it; nothing was changed.
            TaError: something that has to be asked does not answer.
        """
        target = dataclasses.replace(version_of(self.platform), rebuild=rebuild)
        with self._planning(report) as held:
            running = running_job(self.platform)
            if running is not None:
                raise RolloutError(f"job {running.job_id} is {running.state}: it has a state, nothing is to be rebuilt")
            rollout = self._start(target, dataclasses.replace(options, clean_start=True), report, held)
            if rollout is None:
                raise RolloutError("there is nothing to start")
            return rollout

    def _carried(self, target: Version, options: Options) -> Version:
        """With what the job withholds that it goes on from."""
        newest, current = self.revisions.newest_and_current()
        last = current or newest
        if last is None or options.clean_start:
            return target
        return dataclasses.replace(target, rebuild=last.rebuild)

    def _start(self, target: Version, options: Options, report: Report, held: Held) -> Rollout | None:
        gathered = gather(self.platform, self.revisions, self.journal.load(), target, options)
        facts = gathered.facts
        planned = plan(facts, self._expected_downtime(), shadow_restore=options.shadow_restore)
        if not (options.clean_start and target.rebuild):
            # A rebuild has shown a plan of its own: nothing warms up anew.
            report(str(planned))
        if planned.kind is None:
            return None
        if planned.blockers:
            raise RolloutError("the rollout is blocked, and nothing was changed:\n" + "\n".join(planned.blockers))
        rollout = Rollout(
            id=new_rollout_id(),
            kind=planned.kind,
            started_at=time.time(),
            target=target,
            previous=facts.previous,
            previous_revision=self._previous_revision(facts),
            restore_from=planned.restore_from,
            # What a job left that is rebuilt is gone, though Flink may remember it.
            savepoint=None if options.clean_start and target.rebuild else facts.left,
            clean_start=options.clean_start,
            old_job_id=facts.running.job_id if facts.running else None,
            shadow_restore=options.shadow_restore,
            verify_seconds=options.verify_seconds,
            states=gathered.states,
            schema_ids=gathered.schema_ids,
            git=git_revision(REPOSITORY),
            replay_verdict=facts.verdict,
        )
        return self._begin(rollout, report, held)

    def start_rollback(self, number: int | None, options: Options, report: Report) -> Rollout:
        """Begin to return to an older revision.

        Args:
            number: of the revision; None: the one before the current.
            options: see there.
            report: told of each step.

        Raises:
            RolloutError: there is no such revision, or no state that it could go on from.
        """
        with self._planning(report) as held:
            return self._start_rollback(number, options, report, held)

    def _start_rollback(self, number: int | None, options: Options, report: Report, held: Held) -> Rollout:
        revisions = self.revisions.all()
        newest, current = self.revisions.newest_and_current()
        to = revision_before(revisions, current, number)
        if options.old_job_is_gone:
            to = moved_here(self.platform, to)
            newest, current = (one and moved_here(self.platform, one) for one in (newest, current))
        target = self._carried(Version.of(to), options)
        running = self._running_at(to, current)
        left, note = None, ""
        if running is not None and current is not None:
            restore_from, note = state_for_rollback(self.platform, to, revisions, current, options)
        else:
            left = left_state(self.platform, current or newest, self.journal.load())
            restore_from = options.restore_from or (left.path if left else None)
            if restore_from is None:
                raise RolloutError(
                    f"the job does not run, and left no state that revision {to.number} could go on from; name one "
                    "with restore_from"
                )
        rollout = Rollout(
            id=new_rollout_id(),
            kind="rollback",
            started_at=time.time(),
            target=target,
            previous=Version.of(current) if current else None,
            previous_revision=current.number if current else None,
            restore_from=restore_from,
            savepoint=left.path if left else None,
            old_job_id=running.job_id if running else None,
            note=note,
            shadow_restore=options.shadow_restore,
            verify_seconds=options.verify_seconds,
            schema_ids=to.schema_ids,
            states=to.states,
            git=to.git,
            replay_verdict=to.replay_verdict,
        )
        report(f"rolling back to revision {to.number} (settings {to.settings_hash}, code {to.release})")
        return self._begin(rollout, report, held)

    def start_stop(self, report: Report) -> Rollout:
        """Begin to stop the job with a savepoint.

        Raises:
            RolloutError: it does not run.
        """
        with self._planning(report) as held:
            current = self.revisions.current()
            running = running_job(self.platform)
            if running is None:
                raise RolloutError(f"{self.platform.job.name} does not run: there is nothing to stop")
            target = Version.of(current) if current else version_of(self.platform)
            rollout = Rollout(
                id=new_rollout_id(), kind="stop", started_at=time.time(), target=target, old_job_id=running.job_id,
                states=current.states if current else {}, schema_ids=current.schema_ids if current else {},
                git=current.git if current else None,
            )  # fmt: skip
            return self._begin(rollout, report, held)

    def abandon(self) -> Rollout:
        """Give up a rollout that nobody can finish; what runs is left as it is.

        Raises:
            RolloutError: there is none, or somebody carries it out.
        """
        left = self.unfinished()
        if left is None:
            raise RolloutError("no rollout is unfinished: there is nothing to abandon")
        if not self.is_alone(left) and left.agent is not None:
            who = left.agent.host if left.agent.is_job else f"process {left.agent.pid} on {left.agent.host}"
            raise RolloutError(f"the {left.kind} {left.id} is carried out by {who}; end that first")
        error = f"abandoned at the step {left.step!r}; {left.error or 'what runs was left as it was'}"
        return self.journal.save(dataclasses.replace(left, step="failed", error=error))

    def unfinished(self) -> Rollout | None:
        """The rollout that has not ended; None when there is none."""
        found = self.journal.load()
        return None if found is None or found.is_ended else found

    def resume(self, rollout: Rollout, report: Report) -> Rollout:
        """Join a rollout that somebody carries out, or carry on with one that nobody does."""
        if not self.is_alone(rollout):
            report(f"joining the {rollout.kind} {rollout.id}, which is {rollout.step}")
            return rollout
        report(f"going on with the {rollout.kind} {rollout.id}, which was left {rollout.step}")
        self._spawn(rollout)
        return rollout

    def follow(self, rollout: Rollout, report: Report) -> Rollout:
        """Report what is done for it until the rollout has ended; returns how.

        Raises:
            RolloutError: nobody carries it out any more: the rollout stands where it is, and another run finishes it.
        """
        if rollout.is_ended:
            return rollout
        begun = looked = time.monotonic()
        lines, told = self.agents.lines(rollout), set[str]()
        while True:
            now = self.journal.load() or rollout
            for line in lines:
                report(line)
            if now.id != rollout.id:
                # Another one has begun since.
                now = self.journal.ended(rollout.id) or now
            if now.is_ended:
                return now
            time.sleep(POLL_SECONDS)
            if time.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = time.monotonic()
            for text in self._troubles(now):
                if text not in told:
                    report(text)
                told.add(text)
            if looked - begun > TAKE_OVER_SECONDS and self._is_left(now):
                raise RolloutError(
                    f"whoever carried out the {now.kind} {now.id} has died at the step {now.step!r}; "
                    f"run it again to finish it (its log: {self.agents.place_of_log(now)})"
                )

    def _troubles(self, rollout: Rollout) -> list[str]:
        try:
            return self.agents.troubles(rollout)
        except TaError as error:
            return [f"what keeps it from going on is not known: {error}"]

    def _is_left(self, rollout: Rollout) -> bool:
        """Whether nobody carries it out; that nobody answers does not say so."""
        try:
            if not self.is_alone(rollout):
                return False
        except NoAnswerError:
            return False
        # It may have ended just then.
        return self.journal.load() == rollout

    def _left(self, report: Report) -> Rollout | None:
        """The rollout that has not ended. One that nobody has begun is given up: what it was planned from is old."""
        left = self.unfinished()
        if left is None or left.step != "planned" or not self.is_alone(left):
            return left
        report(f"the {left.kind} {left.id} was planned and not begun: it is given up")
        self.journal.save(dataclasses.replace(left, step="failed", error="nothing was changed: its agent had died"))
        return None

    def _previous_revision(self, facts: Facts) -> int | None:
        """The number of what runs. A job that somebody started by hand is recorded first: it may have to come back."""
        if facts.runs is None or facts.running is None:
            return facts.current.number if facts.current else None
        found = Revision(
            number=0, at=datetime.now(UTC).isoformat(timespec="seconds"), outcome="running",
            name=self.platform.job.name, job_id=facts.running.job_id, settings=facts.runs.settings,
            release=facts.runs.release, image=facts.runs.image, manifest=facts.runs.manifest,
            reason="found running: somebody started it by hand",
        )  # fmt: skip
        return self.revisions.append(found).number

    @contextlib.contextmanager
    def _planning(self, report: Report) -> Iterator[Held]:
        """Nobody else plans a rollout of this stack meanwhile, and none is under way.

        Raises:
            RolloutError: another one did not come to its end.
        """
        with self.platform.locks().alone("planning", wait=True) as held:
            while (left := self._left(report)) is not None:
                ended = self.follow(self.resume(left, report), report)
                report(f"the {ended.kind} {ended.id} that was under way is {ended.step}")
            yield held

    def _running_at(self, to: Revision, current: Revision | None) -> JobStatus | None:
        """The running job, which has to be where a rollback to `to` would look for it.

        Raises:
            RolloutError: it is, or may be, somewhere else.
        """
        running = running_job(self.platform)
        places = [
            *elsewhere(self.platform, current, running),
            *elsewhere(self.platform.asked_as(to.settings), current, None),
        ]
        if places:
            raise RolloutError("the rollback is blocked, and nothing was changed:\n" + "\n".join(places))
        return running

    def _begin(self, rollout: Rollout, report: Report, held: Held) -> Rollout:
        held.require()
        self.platform.keep_manifest()
        self.journal.save(rollout)
        report(f"{rollout.kind} {rollout.id} begins; it goes on should this run be cancelled")
        self._spawn(rollout)
        return rollout

    def _spawn(self, rollout: Rollout) -> None:
        self.agents.start(rollout)

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
        raise RolloutError("no revision is running: name the one to return to")
    before = [
        one
        for one in ran
        if one.number < current.number and (one.settings_hash, one.release) != (current.settings_hash, current.release)
    ]
    if not before:
        raise RolloutError(f"revision {current.number} is the first version: there is none to return to")
    return before[-1]
