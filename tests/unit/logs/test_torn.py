"""A line that is torn, by a rotation or because it is being written, is shown once and whole."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from ta_pipeline.logs.query import Query, answer
from ta_pipeline.logs.seeking import LONGEST_BYTES
from tests.log_files import T0, Opening, followed, messages, own, write

TORN = own(T0 + 1, "torn")


def rotated(path: Path) -> None:
    """supervisord rotates between two pieces of what it reads, wherever a line ends."""
    write(path, TORN[:20], ending="")
    path.rename(f"{path}.1")
    write(path, TORN[20:])


def test_a_line_that_was_torn_by_a_rotation_is_one(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"))
    rotated(path)
    write(path, own(T0 + 2, "after"))
    assert messages(answer([log_of(path)], Query())) == ["before", "torn", "after"]
    for count in range(1, 4):
        last = messages(answer([log_of(path)], Query(), last=count))
        assert last == ["before", "torn", "after"][-count:]
    assert messages(answer([log_of(path)], Query(since=T0 + 1))) == ["torn", "after"]


def test_a_line_that_is_torn_by_a_rotation_while_it_is_followed_is_one(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"))
    file = log_of(path)
    assert messages(answer([file], Query(), is_followed=True)) == ["before"]
    assert followed([file], Query(), lambda: rotated(path)) == ["torn"]


def test_a_line_that_is_being_written_when_following_begins_is_shown_once_it_is_whole(
    tmp_path: Path, log_of: Opening
) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"), TORN[:20], ending="")
    file = log_of(path)
    assert messages(answer([file], Query(), is_followed=True)) == ["before"]
    assert followed([file], Query(), lambda: write(path, TORN[20:])) == ["torn"]
    write(path, "the end", ending="")
    assert messages(answer([log_of(path)], Query())) == ["before", "torn", "the end"]


def test_what_was_torn_in_a_file_that_is_emptied_does_not_spoil_what_comes_next(
    tmp_path: Path, log_of: Opening
) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"))
    file = log_of(path)
    assert messages(answer([file], Query(), is_followed=True)) == ["before"]
    steps: tuple[Callable[[], object], ...] = (
        lambda: write(path, "half", ending=""),
        lambda: os.truncate(path, 0),
        lambda: write(path, TORN),
    )
    assert followed([file], Query(), *steps) == ["half", "torn"]


def test_a_line_without_a_time_that_is_added_is_as_new_as_it_is(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", own(T0, "long ago"))
    recent = Query(since=path.stat().st_mtime - 300)
    file = log_of(path)
    assert messages(answer([file], recent, is_followed=True)) == []
    added = [lambda: write(path, "Traceback (most recent call last):"), lambda: write(path, own(T0, "an old time"))]
    assert followed([file], recent, *added) == ["Traceback (most recent call last):"]


def test_in_a_file_that_is_new_lines_are_as_new_as_they_are(tmp_path: Path, log_of: Opening) -> None:
    file = log_of(tmp_path / "a.log")
    assert messages(answer([file], Query(), is_followed=True)) == []
    assert followed([file], Query(since=T0), lambda: write(file.path, "Starting", own(T0 + 1, "up"))) == [
        "Starting", "up",
    ]  # fmt: skip


def test_a_file_without_line_breaks_is_never_read_whole(tmp_path: Path, log_of: Opening) -> None:
    path = write(tmp_path / "a.log", own(T0, "before"))
    os.truncate(path, 40 * LONGEST_BYTES)
    tracemalloc.start()
    try:
        for since, last in ((None, None), (T0 + 5, None), (None, 2)):
            assert all(len(line.message) <= LONGEST_BYTES for line in log_of(path).lines(since, last))
        assert tracemalloc.get_traced_memory()[1] < 16 * LONGEST_BYTES
    finally:
        tracemalloc.stop()
