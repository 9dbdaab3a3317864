"""Where a day's messages are found, and what is said when they are not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ta_pipeline.decode import epoch_ms
from ta_pipeline.errors import RecordingError
from ta_pipeline.replay.inputs import ALL, cut_day, day_bounds, day_of, recorded_symbols, recordings_of
from ta_pipeline.settings import Settings, load_settings
from tests.messages import quote, trade, write_recording

DAY = date(2018, 1, 2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in (
        "xxx_20180102_trades.jsonl.gz", "xxx_20180102_quotes.jsonl.gz", "brk.b_20180102_trades.jsonl",
        "xxx_20180103_trades.jsonl.gz", "notes.txt", "xxx_2018_trades.jsonl",
    ):  # fmt: skip
        (tmp_path / name).touch()
    return load_settings(recordings_dir=str(tmp_path))


def test_recordings_are_found_by_their_names(settings: Settings) -> None:
    assert [path.name for path in recordings_of(settings, DAY, "XXX")] == [
        "xxx_20180102_quotes.jsonl.gz", "xxx_20180102_trades.jsonl.gz",
    ]  # fmt: skip
    assert len(recordings_of(settings, DAY, ALL)) == 3
    assert recorded_symbols(settings) == ["BRK.B", "XXX"]


def test_a_day_without_a_recording_a_missing_folder_and_no_folder_are_told_apart(settings: Settings) -> None:
    with pytest.raises(RecordingError, match=r"no recording of XXX on 2018-01-04.*xxx_20180104_trades"):
        recordings_of(settings, date(2018, 1, 4), "XXX")
    with pytest.raises(RecordingError, match=r"TA_RECORDINGS_DIR=/nowhere is not a folder"):
        recordings_of(load_settings(recordings_dir="/nowhere"), DAY, "XXX")
    with pytest.raises(RecordingError, match="TA_RECORDINGS_DIR is empty"):
        recordings_of(load_settings(), DAY, "XXX")
    assert recorded_symbols(load_settings(recordings_dir="/nowhere")) == []


def test_a_day_is_cut_out_of_longer_recordings_in_log_order(tmp_path: Path) -> None:
    bounds = day_bounds(DAY, load_settings())
    times = ["2018-01-02T08:59:59Z", "2018-01-02T09:00:00Z", "2018-01-03T08:59:59Z", "2018-01-03T09:00:00Z"]
    messages = [trade(number, 0, 10.0, t=time) for number, time in enumerate(times)]
    one = write_recording(tmp_path / "one", [*messages[:2], b"{broken", *messages[2:], b"{broken too"])
    other = write_recording(tmp_path / "other", [quote(0, 9, 11, t="2018-01-02T12:00:00Z")])
    lines = cut_day([one, other], bounds, tmp_path / "cut" / "day.jsonl").read_bytes().splitlines()
    assert [b'"i":1' in lines[0], lines[1], b'"T":"q"' in lines[2], b'"i":2' in lines[3]] == [
        True, b"{broken", True, True,
    ]  # fmt: skip
    assert len(lines) == 4
    with pytest.raises(RecordingError, match="no message of that day"):
        cut_day([one], day_bounds(date(2018, 2, 2), load_settings()), tmp_path / "none")


@pytest.mark.parametrize(
    ("time", "session", "day"),
    [
        # New York has had midnight, and its trading day begins at four.
        ("2026-11-26T08:05:00Z", "regular", "2026-11-25"),
        ("2026-11-26T08:59:59.999Z", "extended", "2026-11-25"),
        ("2026-11-26T09:00:00Z", "regular", "2026-11-26"),
        ("2026-11-27T00:30:00Z", "regular", "2026-11-26"),
        ("2026-07-02T07:59:59Z", "regular", "2026-07-01"),
        ("2026-07-02T08:00:00Z", "regular", "2026-07-02"),
        ("2026-11-26T08:05:00Z", "utc_day", "2026-11-26"),
        ("2026-11-26T00:00:00Z", "utc_day", "2026-11-26"),
    ],
)
def test_a_moment_belongs_to_the_day_whose_bounds_it_is_in(time: str, session: str, day: str) -> None:
    assert day_of(epoch_ms(time), load_settings(session=session)).isoformat() == day


def test_a_day_of_crypto_is_that_of_utc() -> None:
    utc = day_bounds(DAY, load_settings(session="utc_day"))
    assert (utc.start_ms % 86_400_000, utc.end_ms - utc.start_ms) == (0, 86_400_000)
