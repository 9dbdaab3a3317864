"""The messages of a day: recordings by their names, or cut out of longer ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from ta_pipeline.decode import epoch_ms
from ta_pipeline.errors import BadRecordError, RecordingError
from ta_pipeline.recordings import read
from ta_pipeline.sessions import SessionBounds, Sessions
from ta_pipeline.settings import Settings

ALL = "all"
"""In place of a symbol: every symbol of the input."""
_NAME = re.compile(r"(?P<symbol>.+)_(?P<day>\d{8})_[a-z0-9]+\.jsonl(\.gz)?")


def day_bounds(day: date, settings: Settings) -> SessionBounds:
    """What belongs to a day: New York 04:00 to 04:00, or midnight to midnight UTC when `TA_SESSION` is utc_day."""
    bounds = _days(settings).session_bounds(day)
    assert bounds is not None  # noqa: S101 - these two kinds have a session every day
    return bounds


def day_of(at_ms: int, settings: Settings) -> date:
    """The day that a moment, epoch milliseconds, belongs to: before 04:00 in New York it is the day before's."""
    start_ms = _days(settings).session_of(at_ms)
    assert start_ms is not None  # noqa: S101 - as above
    # Four in New York is the same date in UTC.
    return datetime.fromtimestamp(start_ms / 1_000, UTC).date()


def _days(settings: Settings) -> Sessions:
    return Sessions("utc_day" if settings.session == "utc_day" else "extended")


def recordings_of(settings: Settings, day: date, symbol: str) -> list[Path]:
    """The files of `TA_RECORDINGS_DIR` named `<symbol>_<yyyymmdd>_<what>.jsonl`, plain or gzip.

    Args:
        settings: name the folder.
        day: in the name.
        symbol: in the name, in any case; `ALL`: every symbol.

    Raises:
        RecordingError: no folder is set, it is not there, or it has no such file.
    """
    folder = _folder(settings)
    found = [
        path
        for path in sorted(folder.iterdir())
        if (name := _NAME.fullmatch(path.name))
        and name["day"] == f"{day:%Y%m%d}"
        and symbol.lower() in {ALL, name["symbol"].lower()}
    ]
    if not found:
        raise RecordingError(
            f"{folder} (TA_RECORDINGS_DIR) has no recording of {symbol} on {day}; a file's name is like "
            f"{'xyz' if symbol == ALL else symbol.lower()}_{day:%Y%m%d}_trades.jsonl.gz"
        )
    return found


def recorded_symbols(settings: Settings) -> list[str]:
    """The symbols of `TA_RECORDINGS_DIR` by the names of its files, in capitals; none when there is no such folder."""
    folder = Path(settings.recordings_dir)
    if not settings.recordings_dir or not folder.is_dir():
        return []
    return sorted({name["symbol"].upper() for path in folder.iterdir() if (name := _NAME.fullmatch(path.name))})


def cut_day(paths: Sequence[Path], bounds: SessionBounds, out: Path) -> Path:
    """Write the messages of one day to one recording, merged, in log order.

    A line that cannot be read, or has no time, belongs where it stands.

    Args:
        paths: recordings.
        bounds: of the day.
        out: the file to write.

    Raises:
        RecordingError: a recording cannot be read, or holds nothing of that day.
    """
    kept, inside = 0, False
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        for record in read(paths):
            time_ms = _time_ms((record.message or {}).get("t"))
            if time_ms is not None:
                inside = bounds.start_ms <= time_ms < bounds.end_ms
                kept += inside
            if inside:
                file.write(record.line + b"\n")
    if not kept:
        raise RecordingError(f"{', '.join(map(str, paths))}: no message of that day")
    return out


def _folder(settings: Settings) -> Path:
    if not settings.recordings_dir:
        raise RecordingError("TA_RECORDINGS_DIR is empty: set it to the folder of the recordings, or replay the topics")
    folder = Path(settings.recordings_dir)
    if not folder.is_dir():
        raise RecordingError(f"TA_RECORDINGS_DIR={settings.recordings_dir} is not a folder")
    return folder


def _time_ms(time: object) -> int | None:
    try:
        return epoch_ms(str(time))
    except BadRecordError:
        return None
