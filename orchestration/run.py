"""`python -m orchestration.run JOB`: one job of the code location, in this process, its log on the terminal.

The run is in Dagster's history as any other (DAGSTER_HOME). For demonstrations and scripts; people use the UI.
"""

import argparse
import json
import logging
import sys

import dagster as dg

from orchestration.definitions import defs


def main() -> int:
    """Execute the job named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", help="bootstrap, upgrade, rollback, stop, ...")
    parser.add_argument("--config", default="{}", metavar="JSON", help="config of its ops: {'name': {'field': value}}")
    parser.add_argument("--partition", help="of a partitioned job")
    arguments = parser.parse_args()
    logging.getLogger("dagster").setLevel(logging.CRITICAL)  # the run's own log is printed below, without its ceremony
    ops = {name: {"config": values} for name, values in json.loads(arguments.config).items()}
    with dg.DagsterInstance.get() as instance:
        job = defs().resolve_job_def(arguments.job)
        result = job.execute_in_process(
            run_config={"ops": ops} if ops else None,
            partition_key=arguments.partition,
            instance=instance,
            raise_on_error=False,
        )
        for text in _told(result):
            print(text, flush=True)  # noqa: T201 - this is its output
    return 0 if result.success else 1


def _told(result: dg.ExecuteInProcessResult) -> list[str]:
    """What people want to know of a run: what failed, the checks, what was made."""
    lines = []
    for check in result.get_asset_check_evaluations():
        mark = "passed" if check.passed else "FAILED"
        lines.append(f"check {check.asset_key.to_user_string()}: {check.check_name} {mark}: {check.description}")
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data.user_failure_data
            lines.append(f"failed {event.step_key}: {data.description if data else event.step_failure_data.error}")
        if event.is_step_materialization:
            made = event.step_materialization_data.materialization
            shown = {name: value.value for name, value in made.metadata.items() if _is_short(value)}
            lines.append(f"made {made.asset_key.to_user_string()}: {json.dumps(shown, default=str)}")
    return lines


def _is_short(value: object) -> bool:
    return isinstance(value, (dg.TextMetadataValue, dg.IntMetadataValue, dg.FloatMetadataValue))


if __name__ == "__main__":
    sys.exit(main())
