"""Why pods of a job do not run: from their own states, and from the events of the last hour (`RECENT`); pure.

The operator tells a part of it, and late; a TaskManager's pod it does not look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

RECENT = timedelta(hours=1)
"""So long the API server keeps events by default."""
MOST_EVENTS = 5
_MESSAGE_CHARACTERS = 400
# Replica set and pod of the JobManager, TaskManagers: and not what another FlinkDeployment, <name>-table, has.
_MADE_FOR_IT = r"(-[a-z0-9]{8,10}(-[a-z0-9]{5})?|-taskmanager-\d+-\d+)?"
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


def pod_problems(pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """What keeps each pod from running, one line a container; a pod that runs has none.

    Args:
        pods: of the job.
    """
    return [line for pod in pods for line in _problems(pod)]


def recent_events(events: Iterable[Mapping[str, Any]], name: str, since: datetime) -> list[str]:
    """Warnings since a time about an object and what was made for it, the newest first; of those alike, one.

    Args:
        events: of the namespace.
        name: of the object; pods that are gone are known by it too.
        since: events have whole seconds.
    """
    wanted = re.compile(re.escape(name) + _MADE_FOR_IT)
    found = [
        (at, event)
        for event in events
        if event.get("type") == "Warning"
        and wanted.fullmatch(str(event["involvedObject"].get("name", "")))
        and (at := event_time(event)) is not None
        and at >= since.replace(microsecond=0)
    ]
    lines: dict[str, str] = {}
    for at, event in sorted(found, key=lambda one: one[0], reverse=True):
        about = event["involvedObject"]
        said = f"{about.get('kind', '?')} {about['name']}: {event.get('reason', '?')}: {_short(event.get('message'))}"
        times = f" (x{count})" if (count := int(event.get("count") or 1)) > 1 else ""
        lines.setdefault(said, f"{at:%H:%M:%S} {said}{times}")
    return list(lines.values())[:MOST_EVENTS]


def event_time(event: Mapping[str, Any]) -> datetime | None:
    """When it came last; None when it does not say."""
    series = event.get("series") or {}
    for told in (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime")):
        if told:
            return datetime.fromisoformat(told).astimezone(UTC)
    created = event["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(created).astimezone(UTC) if created else None


def _problems(pod: Mapping[str, Any]) -> Iterator[str]:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"pod {name}: {condition.get('reason', 'Unschedulable')}: {_short(condition.get('message'))}"
    if status.get("phase") == "Failed" and status.get("reason"):
        yield f"pod {name}: {status['reason']}: {_short(status.get('message'))}"
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        last = (container.get("lastState") or {}).get("terminated")
        waiting, ended = state.get("waiting"), state.get("terminated")
        where = f"pod {name}, container {container['name']}"
        if waiting and waiting.get("reason") not in _STARTING:
            cause = f"; it {_ended(last)}" if last else ""
            yield f"{where}: {waiting.get('reason', 'waiting')}: {_short(waiting.get('message'))}{cause}"
        elif ended and ended.get("exitCode"):
            yield f"{where} {_ended(ended)}"
        elif last and last.get("reason") == "OOMKilled":
            yield f"{where} {_ended(last)}"


def _ended(terminated: Mapping[str, Any]) -> str:
    reason = terminated.get("reason", "ended")
    message = f": {_short(terminated['message'])}" if terminated.get("message") else ""
    return f"ended as {reason} with exit code {terminated.get('exitCode', '?')}{message}"


def _short(message: object) -> str:
    text = " ".join(str(message or "no message").split())
    return text if len(text) <= _MESSAGE_CHARACTERS else f"{text[:_MESSAGE_CHARACTERS]}..."
