"""A deployment under a market that goes on, rolled out again and again."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestration.defs.deployment.assets import flink_deployment
from ta_pipeline.feed import FeedReport
from ta_pipeline.feed import send as feed
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.rollout.execute import Execution
from ta_pipeline.rollout.journal import Agent, Journal, Rollout, Step
from ta_pipeline.rollout.service import Rollouts
from ta_pipeline.settings import Settings, load_settings
from tests.dagster_runs import failure, materialize, metadata
from tests.jobs import FAST, on_time, simulated
from tests.proofs import require_as_undisturbed, stopped_at_exit
from tests.stack import RunningStack

RATE, SYMBOLS = 200, 4
LONGEST_SECONDS = 400


@dataclass
class Market:
    """A market that is being sent."""

    messages: list[dict[str, Any]]
    sent: Future[FeedReport]
    stop: Callable[[], None]


@contextmanager
def market(settings: Settings, seed: int, seconds: float = LONGEST_SECONDS) -> Iterator[Market]:
    """Trades and quotes as they happen, until `stop`, or the end of the block."""
    messages = simulated(SYMBOLS, RATE, seconds, seed=seed, start=time.time() + 2)
    with ThreadPoolExecutor() as pool, stopped_at_exit() as stop:
        yield Market(messages, pool.submit(feed, settings, on_time(messages, settings), stop=stop), stop.set)


def changed(platform: Platform, **settings: Any) -> Platform:
    """The same deployment with other settings declared."""
    return Platform.of(load_settings(**{**platform.settings.model_dump(), **settings}), platform.local)


def code_with(folder: Path, edits: Mapping[str, Sequence[tuple[str, str]]]) -> Path:
    """A checkout of the job's code in `folder`, with texts of some files replaced: by file, what was and what is."""
    for part in ("flink", "ta_pipeline", "schema"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "java", "jars"))
    for name, replaced in edits.items():
        path = folder / name
        text = path.read_text(encoding="utf-8")
        for before, after in replaced:
            assert before in text, f"{name} has no {before!r}"
            text = text.replace(before, after, 1)
        path.write_text(text, encoding="utf-8")
    return folder


def roll_out(platform: Platform, **config: Any) -> dict[str, Any]:
    """Materialize the deployment, without a shadow restore unless one is asked for; its metadata."""
    result = materialize(platform, [flink_deployment], {"flink_deployment": {"shadow_restore": False, **config}})
    assert result.success, failure(result)
    return metadata(result, "flink_deployment")


def require_same_as_undisturbed(stack: RunningStack, settings: Settings, tmp_path: Path, sent: Market) -> int:
    """What a read_committed reader saw is what an undisturbed run gives of the same messages; returns the bars."""
    time.sleep(5)  # the last seconds close
    sent.stop()
    bars, _ = require_as_undisturbed(stack, settings, tmp_path, sent.messages[: sent.sent.result().total])
    return len(bars)


class Died(Exception):  # noqa: N818 - what happened to the process
    """The process that carried a rollout out is gone."""


class DyingJournal(Journal):
    """Dies when a step is about to be written down: its work is done, and nobody knows."""

    def __init__(self, platform: Platform, step: Step) -> None:
        super().__init__(platform.settings)
        self._step = step

    def save(self, rollout: Rollout) -> Rollout:
        if rollout.step == self._step:
            raise Died(self._step)
        return super().save(rollout)


class UnattendedRollouts(Rollouts):
    """Writes the plan down; whoever was to carry it out has died."""

    def _spawn(self, rollout: Rollout) -> None:
        self.journal.save(dataclasses.replace(rollout, agent=dataclasses.replace(Agent.here(), started=0.0)))


def die_before(platform: Platform, left: Rollout, step: Step) -> None:
    """Carry `left` out until `step` is about to be written down."""
    left = dataclasses.replace(left, agent=dataclasses.replace(Agent.here(), started=0.0))
    execution = Execution(platform, DyingJournal(platform, step), RevisionStore(platform.settings), silent)
    with pytest.raises(Died):
        execution.run(left)


def finish(platform: Platform) -> Rollout:
    """What the next run does with the rollout that was left; returns how that ended."""
    rollouts = Rollouts(platform)
    left = rollouts.unfinished()
    assert left is not None
    return rollouts.follow(rollouts.resume(left, silent), silent)


def silent(_text: str) -> None:
    """A report that nobody reads."""


@contextmanager
def own_platform(stack: RunningStack, **settings_of_its_own: Any) -> Iterator[Platform]:
    """A deployment of the test's own, whose job is ended with the block."""
    given = {"startup_mode": "earliest", "clickhouse_url": "", **FAST, **settings_of_its_own}
    settings = stack.own_settings(schemas=True, **given)
    made = Platform.of(settings, stack.local)
    try:
        yield made
    finally:
        made.job.cancel()
