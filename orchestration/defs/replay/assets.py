"""`replay_validation`: one market day and symbol through the job, alone, and what came of it as a report."""

import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from orchestration.defs.replay.checks import VERDICT, replay_verdict
from orchestration.defs.replay.partitions import DAY, REPLAYS, SYMBOL
from orchestration.failures import explained
from orchestration.keys import topic_key
from orchestration.resources import PlatformResource, declared_platform
from orchestration.tables import Cell, table
from ta_pipeline.replay.days import default_source, replay_day
from ta_pipeline.replay.record import record_verdict
from ta_pipeline.replay.report import draw, render
from ta_pipeline.replay.validate import Replay


class ReplayConfig(dg.Config):
    """Where the messages are, and what else to compare with."""

    source: Literal["auto", "recordings", "topics"] = Field(
        "auto", description="auto: recordings when TA_RECORDINGS_DIR is set, else the retained range of the topics"
    )
    production: bool | None = Field(
        None, description="compare with what production gave out; not set: when the messages come from the topics"
    )


@dg.asset(
    name=VERDICT.asset_key.path[-1],
    group_name="replay",
    kinds={"flink", "pandas"},
    partitions_def=REPLAYS,
    check_specs=[VERDICT],
    deps=[topic_key(topic) for topic in declared_platform().settings.input_topics],
    pool="replay",
)
def replay_validation(
    context: dg.AssetExecutionContext, config: ReplayConfig, platform: PlatformResource
) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows it by this name alone where a check goes with it
    """A day through the same job, apart from production, compared value by value with pandas and with production."""
    day, symbol = _partition(context)
    source = default_source(platform.settings) if config.source == "auto" else config.source
    with_production = source == "topics" if config.production is None else config.production
    with explained(), tempfile.TemporaryDirectory(prefix="ta-replay-") as scratch:
        replay = replay_day(
            platform.settings, day, symbol, Path(scratch), source=source, with_production=with_production,
            progress=_steps(context.log.info), local=platform.local,
        )  # fmt: skip
        pictures = {picture.text: picture.uri for picture in draw(replay, Path(scratch) / "pictures")}
        recorded = record_verdict(platform.settings, replay)
    context.log.info(str(recorded))
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(render(replay, pictures)),
            "verdict": "green" if recorded.is_green else "red",
            "summary": recorded.summary,
            "counts": table(
                ("comparison", "records", "expected", "found", "missing", "extra", "differ"), _counts(replay)
            ),
            "messages": sum(replay.read.values()),
            "seconds": round(replay.seconds, 1),
            "settings hash": recorded.settings_hash,
            "dagster/row_count": len(replay.found["signals"]),
        },
        check_results=[replay_verdict(replay)],
    )


def _partition(context: dg.AssetExecutionContext) -> tuple[date, str]:
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise dg.Failure(f"a replay is of a day and a symbol, its partition is {key!r}", allow_retries=False)
    dimensions = key.keys_by_dimension
    return date.fromisoformat(dimensions[DAY]), dimensions[SYMBOL]


def _steps(say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Say each step once, when it begins."""
    said: set[str] = set()

    def progress(step: str, _done: int, _all: int) -> None:
        if step not in said:
            said.add(step)
            say(step)

    return progress


def _counts(replay: Replay) -> list[tuple[Cell, ...]]:
    return [
        (f"{comparison.found_side} against {comparison.expected_side}", found.name, found.expected, found.found,
         found.missing, found.extra, found.differences)
        for comparison in replay.verdict.comparisons
        for found in comparison.tables
    ]  # fmt: skip
