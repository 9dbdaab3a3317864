"""The report says the verdict and its numbers; its pictures are drawn for every kind of verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ta_pipeline.latency import LatencyRecorder
from ta_pipeline.replay.compare import Frames, compare
from ta_pipeline.replay.report import draw, render, write_report
from ta_pipeline.replay.validate import Replay
from ta_pipeline.replay.verdict import Verdict
from ta_pipeline.settings import load_settings
from tests.unit.replay.frames import copied, day


@pytest.fixture
def expected(tmp_path: Path) -> Frames:
    return day(tmp_path, 60)


def _replay(expected: Frames, found: Frames) -> Replay:
    verdict = Verdict((compare(expected, found, notes=["Live signals are not compared."]),))
    return Replay(
        "2026-07-21-aaa-1", "2026-07-21", "AAA", "a.jsonl", load_settings(), verdict, {"trades": 60, "quotes": 60}, 0,
        {"job": 30.0, "pandas": 1.5}, found, None, "Not applicable: a file.",
    )  # fmt: skip


def test_a_green_report_has_counts_fields_and_what_was_left_out(expected: Frames, tmp_path: Path) -> None:
    path = write_report(_replay(expected, copied(expected)), tmp_path / "out")
    report = path.read_text(encoding="utf-8")
    assert report.startswith("# Replay of AAA on 2026-07-21: green\n")
    assert "| bars | 60 | 60 | 0 | 0 | 0 | 0 | 0 |" in report
    assert "| signals | rsi14 | 60 | 1e-9 | 0 | 0 | 0 | 0 | 0 |" in report
    assert "Live signals are not compared." in report
    assert "Not applicable: a file." in report
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [
        "differences-job.png", "price.png", "report.md",
    ]  # fmt: skip


def test_a_red_report_begins_with_what_is_wrong_and_shows_values(expected: Frames, tmp_path: Path) -> None:
    found = copied(expected)
    found["signals"].loc[30, "mid"] = 3.5
    found["signals"].loc[31, "spread"] = np.nan
    found["bars"] = found["bars"].drop(index=[7])
    report = write_report(_replay(expected, found), tmp_path).read_text(encoding="utf-8")
    assert "2026-07-21: RED" in report
    assert "- bars: 1 of 60 are missing" in report
    assert "| AAA PT1S 2026-07-21T14:30:31.000Z | mid | 100.3" in report
    assert "| AAA 2026-07-21T14:30:08.000Z | the record | there | missing |" in report
    assert ", 1 nulls |" in report


def test_latency_is_drawn_where_there_is_one(expected: Frames, tmp_path: Path) -> None:
    recorder = LatencyRecorder()
    values = [2_000.0 + 10 * n for n in range(100)]
    for value in values:
        recorder.add(value)
    replay = replace(
        _replay(expected, copied(expected)), latency=recorder.summary(), latency_note="As emitted.", latencies_ms=values
    )
    pictures = draw(replay, tmp_path)
    assert [picture.name for picture in pictures] == ["price.png", "differences-job.png", "latency.png"]
    report = render(replay, {picture.text: picture.uri for picture in pictures})
    assert "| 100 | 2.49 s | 2.94 s | 2.98 s | 2.99 s |" in report
    assert report.count("](data:image/png;base64,iVBOR") == 3


def test_a_job_that_gave_nothing_is_reported_without_a_picture_of_prices(expected: Frames, tmp_path: Path) -> None:
    nothing = {name: frame.iloc[:0] for name, frame in expected.items()}
    report = write_report(_replay(expected, nothing), tmp_path).read_text(encoding="utf-8")
    assert "- bars: 60 of 60 are missing" in report
    assert "price.png" not in report
