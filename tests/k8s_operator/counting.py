"""A deployed job through its runtime, and what the job itself tells of its state (counter.py)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from ta_pipeline.errors import FlinkError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kubernetes.runtime import KubernetesRuntime
from ta_pipeline.settings import Settings

PER_SECOND = 20
"""Elements that the job is given."""
TOLD_SECONDS = 120.0
_OPERATOR, _GROUP = "counter", "ta"


@dataclass(frozen=True)
class Counted:
    """What the job tells at one moment.

    Attributes:
        count: elements counted, those of before the start included.
        began: what the state was at the start.
        breaks: elements out of sequence.
        version: of the job.
    """

    count: int
    began: int
    breaks: int
    version: int


@dataclass(frozen=True)
class Job:
    """One version of the job."""

    runtime: KubernetesRuntime
    settings: Settings

    @property
    def rest(self) -> FlinkRest:
        """Of its JobManager."""
        return FlinkRest(self.settings.flink_rest_url)

    def counted(self, job_id: str, more_than: int = 0) -> Counted:
        """What it tells as soon as it has counted more than this."""
        found: list[Counted] = []

        def has_told() -> bool:
            told: dict[str, float] = {}
            with contextlib.suppress(FlinkError):
                told = self.rest.counters(job_id, _OPERATOR, _GROUP)
            if told.get("count", 0) <= more_than:
                return False
            found.append(Counted(*(int(told[name]) for name in ("count", "began", "breaks", "version"))))
            return True

        wait_for(f"more than {more_than} is counted", TOLD_SECONDS, has_told)
        return found[-1]

    def checkpointed(self, job_id: str) -> int:
        """A count that is in a completed checkpoint: at least this much the state of any later one has."""
        count = self.counted(job_id).count
        before = self.rest.checkpoints(job_id).completed
        self.rest.trigger_checkpoint(job_id)
        # Two: one may have been on its way.
        wait_for("two checkpoints are complete", TOLD_SECONDS, lambda: self._completed(job_id) >= before + 2)
        return count

    def _completed(self, job_id: str) -> int:
        return self.rest.checkpoints(job_id).completed


def wait_for(what: str, seconds: float, is_so: Callable[[], object]) -> None:
    """Return when it is so; errors are the caller's."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds:g} s: {what}")
        time.sleep(0.5)
