from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ta_pipeline.errors import StackError
from ta_pipeline.local.releases import (
    activate,
    active,
    find_release,
    loaded,
    make_release,
    mark_loaded,
    prune,
    unneeded,
)
from ta_pipeline.local.settings import LocalSettings, load_local_settings


@pytest.fixture
def local(tmp_path: Path) -> LocalSettings:
    return load_local_settings(dir=tmp_path / "stack")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    for name in ("flink/job.py", "ta_pipeline/rows.py", "schema/trade_conditions.csv", "flink/java/Main.java"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_release_is_a_copy_of_what_the_job_imports(local: LocalSettings, code: Path) -> None:
    release = make_release(local, code)
    copied = {path.relative_to(release.path).as_posix() for path in release.path.rglob("*") if path.is_file()}
    assert copied == {"flink/job.py", "ta_pipeline/rows.py", "schema/trade_conditions.csv"}
    assert make_release(local, code) == release
    assert make_release(local, release.path) == release


def test_changed_code_is_another_release_and_the_old_one_stays_as_it_was(local: LocalSettings, code: Path) -> None:
    before = make_release(local, code)
    (code / "flink/job.py").write_text("changed")
    after = make_release(local, code)
    assert after.digest != before.digest
    assert (before.path / "flink/job.py").read_text() == "flink/job.py"


def test_what_a_file_is_called_counts_too(local: LocalSettings, code: Path) -> None:
    before = make_release(local, code)
    (code / "flink/job.py").rename(code / "flink/other.py")
    assert make_release(local, code).digest != before.digest


def test_the_link_points_at_the_active_release(local: LocalSettings, code: Path) -> None:
    assert active(local) is None
    first = make_release(local, code)
    activate(local, first)
    (code / "flink/job.py").write_text("changed")
    second = make_release(local, code)
    activate(local, second)
    assert active(local) == second.digest
    assert find_release(local, first.digest) == first


def test_a_release_that_is_gone_is_named(local: LocalSettings) -> None:
    with pytest.raises(StackError, match="release 'abc' is not in"):
        find_release(local, "abc")


def test_pruning_keeps_the_active_release_and_those_that_are_needed(local: LocalSettings, code: Path) -> None:
    made = []
    for text in ("one", "two", "three"):
        (code / "flink/job.py").write_text(text)
        made.append(make_release(local, code))
    activate(local, made[2])
    now = time.time()
    assert prune(local, [], now - 3_600) == [], "all of them were made just now"
    assert prune(local, [made[1].digest], now + 1) == [made[0].digest]
    assert active(local) == made[2].digest
    assert {path.name for path in made[2].path.parent.iterdir()} == {"current", made[1].digest, made[2].digest}


def test_what_the_taskmanager_was_started_for_is_told_apart_from_the_link(local: LocalSettings, code: Path) -> None:
    first = make_release(local, code)
    assert loaded(local) is None
    activate(local, first)
    mark_loaded(local, first)
    (code / "flink/job.py").write_text("changed")
    activate(local, make_release(local, code))
    assert loaded(local) == first.digest
    assert active(local) != first.digest


def test_a_release_that_is_made_or_found_again_is_as_good_as_new(local: LocalSettings, code: Path) -> None:
    release = make_release(local, code)
    for use in (lambda: make_release(local, code), lambda: find_release(local, release.digest)):
        os.utime(release.path, (0, 0))
        use()
        assert unneeded(local, [], time.time() - 3_600) == []


def test_what_an_interrupted_copy_left_is_pruned_when_it_is_old(local: LocalSettings, code: Path) -> None:
    release = make_release(local, code)
    left = release.path.with_name("0123456789ab.01234567")
    left.mkdir()
    os.utime(left, (0, 0))
    assert prune(local, [release.digest], time.time() + 1) == [left.name]
