"""Who carries rollouts out: a process of its own on this machine, or a Job of its own on Kubernetes.

Implementations: here (`ProcessAgents`) and `ta_pipeline.rollout.job_agents` (`JobAgents`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.platform import Platform
from ta_pipeline.rollout.journal import Rollout

PROGRAM = "ta_pipeline.rollout.agent"


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


class ProcessAgents:
    """Processes of this machine, each in a session of its own.

    Args:
        platform: the deployment.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def start(self, rollout: Rollout) -> None:
        """See `Agents`."""
        log = self._log(rollout)
        log.parent.mkdir(parents=True, exist_ok=True)
        platform = self._platform
        with log.open("ab") as output:
            subprocess.run(
                [sys.executable, "-m", PROGRAM, rollout.id],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=REPOSITORY, check=True,
                env={**os.environ, **platform.environment, **platform.local.variables()},
            )  # fmt: skip

    def is_alone(self, rollout: Rollout) -> bool:
        """See `Agents`."""
        return rollout.is_alone

    def lines(self, rollout: Rollout) -> Iterable[str]:
        """See `Agents`."""
        return Tail(self._log(rollout))

    def troubles(self, rollout: Rollout) -> list[str]:
        """See `Agents`: a process begins."""
        del rollout
        return []

    def place_of_log(self, rollout: Rollout) -> str:
        """See `Agents`."""
        return str(self._log(rollout))

    def _log(self, rollout: Rollout) -> Path:
        return self._platform.local.dir / "rollouts" / f"{rollout.id}.log"


class Tail:
    """The lines that are added to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.stat().st_size if path.exists() else 0

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
