"""Dagster's processes log the platform's lines: Python runs this file first, in each that has its folder on its path.

Dagster has lines of its own, as text or as JSON with other names and no traceback, and each of its processes sets up
its logging by itself. So what is replaced is not a setting but the one place where every handler of theirs makes a
line. `TA_LOG_COMPONENT` says whose lines they are; without it, and where text is in force, nothing is done.
"""

import logging
import os

COMPONENT = os.environ.get("TA_LOG_COMPONENT", "")


def write_lines_of_the_table(component: str) -> None:
    """Let every handler that writes to a stream write JSON lines of this component."""
    from ta_pipeline.logs.dagster import DagsterFormatter  # noqa: PLC0415 - other processes do without

    formatter = DagsterFormatter(component)
    logging.StreamHandler.format = lambda _self, record: formatter.format(record)  # type: ignore[method-assign,assignment]
    # A line that cannot be written is lost: by default its traceback would be written, to the same place.
    logging.raiseExceptions = False


if COMPONENT:
    from ta_pipeline.logs.output import format_in_force

    if format_in_force() == "json":
        write_lines_of_the_table(COMPONENT)
