"""A deployment whose state is gone: what is known of it, and the start that rebuilds it from its inputs."""

from __future__ import annotations

import dataclasses
import time
from contextlib import closing
from dataclasses import dataclass

from ta_pipeline.errors import FlinkError, KafkaSetupError, RolloutError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.platform import Platform
from ta_pipeline.recovery.plan import Facts, RecoveryPlan, plan
from ta_pipeline.recovery.rebuild import Rebuild
from ta_pipeline.recovery.retention import extents, published_since
from ta_pipeline.retained import every_state
from ta_pipeline.rollout.facts import Options
from ta_pipeline.rollout.flow import Flow
from ta_pipeline.rollout.journal import Rollout, new_rollout_id
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.rollout.running import running_job
from ta_pipeline.rollout.service import Rollouts
from ta_pipeline.runtime import Report
from ta_pipeline.s3 import bucket_exists, ensure_bucket, s3_client, split_uri
from ta_pipeline.settings import Settings
from ta_pipeline.signals.published import Published

POLL_SECONDS = 0.5
VERIFY_SECONDS = 900.0
"""The first checkpoint of a job that reads a week of inputs at once takes longer than that of one that goes on."""
_ABORT_MARGIN_SECONDS = 30.0
"""Kafka looks for transactions that have timed out every ten seconds."""
_OWN_CHECKPOINTS = 2


@dataclass(frozen=True)
class CaughtUp:
    """How a rebuild went on.

    Attributes:
        seconds: until the job was through its inputs, or gave out live signals; None: it was not within the time.
        withheld: records it computed that were on the topics already.
        left: records of the inputs that it has not read yet.
    """

    seconds: float | None
    withheld: int
    left: int


class Recovery:
    """Rebuilds one deployment.

    Args:
        platform: the deployment as it is declared.
        start_ms: the inputs are read from here on, epoch milliseconds; None: from the earliest that is retained.
        ignore_states: states that are in S3 are of no use.
    """

    def __init__(
        self,
        platform: Platform,
        *,
        start_ms: int | None = None,
        ignore_states: bool = False,
    ) -> None:
        self.platform = platform
        self.rollouts = Rollouts(platform)
        self._start_ms = start_ms
        self._ignore_states = ignore_states

    def plan(self) -> RecoveryPlan:
        """What would be done; changes nothing.

        Raises:
            TaError: something that has to be asked does not answer: that it is not heard is not that it is gone.
        """
        return plan(self._facts())

    def start(self, report: Report, verify_seconds: float = VERIFY_SECONDS) -> Rollout:
        """Rebuild the job; returns how its start ended. It is carried out by a process of its own.

        Raises:
            RolloutError: something forbids it, and nothing was changed; or it did not start.
            TaError: something that has to be asked does not answer.
        """
        facts = self._facts()
        if blockers := plan(facts).blockers:
            raise RolloutError("nothing was changed:\n" + "\n".join(blockers))
        settings = self.platform.settings
        for bucket in facts.missing_buckets:
            ensure_bucket(s3_client(settings), bucket)
            report(f"made bucket {bucket}")
        if facts.running is not None:
            report(f"cancelling job {facts.running.job_id}")
            self.platform.job.cancel()
        published = facts.published
        if facts.hidden or facts.running is not None:
            if facts.parallelism > 1:
                self._await_aborts(report)
            published = self._published(facts)
        uri = f"{settings.revision_dir.rstrip('/')}/rebuilds/{new_rollout_id()}.json"
        Rebuild(self._start_ms, published).save(settings, uri)
        options = Options(clean_start=True, verify_seconds=verify_seconds)
        ended = self.rollouts.follow(self.rollouts.start_rebuild(uri, options, report), report)
        if ended.step != "done":
            raise RolloutError(f"the job could not be rebuilt: {ended.error}")
        return ended

    def await_caught_up(self, rollout: Rollout, seconds: float, report: Report) -> CaughtUp:
        """Return when the job has read what the inputs hold now, or when that takes longer than `seconds`.

        Raises:
            FlinkError: the job ended meanwhile.
            KafkaSetupError: the broker cannot be reached.
        """
        settings, job_id = self.platform.settings, str(rollout.job_id)
        begun, told = time.monotonic(), -1
        rest = FlinkRest(settings.flink_rest_url)
        with Flow(settings) as flow, closing(Offsets(settings)) as offsets:
            before, ends = flow.committed(), offsets.ends_of(settings.input_topics)
            while True:
                status = self.platform.job.find(job_id)
                if status is None or status.is_ended:
                    raise FlinkError(f"job {job_id} is {status.state if status else 'gone'}; `ta job status` says why")
                left = offsets.left_of(settings.group_id, ends)
                # The group's offsets are the lost job's until this one has committed its own.
                through = status.checkpoints_completed >= _OWN_CHECKPOINTS and left == 0
                passed = time.monotonic() - begun
                if through or flow.since(before)[1] or passed > seconds:
                    withheld = int(rest.counters(job_id).get("already_published", 0))
                    return CaughtUp(passed if through or passed <= seconds else None, withheld, left)
                if left != told:
                    report(f"{left:,} records of the inputs are left to read")
                    told = left
                time.sleep(POLL_SECONDS)

    def _facts(self) -> Facts:
        settings = self.platform.settings
        running, missing = running_job(self.platform), _missing_buckets(settings)
        journal_is_gone = split_uri(settings.revision_dir)[0] in missing
        left = None if journal_is_gone else self.rollouts.unfinished()
        facts = Facts(
            running=running,
            is_working=running is not None and FlinkRest(settings.flink_rest_url).is_running(running.job_id),
            states=every_state(settings),
            missing_buckets=missing,
            unfinished=f"the {left.kind} {left.id}, which is {left.step}," if left else "",
            inputs=extents(settings, settings.input_topics),
            outputs=extents(settings, settings.final_topics),
            published=Published(settings.revision_horizon_ms),
            start_ms=self._start_ms,
            parallelism=settings.parallelism,
            trades_topic=settings.trades_topic,
            ignore_states=self._ignore_states,
        )
        # Reading what is there takes long: not when nothing would come of it.
        return facts if plan(facts).blockers else dataclasses.replace(facts, published=self._published(facts))

    def _published(self, facts: Facts) -> Published:
        """What was computed from the inputs that will be read again was given out after Kafka had taken them."""
        return published_since(self.platform.settings, facts.first_ms or 0)

    def _await_aborts(self, report: Report) -> None:
        """Until nothing is hidden: what lies behind an open transaction may be committed, and nobody can see it."""
        settings = self.platform.settings
        deadline = time.monotonic() + settings.transaction_timeout_ms / 1_000 + _ABORT_MARGIN_SECONDS
        while hidden := sum(one.hidden for one in extents(settings, settings.final_topics)):
            if time.monotonic() > deadline:
                raise KafkaSetupError(
                    f"{hidden:,} offsets of the final topics are still behind open transactions, longer than "
                    f"TA_TRANSACTION_TIMEOUT_MS={settings.transaction_timeout_ms}: `ta doctor` shows whose they are"
                )
            report(f"{hidden:,} offsets are behind open transactions; Kafka aborts them, `ta doctor` can sooner")
            time.sleep(POLL_SECONDS)


def _missing_buckets(settings: Settings) -> list[str]:
    folders = (settings.checkpoint_dir, settings.savepoint_dir, settings.revision_dir, settings.replay_dir)
    client = s3_client(settings)
    return sorted({bucket for bucket, _ in map(split_uri, folders) if not bucket_exists(client, bucket)})
