"""Lines of all components are in the order of time, also those that say no time, half of it, or an earlier one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ta_pipeline.logs.query import Query, answer
from ta_pipeline.logs.seeking import BLOCK_BYTES
from tests.log_files import T0, Opening, kafka, messages, own, write

TRACE = [f"\tat Frame.of({number})" for number in range(60)]


def clock(at: float) -> str:
    """As S3's stand-in writes it: local time, and no date."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S,") + f"{int(at * 1_000) % 1_000:03}"


def test_a_first_line_without_a_time_has_that_of_the_line_behind_it(tmp_path: Path, log_of: Opening) -> None:
    job = log_of(write(tmp_path / "j.log", "Starting a console application", own(T0 + 1, "job")), "jobmanager")
    broker = log_of(write(tmp_path / "k.log", own(T0, "before"), own(T0 + 2, "after")), "kafka")
    found = list(answer([job, broker], Query()))
    assert [line.message for line in found] == ["before", "Starting a console application", "job", "after"]
    assert found[1].at == T0 + 1


def test_the_newest_lines_of_all_are_the_last_ones(tmp_path: Path, log_of: Opening) -> None:
    old = [own(T0 + number, f"old {number}") for number in range(25)]
    new = [own(T0 + 100 + number, f"new {number}") for number in range(10)]
    untimed = log_of(write(tmp_path / "j.log", "Starting", *old), "jobmanager")
    fresh = log_of(write(tmp_path / "k.log", *new), "kafka")
    shown = messages(answer([untimed, fresh], Query(), last=30))
    assert shown == [*(f"old {number}" for number in range(5, 25)), *(f"new {number}" for number in range(10))]


def test_lines_of_a_file_without_any_time_come_first(tmp_path: Path, log_of: Opening) -> None:
    bare = log_of(write(tmp_path / "b.log", "no", "time"), "b")
    timed = log_of(write(tmp_path / "t.log", own(T0, "timed")), "t")
    found = list(answer([timed, bare], Query()))
    assert [(line.message, line.at) for line in found] == [("no", None), ("time", None), ("timed", T0)]
    # When they were written nobody knows, but not after the file was last changed.
    changed = (tmp_path / "b.log").stat().st_mtime
    assert messages(answer([log_of(tmp_path / "b.log")], Query(since=changed - 60))) == ["no", "time"]
    assert messages(answer([log_of(tmp_path / "b.log")], Query(since=changed + 60))) == []


@pytest.mark.parametrize("filler", [0, 2 * BLOCK_BYTES], ids=["a block", "blocks"])
def test_last_lines_that_begin_in_a_trace_have_its_time_and_level(tmp_path: Path, log_of: Opening, filler: int) -> None:
    trace = log_of(write(tmp_path / "k.log", kafka(T0, "broke", "ERROR"), "\tat " + "x" * filler, *TRACE), "kafka")
    job = log_of(write(tmp_path / "j.log", own(T0 + 1, "later")), "jobmanager")
    found = list(answer([trace, job], Query(), last=50))
    assert [line.message for line in found] == [*TRACE[-49:], "later"]
    assert {(line.at, line.level) for line in found[:-1]} == {(T0, "ERROR")}


def test_a_trace_that_goes_on_in_the_next_file_has_its_time(tmp_path: Path, log_of: Opening) -> None:
    write(tmp_path / "k.log.1", kafka(T0, "broke", "ERROR"), *TRACE[:30])
    file = log_of(write(tmp_path / "k.log", *TRACE[30:]), "kafka")
    found = list(file.lines(last=5))
    assert [(line.message, line.at, line.level) for line in found] == [(text, T0, "ERROR") for text in TRACE[-5:]]


def test_lines_since_a_moment_that_begin_in_a_trace_are_as_old_as_it(tmp_path: Path, log_of: Opening) -> None:
    lines = [kafka(T0, "broke"), *TRACE * 200, kafka(T0 + 9, "recent"), "\tat Frame"]
    path = write(tmp_path / "k.log", *lines)
    assert path.stat().st_size > 3 * BLOCK_BYTES
    assert messages(answer([log_of(path)], Query(since=T0 + 5))) == [kafka(T0 + 9, "recent"), "\tat Frame"]


def test_a_line_with_an_earlier_time_does_not_put_others_out_of_order(tmp_path: Path, log_of: Opening) -> None:
    one = log_of(write(tmp_path / "a.log", own(T0 + 5, "a5"), own(T0 + 1, "a1, late"), own(T0 + 8, "a8")), "a")
    other = log_of(write(tmp_path / "b.log", own(T0 + 4, "b4"), own(T0 + 6, "b6"), own(T0 + 9, "b9")), "b")
    assert messages(answer([one, other], Query())) == ["b4", "a5", "a1, late", "b6", "a8", "b9"]


def test_a_time_without_a_date_is_of_the_day_before_the_file_was_written(tmp_path: Path, log_of: Opening) -> None:
    noon = datetime.fromisoformat("2026-07-21T12:00:00").timestamp()
    lines = [f"{clock(noon + hours * 3_600)} |-WARN in Context" for hours in (13, 1)]
    path = write(tmp_path / "s3.log", *lines)
    os.utime(path, (noon + 2 * 3_600, noon + 2 * 3_600))
    found = list(answer([log_of(path, "s3")], Query()))
    assert [(line.at, line.level) for line in found] == [(noon - 11 * 3_600, "WARN"), (noon + 3_600, "WARN")]
    yesterday = write(tmp_path / "y.log", f"{clock(noon + 3 * 3_600)} |-INFO in Context")
    os.utime(yesterday, (noon, noon))
    assert [line.at for line in answer([log_of(yesterday, "s3")], Query())] == [noon - 21 * 3_600]
