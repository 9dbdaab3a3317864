"""Processes by more than their number: a process id is used again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
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


def end_group(process: subprocess.Popen[bytes], signals: Iterable[signal.Signals], seconds: float) -> None:
    """End a process that leads a group, with all it has started, in its own way where it can.

    Args:
        process: the group's leader.
        signals: sent to the group one after the other, until the leader has ended.
        seconds: how long each has to work; then the group is killed.
    """
    for number in signals:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            break
    kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with all it has started; fine when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
