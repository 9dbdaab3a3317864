"""Dagster's processes log the platform's lines: Python runs this file first, in each that has its folder on its path.

Dagster has lines of its own, as text or as JSON with other names and no traceback, and each of its processes sets up
its logging by itself. So what is replaced is not a setting but the one place where every handler of theirs makes a
line. `TA_LOG_COMPONENT` says whose lines they are; without it, and where text is in force, nothing is done.
"""

import logging
import os
import sys

COMPONENT = os.environ.get("TA_LOG_COMPONENT", "")


def write_lines_of_the_table(component: str) -> None:
    """Let every handler that writes to standard output or error write JSON lines of this component.

    A program that a run starts may keep a log of its own, in a file: that is left alone.
    """
    from ta_pipeline.logs.dagster import DagsterFormatter  # noqa: PLC0415 - other processes do without

    formatter, as_set_up = DagsterFormatter(component), logging.StreamHandler.format

    def format_record(handler: logging.StreamHandler, record: logging.LogRecord) -> str:  # type: ignore[type-arg]
        is_ours = any(handler.stream is own for own in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__))
        return formatter.format(record) if is_ours else as_set_up(handler, record)

    logging.StreamHandler.format = format_record  # type: ignore[method-assign,assignment]
    # A line that cannot be written is lost: by default its traceback would be written, to the same place.
    logging.raiseExceptions = False


def is_missing(error: ImportError) -> bool:
    """Whether it is the platform that this Python does not have: then it runs something else."""
    return (error.name or "").partition(".")[0] == "ta_pipeline"


if COMPONENT:
    try:
        from ta_pipeline.logs.output import format_in_force

        if format_in_force() == "json":
            write_lines_of_the_table(COMPONENT)
    except ImportError as error:
        if not is_missing(error):
            raise
