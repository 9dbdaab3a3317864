"""Processes by more than their number: a process id is used again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import Self

import psutil


@dataclass(frozen=True)
class ProcessId:
    """One process of this machine: its number, and when it was started, epoch seconds."""

    pid: int
    started: float

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(os.getpid(), psutil.Process().create_time())

    @property
    def is_alive(self) -> bool:
        """Whether it runs; one that has ended and was not waited for does not."""
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.started) < 1.0
            return is_it and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with all it has started; fine when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
