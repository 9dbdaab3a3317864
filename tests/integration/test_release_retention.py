"""Copies of the job's code that nothing needs any more, deleted with the savepoints; no job has to run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.savepoints.assets import savepoint_retention
from ta_pipeline.local.releases import Release, make_release
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.journal import Journal, Rollout, Version
from tests.stack import RunningStack


@pytest.fixture
def platform(stack: RunningStack, tmp_path: Path) -> Platform:
    """With copies of its own: what is left of them is nobody else's."""
    return Platform.of(stack.own_settings(topics=False), stack.local.model_copy(update={"dir": tmp_path / "stack"}))


def test_retention_deletes_the_copies_of_the_code_that_no_rollback_and_no_rollout_needs(
    platform: Platform, tmp_path: Path
) -> None:
    folder = platform.local.dir / "releases"
    made = [_release(platform, tmp_path, text) for text in ("ran", "deploying", "before it", "only planned")]
    ran, target, previous, planned = (one.digest for one in made)
    journal, young = Journal(platform.settings), _release(platform, tmp_path, "young")
    RevisionStore(platform.settings).append(Revision(0, "", "running", "ta", "9" * 32, {}, ran))
    rollout = Rollout("one", "upgrade", 1.0, Version({}, target), Version({}, previous))
    journal.save(rollout)
    for release in made:
        os.utime(release.path, (0, 0))

    assert _pruned(platform) >= 1
    assert not (folder / planned).exists()
    assert {ran, target, previous, young.digest} <= {path.name for path in folder.iterdir()}
    journal.save(replace(rollout, step="failed"))
    assert _pruned(platform) == 2
    assert not {target, previous} & {path.name for path in folder.iterdir()}
    assert (folder / ran).exists()


def _release(platform: Platform, folder: Path, text: str) -> Release:
    """A copy of code that nobody runs."""
    code = folder / "code"
    (code / "flink").mkdir(parents=True, exist_ok=True)
    (code / "flink" / "job.py").write_text(f"{text} {platform.settings.k8s_deployment}", encoding="utf-8")
    return make_release(platform.local, code)


def _pruned(platform: Platform) -> Any:
    """How many copies of the code the asset deleted."""
    result = dg.materialize([savepoint_retention], resources={"platform": platform})
    (materialization,) = result.asset_materializations_for_node("savepoint_retention")
    return materialization.metadata["releases deleted"].value
