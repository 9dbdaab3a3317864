"""Shadow restore: before the old job is stopped, the new one is restored from its state, beside it.

The metadata of a checkpoint tells whether the states fit, by name and version. Whether the new code loads what is in
them, and gives something out, only running it tells.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ta_pipeline.errors import FlinkError, RolloutError
from ta_pipeline.platform import Platform
from ta_pipeline.runtime import Report
from ta_pipeline.savepoints.drill import drill
from ta_pipeline.savepoints.savepoint import list_savepoints, same_path
from ta_pipeline.savepoints.tools import shadow_tools


def shadow_restore(current: Platform, target: Platform, restore_from: str | None, report: Report) -> str:
    """Restore the target from a savepoint of the running job, beside it; returns what it showed, for people.

    Args:
        current: what runs; it takes the savepoint.
        target: what is to run.
        restore_from: a savepoint to restore instead.
        report: told of each step.

    Raises:
        RolloutError: the target does not come up from that state, or gives nothing out.
        S3Error: the savepoints cannot be listed.
    """
    if restore_from is None:
        report("taking a savepoint for the shadow restore")
        try:
            path, where = current.job.savepoint(), current.settings
        except FlinkError as error:
            # A job that is ill has to be replaced all the same.
            return f"No shadow restore: {error}"
    else:
        path, where = restore_from, target.settings
    savepoint = next((one for one in list_savepoints(where) if same_path(one.path) == same_path(path)), None)
    if savepoint is None:
        return f"No shadow restore: {path} is not in {where.savepoint_dir}."
    shown = drill(target.settings, savepoint, shadow_tools(target), datetime.now(UTC), report=report)
    if not shown.passed:
        raise RolloutError(f"the shadow restore of {savepoint.name} failed: {'; '.join(shown.problems)}")
    return f"Shadow restore: first checkpoint after {shown.restore_seconds:.1f} s; {shown.output}."
