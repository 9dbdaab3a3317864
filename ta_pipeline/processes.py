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


def wait_or_end(process: subprocess.Popen[bytes], signals: Iterable[signal.Signals], seconds: float) -> int:
    """Wait for a process that leads a group; Ctrl-C ends the group (`end_group`).

    Args:
        process: the group's leader.
        signals: that end it.
        seconds: how long each of them has to work.

    Returns:
        The status to end with: that of the process; where a signal ended it, 128 and the signal's number, as a shell
        has it, or 0 where that was done for Ctrl-C.
    """
    try:
        process.wait()
    except KeyboardInterrupt:
        end_group(process, signals, seconds)
        return max(process.returncode, 0)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def killed(what: str, returncode: int) -> str:
    """What is said of a process that a signal has ended, though nobody here asked for it.

    Args:
        what: its name, for a person.
        returncode: as `subprocess` has it: the signal's number, negative.
    """
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return (
        f"{what} was ended by {name}, and not by Ctrl-C here: SIGKILL may be the machine's, for want of memory (dmesg)"
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with all it has started; fine when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
