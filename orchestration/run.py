"""`python -m orchestration.run JOB`: one job of the code location, in this process, its log on the terminal.

The run is in Dagster's history as any other (DAGSTER_HOME). For demonstrations and scripts; people use the UI.
"""

import argparse
import json
import logging
import sys

import dagster as dg

from orchestration.definitions import defs


@dg.logger(config_schema={}, description="What a run says of itself, a line each, and nothing else.")
def told(_context: dg.InitLoggerContext) -> logging.Logger:
    """Prints what was logged by an asset or op; not Dagster's own events."""
    logger = logging.Logger("told", logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(lambda record: getattr(record, "dagster_meta", {}).get("dagster_event") is None)
    handler.setFormatter(_Plain())
    logger.addHandler(handler)
    return logger


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return str(getattr(record, "dagster_meta", {}).get("orig_message", record.getMessage()))


def main() -> int:
    """Execute the job named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", help="bootstrap, upgrade, rollback, stop, ...")
    parser.add_argument("--config", default="{}", metavar="JSON", help='of its ops: {"name": {"field": value}}')
    parser.add_argument("--partition", help="of a partitioned job")
    arguments = parser.parse_args()
    ops = {name: {"config": values} for name, values in json.loads(arguments.config).items()}
    loaded = dg.Definitions.merge(defs(), dg.Definitions(loggers={"told": told}))
    with dg.DagsterInstance.get() as instance:
        result = loaded.resolve_job_def(arguments.job).execute_in_process(
            run_config={"loggers": {"told": {}}, **({"ops": ops} if ops else {})},
            partition_key=arguments.partition,
            instance=instance,
            raise_on_error=False,
        )
    for text in outcome(result):
        print(text, flush=True)  # noqa: T201 - this is its output
    return 0 if result.success else 1


def outcome(result: dg.ExecuteInProcessResult) -> list[str]:
    """Checks, and what failed, in words."""
    lines = []
    for check in result.get_asset_check_evaluations():
        mark = "passed" if check.passed else "FAILED"
        lines.append(f"{mark} {check.asset_key.to_user_string()}: {check.check_name}: {check.description}")
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            refused = data.user_failure_data
            lines.append(f"failed {event.step_key}: {refused.description if refused else data.error}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
