"""Ways in which a component is not there, each of them over at the end of a block."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ta_pipeline.local.supervisor import Supervisor
from tests.stack import RunningStack, wait_for

DISK_MIB = 256
"""Enough for the tables of a test; small enough to be filled at once."""


@contextmanager
def held_down(stack: RunningStack, component: str) -> Iterator[None]:
    """It was ended with `kill -9`, and nobody starts it again."""
    supervisor = Supervisor(stack.local.dir)
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
    for member in members:
        member.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for member in members:
            member.send_signal(signal.SIGCONT)


@contextmanager
def small_disk(stack: RunningStack) -> Iterator[Path]:
    """ClickHouse's data on a disk of its own, which `full` fills; skips where no file system may be mounted."""
    data = stack.local.dir / "clickhouse" / "data"
    supervisor = Supervisor(stack.local.dir)
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
    try:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
    except OSError:
        pass
    try:
        yield
    finally:
        ballast.unlink()


def await_ready(stack: RunningStack, component: str) -> None:
    """Return when it answers again."""

    def is_ready() -> bool:
        (line,) = [line for line in stack.stack.status() if line.name == component]
        return line.state == "ready"

    wait_for(f"{component} is back", is_ready, 60)
