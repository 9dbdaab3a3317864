"""Who carries rollouts out: a process of its own on this machine, or a Job of its own on Kubernetes.

Implementations: `ta_pipeline.rollout.process_agents` and `ta_pipeline.rollout.job_agents`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ta_pipeline.platform import Platform
from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.rollout.process_agents import ProcessAgents


class Agents(Protocol):
    """Starts those who carry rollouts out, and knows of those who do."""

    def start(self, rollout: Rollout) -> None:
        """Have a rollout of the journal carried out, from where it is; fine when somebody is at it.

        Raises:
            TaError: nobody could be started.
        """
        ...

    def is_alone(self, rollout: Rollout) -> bool:
        """Whether a rollout has not ended, and nobody carries it out, or has begun to.

        Raises:
            NoAnswerError: that is not known.
        """
        ...

    def lines(self, rollout: Rollout) -> Iterable[str]:
        """What is said of it from now on; each time it is iterated over, the lines since the last time."""
        ...

    def troubles(self, rollout: Rollout) -> list[str]:
        """What keeps whoever was started from beginning, in words for people; empty when nothing is known to."""
        ...

    def place_of_log(self, rollout: Rollout) -> str:
        """Where all that was said of it is, for people."""
        ...


def agents_of(platform: Platform) -> Agents:
    """Those of a deployment.

    Raises:
        SettingsError: no API server is to be found, and the deployment is on Kubernetes.
    """
    processes = ProcessAgents(platform)
    if platform.is_local:
        return processes
    # A third of a second of imports that a local stack does without.
    from ta_pipeline.rollout.job_agents import JobAgents  # noqa: PLC0415

    return JobAgents.of(platform, processes)
