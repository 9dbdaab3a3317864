"""supervisord: starts the components, restarts them when they die, and takes them all down.

One supervisord a stack, controlled through a unix socket in the stack's directory. Every process it starts carries
`TA_LOCAL_STACK=<dir>` in its environment, so that one which outlived a killed supervisord is found and ended too.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, write_private
from ta_pipeline.local.supervisor_config import MARK, Layout, digest_line, render

SOCKET_PATH_LIMIT = 100  # of 108 bytes on Linux and 104 on macOS; supervisord adds a suffix while it starts
START_SECONDS = 20.0
STOP_SECONDS = 60.0
KILL_SECONDS = 10.0
_RUNNING = {"RUNNING", "STARTING", "BACKOFF"}


@dataclass(frozen=True)
class Process:
    """What supervisord says about one component."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED or FATAL."""
    pid: int | None
    started_at: int
    """Epoch seconds."""
    error: str

    @property
    def is_running(self) -> bool:
        """Whether supervisord has it running, or keeps trying."""
        return self.state in _RUNNING


class Supervisor:
    """The supervisord of the stack in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.layout = Layout(directory)

    def is_up(self) -> bool:
        """Whether supervisord answers on its socket."""
        if not self.layout.socket.exists():
            return False
        try:
            self._call("getState")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False
        return True

    def start(self, components: Iterable[Component]) -> None:
        """Start supervisord, or hand a running one the new configuration; starts no component.

        Raises:
            StackError: supervisord does not start, or the stack's path is too long for a unix socket.
        """
        if (length := len(str(self.layout.socket))) > SOCKET_PATH_LIMIT:
            raise StackError(
                f"{self.layout.socket} is too long for a unix socket ({length} of {SOCKET_PATH_LIMIT} characters): "
                "set TA_LOCAL_DIR to a shorter path"
            )
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        write_private(self.layout.config, render(self.layout, components))
        if self.is_up():
            self._reload()
            return
        self.layout.socket.unlink(missing_ok=True)
        self.layout.pid_file.unlink(missing_ok=True)
        result = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.layout.config)],
            cwd=self.directory,
            env={**os.environ, MARK: str(self.directory)},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode != 0:
            raise StackError(f"supervisord did not start: {(result.stdout + result.stderr).strip()[-1_000:]}")
        if not _wait(self.is_up, START_SECONDS):
            raise StackError(f"supervisord does not answer on {self.layout.socket} after {START_SECONDS:.0f} s")

    def start_process(self, name: str) -> None:
        """Start one component; does not wait for it.

        Raises:
            StackError: supervisord could not start it.
        """
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise StackError(f"{name} could not be started: {fault.faultString}") from None

    def stop_process(self, name: str) -> None:
        """Stop one component, and do not start it again; one that does not run is fine.

        Raises:
            StackError: supervisord could not stop it.
        """
        try:
            self._call("stopProcess", name)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise StackError(f"{name} could not be stopped: {fault.faultString}") from None

    def restart_process(self, name: str) -> None:
        """Stop one component and start it again; does not wait until it is ready.

        Raises:
            StackError: supervisord is down, or could not start it.
        """
        if not self.is_up():
            raise StackError(f"{name} cannot be restarted: the local stack is down; `ta up` starts it")
        self.stop_process(name)
        self.start_process(name)

    def processes(self) -> dict[str, Process]:
        """Every component supervisord knows, by name; empty when it is down."""
        if not self.is_up():
            return {}
        return {
            item["name"]: Process(
                name=item["name"],
                state=item["statename"],
                pid=item["pid"] or None,
                started_at=item["start"],
                error=item["spawnerr"],
            )
            for item in self._call("getAllProcessInfo")
        }

    def changed(self, components: Iterable[Component]) -> set[str]:
        """Names of the components that run, but not as they are declared now."""
        if not self.layout.config.exists():
            return set()
        # The digest is in the configuration: what is not found there, was written differently.
        written = self.layout.config.read_text(encoding="utf-8")
        running = {name for name, process in self.processes().items() if process.is_running}
        return {c.name for c in components if c.name in running and digest_line(c) not in written}

    def stop(self) -> list[str]:
        """Stop everything, supervisord included, and remove its files; returns what had to be killed.

        Raises:
            StackError: a process is still there.
        """
        members = self._members()
        if self.is_up():
            with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
                # All at once: shutdown alone would stop one after the other.
                self._call("stopAllProcesses", False)
                self._call("shutdown")
            _wait(lambda: not self.layout.pid_file.exists() and not self._left(members), STOP_SECONDS)
        killed: dict[int, str] = {}

        def all_ended() -> bool:
            # In turns: a supervisor that does not listen any more starts a killed component again.
            for process in self._left(members):
                with contextlib.suppress(psutil.NoSuchProcess):
                    killed[process.pid] = f"{process.name()} (pid {process.pid})"
                    process.kill()
            return not self._left(members)

        if not _wait(all_ended, KILL_SECONDS):
            left = ", ".join(str(process.pid) for process in self._left(members))
            raise StackError(f"processes of the stack in {self.directory} did not end: pid {left}")
        for path in (self.layout.socket, self.layout.pid_file, self.layout.config):
            path.unlink(missing_ok=True)
        return list(killed.values())

    def _left(self, members: Iterable[psutil.Process]) -> set[psutil.Process]:
        # One that is ending has lost its environment already, but not yet its ports.
        return {process for process in members if not _has_ended(process)} | set(self._members())

    def _members(self) -> list[psutil.Process]:
        """Processes of this stack, whoever their parent is by now."""
        members = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == str(self.directory) and process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process)
        return members

    def _reload(self) -> None:
        added, changed, removed = self._call("reloadConfig")[0]
        for name in [*changed, *removed]:
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*changed, *added]:
            self._call("addProcessGroup", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.layout.socket}")
        try:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()


def _has_ended(process: psutil.Process) -> bool:
    try:
        # The main thread is a zombie before the other threads have ended and let go of the ports.
        zombie = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return zombie or not process.is_running()
    except psutil.NoSuchProcess:
        return True


def _wait(done: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
