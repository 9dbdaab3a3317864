"""What log4j writes of an event of Flink's: the template of its JsonTemplateLayout, with the fields of the table.

A resolver that has nothing to say leaves its field out. The job's id is put into log4j's thread context by Flink
(`JobManagerOptions`, MDC); symbol and the like are taken from there under the table's own names.
"""

from __future__ import annotations

import json
from typing import Any

from ta_pipeline.logs.fields import DEFAULT_DEPLOYMENT, DEPLOYMENT_VARIABLE, NAMES

COMPONENT_PROPERTY = "ta.component"
"""The system property of a JVM that says which of Flink's processes it is."""
_RESOLVERS: dict[str, Any] = {
    "time": {"$resolver": "timestamp", "pattern": {"format": "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "timeZone": "UTC"}},
    "level": {"$resolver": "level", "field": "name"},
    "logger": {"$resolver": "logger", "field": "name"},
    "message": {"$resolver": "message", "stringified": True},
    "component": f"${{sys:{COMPONENT_PROPERTY}:-flink}}",
    "deployment": f"${{env:{DEPLOYMENT_VARIABLE}:-{DEFAULT_DEPLOYMENT}}}",
    "thread": {"$resolver": "thread", "field": "name"},
    "error": {"$resolver": "exception", "field": "stackTrace", "stackTrace": {"stringified": True}},
    "job_id": {"$resolver": "mdc", "key": "flink-job-id"},
}
_ELSEWHERE = frozenset({"run_id", "step", "rollout"})
"""Of Dagster and of rollouts: no JVM has them."""


def template() -> dict[str, Any]:
    """The event template, in the order of the table."""
    return {name: _RESOLVERS.get(name, {"$resolver": "mdc", "key": name}) for name in NAMES if name not in _ELSEWHERE}


def template_text() -> str:
    """The same on one line."""
    return json.dumps(template(), separators=(",", ":"))


def component_option(component: str) -> str:
    """The option of the JVM by which its lines say that they are of this component."""
    return f"-D{COMPONENT_PROPERTY}={component}"
