"""A verdict as Dagster shows it: the result of a check of the job, and all numbers together as an observation."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orchestration.keys import JOB
from orchestration.tables import table
from ta_pipeline.monitoring.verdicts import Verdict

FAILS = {"bad", "unknown", "warn"}
"""Absence is not passed either."""


def check_result(verdict: Verdict) -> dg.AssetCheckResult:
    """What a check on demand gives."""
    return dg.AssetCheckResult(**_judged(verdict))


def evaluation(verdict: Verdict) -> dg.AssetCheckEvaluation:
    """The same, of a sensor: without a run."""
    return dg.AssetCheckEvaluation(**_judged(verdict))


def observation(verdicts: Sequence[Verdict], seconds: float) -> dg.AssetObservation:
    """Every verdict with its numbers; numbers that Dagster draws over time stand alone."""
    drawn = {
        f"{verdict.name}/{name}": figure
        for verdict in verdicts
        for name, figure in verdict.figures.items()
        if isinstance(figure, int | float) and not isinstance(figure, bool)
    }
    rows = [(verdict.name, verdict.state, verdict.message) for verdict in verdicts]
    return dg.AssetObservation(
        asset_key=JOB,
        description=summary(verdicts),
        metadata={"verdicts": table(("question", "state", "what was found"), rows), "asked_s": seconds, **drawn},
    )


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line: how many are in each state, and the names of those that are not well."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict.state] = counts.get(verdict.state, 0) + 1
    said = ", ".join(f"{number} {state}" for state, number in counts.items())
    unwell = [verdict.name for verdict in verdicts if not verdict.is_well and not verdict.caused_by]
    return said + (f": {', '.join(unwell)}" if unwell else "")


def _judged(verdict: Verdict) -> dict[str, Any]:
    """The fields that Dagster's two forms of a judgement share."""
    explained = {"caused_by": verdict.caused_by} if verdict.caused_by else {}
    return {
        "asset_key": JOB,
        "check_name": verdict.name,
        "passed": verdict.state not in FAILS,
        "severity": dg.AssetCheckSeverity.ERROR if verdict.calls else dg.AssetCheckSeverity.WARN,
        "description": verdict.message,
        "metadata": {"state": verdict.state, **verdict.figures, **explained},
    }
