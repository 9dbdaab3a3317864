"""What Dagster logs, as lines of the table: a record of a run knows its run, its step, and the words without them.

Dagster puts them into a record's attribute `dagster_meta`; nothing of Dagster is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

from ta_pipeline.errors import SettingsError
from ta_pipeline.logs.formatting import Hide, JsonFormatter, as_it_is


class DagsterFormatter(JsonFormatter):
    """One JSON object for each record, of a run or of one of Dagster's own processes.

    Secrets of the environment's settings are taken out: what a client raises inside of a run is not ours.
    """

    def __init__(self, component: str) -> None:
        super().__init__(component, _without_secrets)

    def message_of(self, record: logging.LogRecord) -> str:
        """What was said, without the ids that Dagster puts before it: they are fields."""
        meta = _meta(record)
        said = meta.get("orig_message")
        if not said:
            return super().message_of(record)
        kind = getattr(meta.get("dagster_event"), "event_type_value", "")
        return f"{kind}: {said}" if kind else str(said)

    def error_of(self, record: logging.LogRecord) -> str:
        """The traceback: Dagster puts that of a failed step behind the words."""
        said = _meta(record).get("orig_message")
        behind = record.getMessage().partition(str(said))[2].strip() if said else ""
        return behind or super().error_of(record)

    def about(self, record: logging.LogRecord) -> dict[str, object]:
        """The run and its step, and what whoever logged has given."""
        meta = _meta(record)
        ours = {"run_id": meta.get("run_id"), "step": meta.get("step_key")}
        return {**{name: value for name, value in ours.items() if value}, **super().about(record)}


def _without_secrets(text: str) -> str:
    return _hide()(text)


@cache
def _hide() -> Hide:
    # With the first line, not before: most processes of Dagster's never log one, and the settings take their time.
    try:
        from ta_pipeline.settings import load_settings  # noqa: PLC0415

        return load_settings().without_secrets
    except (SettingsError, ImportError):
        # Also another Python, that a run has started: it has this code on its path and not what the settings need.
        return as_it_is


def _meta(record: logging.LogRecord) -> Mapping[str, object]:
    found = getattr(record, "dagster_meta", None)
    return found if isinstance(found, Mapping) else {}
