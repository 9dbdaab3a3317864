"""Rollouts carried out by processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.logs.view import told
from ta_pipeline.platform import Platform
from ta_pipeline.rollout.journal import Rollout

PROGRAM = "ta_pipeline.rollout.agent"


class ProcessAgents:
    """Processes of this machine, each in a session of its own.

    Args:
        platform: the deployment.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def start(self, rollout: Rollout) -> None:
        """See `ta_pipeline.rollout.agents.Agents`."""
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
        """See `ta_pipeline.rollout.agents.Agents`."""
        return rollout.is_alone

    def lines(self, rollout: Rollout) -> Iterable[str]:
        """See `ta_pipeline.rollout.agents.Agents`."""
        return Tail(self._log(rollout))

    def troubles(self, rollout: Rollout) -> list[str]:
        """See `ta_pipeline.rollout.agents.Agents`: a process begins."""
        del rollout
        return []

    def place_of_log(self, rollout: Rollout) -> str:
        """See `ta_pipeline.rollout.agents.Agents`."""
        return str(self._log(rollout))

    def _log(self, rollout: Rollout) -> Path:
        return self._platform.local.dir / "rollouts" / f"{rollout.id}.log"


class Tail:
    """What is said in the lines that are added to a log from now on."""

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
                yield told(line.decode(errors="replace").rstrip())
