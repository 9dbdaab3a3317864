"""Ways in which a component is not there, each of them over at the end of a block."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.stack import RunningStack

DISK_MIB = 256
"""Enough for the tables of a test; small enough to be filled at once."""
BLOCK_BYTES = 65_536


@contextmanager
def held_down(stack: RunningStack, component: str) -> Iterator[None]:
    """It was ended with `kill -9`, and nobody starts it again."""
    supervisor = stack.stack.supervisor
    stack.kill(component)
    supervisor.stop_process(component)
    try:
        yield
    finally:
        supervisor.start_process(component)


@contextmanager
def standing_still(stack: RunningStack, component: str) -> Iterator[None]:
    """As on a machine that is paused: connections stay open, nothing answers."""
    process = stack.process(component)
    members = [process, *process.children(recursive=True)]
    _signal(members, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(members, signal.SIGCONT)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def data_of_clickhouse(stack: RunningStack) -> Path:
    """Where ClickHouse keeps its tables."""
    return stack.local.dir / "clickhouse" / "data"


@contextmanager
def small_disk(stack: RunningStack) -> Iterator[Path]:
    """ClickHouse's data on a disk of its own, which `full` fills; skips where no file system may be mounted."""
    data = data_of_clickhouse(stack)
    supervisor = stack.stack.supervisor
    supervisor.stop_process("clickhouse")
    aside = data.with_name("data.aside")
    data.rename(aside)
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        if mounted.returncode:
            pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
        shutil.copytree(aside, data, dirs_exist_ok=True, symlinks=True)
        supervisor.start_process("clickhouse")
        stack.await_ready()
        yield data
    finally:
        supervisor.stop_process("clickhouse")
        if not mounted.returncode:
            subprocess.run(["umount", str(data)], check=True)
        data.rmdir()
        aside.rename(data)
        supervisor.start_process("clickhouse")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more can be written to the disk."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(BLOCK_BYTES))
    assert shutil.disk_usage(disk).free < BLOCK_BYTES
    try:
        yield
    finally:
        ballast.unlink()
