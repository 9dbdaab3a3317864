"""The table of field names: what a log line can say, whoever writes it.

A line is one JSON object (RFC 8259) with these names and no others; a field that does not apply is left out. Flink's
log4j (`ta_pipeline.logs.log4j`), Python's logging (`ta_pipeline.logs.formatting`) and Alloy (k8s/loki/alloy.alloy)
take the names from here; docs/logs.md shows the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
"""From the least to the gravest; log4j's names, whoever writes."""
_SAME_LEVEL = {"WARNING": "WARN", "CRITICAL": "FATAL", "CRIT": "FATAL", "SEVERE": "ERROR", "NOTSET": "TRACE"}
DEPLOYMENT_VARIABLE = "TA_K8S_DEPLOYMENT"
DEFAULT_DEPLOYMENT = "torghut-ta"

Kind = Literal["text", "number", "time"]
Place = Literal["label", "metadata", "line"]


@dataclass(frozen=True)
class Field:
    """One name of the table."""

    name: str
    kind: Kind
    """`time`: RFC 3339, UTC, with milliseconds; in Python it is given as epoch milliseconds."""
    meaning: str
    always: bool = False
    """Whether every line has it."""
    in_loki: Place = "line"
    """`label`: few values, an index; `metadata`: many values, found fast all the same; `line`: only in the line."""


FIELDS = (
    Field("time", "time", "when it was logged", always=True),
    Field("level", "text", ", ".join(LEVELS), always=True, in_loki="label"),
    Field("logger", "text", "who says so: a Java class, or ta.*", always=True),
    Field("message", "text", "a sentence; at most 16 KiB", always=True),
    Field(
        "component", "text", "which process: taskmanager, probe, rollout, dagster, ...", always=True, in_loki="label"
    ),
    Field("deployment", "text", "TA_K8S_DEPLOYMENT", always=True, in_loki="metadata"),
    Field("thread", "text", "of the process", always=True),
    Field("error", "text", "the exception with its traceback, as one text"),
    Field("kind", "text", "what happened, as a word: late_*, rejected_*, revised", in_loki="metadata"),
    Field("symbol", "text", "of the record", in_loki="metadata"),
    Field("channel", "text", "the topic a record was read from, or the channel it is for", in_loki="metadata"),
    Field("event_ts", "time", "event time of the record"),
    Field("watermark", "time", "event time had come so far"),
    Field("lag_ms", "number", "from event time to when it was logged, milliseconds"),
    Field("partition", "number", "of the record in its topic"),
    Field("offset", "number", "of the record in its partition"),
    Field("revision", "number", "of the bar"),
    Field("detail", "text", "why, in the words of whoever found it"),
    Field("left_out", "number", "lines like this one that were not written since the last one"),
    Field("job_id", "text", "Flink's id of the job", in_loki="metadata"),
    Field("run_id", "text", "Dagster's id of the run", in_loki="metadata"),
    Field("step", "text", "of Dagster's run"),
    Field("rollout", "text", "id of the rollout", in_loki="metadata"),
)
NAMES = tuple(field.name for field in FIELDS)
BY_NAME: Mapping[str, Field] = {field.name: field for field in FIELDS}
OF_THE_RECORD = frozenset({"time", "level", "logger", "message", "component", "deployment", "thread", "error"})
"""What a logging library knows by itself; whoever logs gives the others."""


def level_of(name: str) -> str:
    """A level as the table has it; empty when it is none. Python, supervisord and log4j name them differently."""
    upper = name.upper()
    upper = _SAME_LEVEL.get(upper, upper)
    return upper if upper in LEVELS else ""
