"""What this version of the job needs of a saved state: its operators, their ids and parallelism, its states' versions.

`python -m flink.job --describe FILE` writes it; nothing is submitted and no cluster is needed. All of it comes from the
graph that would be submitted, because Flink adds operators of its own (a sink's committer) and computes the ids.
"""

from __future__ import annotations

from typing import Any

from pyflink.datastream import StreamExecutionEnvironment

from flink.exchanges import planned
from ta_pipeline.job_state import FUNCTION
from ta_pipeline.settings import Settings
from ta_pipeline.signals.states import STATES


def describe(environment: StreamExecutionEnvironment, settings: Settings) -> dict[str, Any]:
    """The manifest as plain values; the environment's graph is used up.

    Returns:
        `name`, `parallelism` and `max_parallelism` of the job; `operators`: uid to id (32 hex digits);
        `max_parallelisms`: uid to max parallelism where it is not the job's; `states`: `uid/state` to `version` and
        the older versions it `loads`, the parts of a state as `uid/state/part`.

    Raises:
        ValueError: an operator has no uid, so that its id would change with the graph.
    """
    operators: dict[str, str] = {}
    max_parallelisms: dict[str, int] = {}
    for vertex in planned(environment, settings.k8s_deployment).getJobGraph().getVerticesAsArray():
        for pair in vertex.getOperatorIDs():
            uid = pair.getUserDefinedOperatorUid()
            if not uid:
                raise ValueError(f"{pair.getUserDefinedOperatorName()} has no uid; flink/uids.py gives it one")
            # Flink restores by the id that a user set as a hash; we set none, so it is the one made of the uid.
            operators[uid] = str(pair.getGeneratedOperatorID().toHexString())
            if vertex.getMaxParallelism() != settings.max_parallelism:
                max_parallelisms[uid] = int(vertex.getMaxParallelism())
    return {
        "name": settings.k8s_deployment,
        "parallelism": settings.parallelism,
        "max_parallelism": settings.max_parallelism,
        "operators": dict(sorted(operators.items())),
        "max_parallelisms": dict(sorted(max_parallelisms.items())),
        "states": _states(),
    }


def _states() -> dict[str, dict[str, Any]]:
    declared: dict[str, dict[str, Any]] = {}
    for state in STATES:
        declared[f"{FUNCTION}/{state.name}"] = {"version": state.version, "loads": list(state.loads)}
        for part, version in state.parts.items():
            declared[f"{FUNCTION}/{state.name}/{part}"] = {"version": version, "loads": []}
    return declared
