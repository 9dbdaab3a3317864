"""Bringing components up: each is started when those before it are ready, and awaited until it is ready itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, NotReadyError
from ta_pipeline.local.supervisor import Process, Supervisor
from ta_pipeline.logs.files import LogFile
from ta_pipeline.logs.view import as_text

POLL_SECONDS = 0.25
TOLERATED_DEATHS = 2
LOG_TAIL_LINES = 15

Report = Callable[[str, str], None]
"""Told what happens: a component (or "jars") and its new state: resolving, starting, ready, running."""


@dataclass
class _Waiting:
    component: Component
    started: bool
    reason: str = "not started yet"
    """Why it is not ready."""
    pids: set[int] = field(default_factory=set)


def bring_up(
    supervisor: Supervisor,
    starting: Iterable[Component],
    running: Iterable[Component],
    timeout_seconds: float,
    report: Report,
) -> None:
    """Start `starting`, and return when those and `running` are ready and arranged.

    Raises:
        StackError: a component keeps dying, or is not ready in time; the message ends with its log.
    """
    waiting = {component.name: _Waiting(component, started=False) for component in starting}
    waiting |= {component.name: _Waiting(component, started=True) for component in running}
    deadline = time.monotonic() + timeout_seconds
    while waiting:
        for name, item in waiting.items():
            if not item.started and not waiting.keys() & set(item.component.after):
                supervisor.start_process(name)
                item.started = True
                report(name, "starting")
        processes = supervisor.processes()
        for name, item in list(waiting.items()):
            if item.started and _is_ready(supervisor, item, processes.get(name)):
                item.component.arrange()
                del waiting[name]
                report(name, "ready")
        if waiting and time.monotonic() > deadline:
            detail = "\n".join(f"{name}: {item.reason}\n{_tail(supervisor, name)}" for name, item in waiting.items())
            raise StackError(f"not ready after {timeout_seconds:g} s: {', '.join(waiting)}\n{detail}")
        if waiting:
            time.sleep(POLL_SECONDS)


def _is_ready(supervisor: Supervisor, item: _Waiting, process: Process | None) -> bool:
    name = item.component.name
    if process is not None and process.pid:
        item.pids.add(process.pid)
    if process is None or process.state == "FATAL" or len(item.pids) > TOLERATED_DEATHS:
        why = process.error if process is not None and process.error else "it keeps exiting"
        log = supervisor.layout.log_file(name)
        raise StackError(f"{name} does not start: {why}; the end of {log}:\n{_tail(supervisor, name)}")
    try:
        item.component.ready()
    except NotReadyError as reason:
        item.reason = str(reason)
        return False
    return True


def _tail(supervisor: Supervisor, name: str) -> str:
    with LogFile(name, supervisor.layout.log_file(name)) as log:
        lines = [as_text(line, with_component=False) for line in log.lines(last=LOG_TAIL_LINES)]
    return "\n".join(lines) or "(no log)"
