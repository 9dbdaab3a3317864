"""Where to begin to read the files of a log: at the last so many lines, or at the first line since a moment.

Files are given as a list, the oldest first, and read from their ends or by bisection, in blocks: they may be large, and
a line of theirs may be too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from ta_pipeline.logs.lines import parse

BLOCK_BYTES = 65_536
LONGEST_BYTES = 1 << 20
"""A line that is longer comes in pieces: what is read has to fit into memory, whatever was written."""
LOOK_BACK_BYTES = 1 << 20
"""How far back a line with a time is looked for: a traceback is not longer."""


class Place(NamedTuple):
    """The beginning of a line: the number of its file, and its offset there."""

    number: int
    offset: int


def written_at(file: BinaryIO) -> float:
    """When a file was last written, epoch seconds."""
    return os.fstat(file.fileno()).st_mtime


def last_lines(files: Sequence[BinaryIO], count: int) -> Place:
    """Where the last `count` lines of all files begin; a line that was torn by a rotation counts twice."""
    left = count
    for number in range(len(files) - 1, -1, -1):
        file = files[number]
        end = place = file.seek(0, os.SEEK_END)
        if left == 0:
            return Place(number, end)
        while place > 0:
            begin = max(0, place - BLOCK_BYTES)
            file.seek(begin)
            block = file.read(place - begin)
            # The line break at the very end ends the last line; it begins none.
            if place == end and block.endswith(b"\n"):
                block = block[:-1]
            while (found := block.rfind(b"\n")) >= 0:
                left -= 1
                if left == 0:
                    return Place(number, begin + found + 1)
                block = block[:found]
            place = begin
        left -= 1 if end else 0
        if left <= 0:
            return Place(number, 0)
    return Place(0, 0)


def first_since(files: Sequence[BinaryIO], component: str, since: float) -> Place:
    """A place before which every line is older than `since`; lines are in their order."""
    for number, file in enumerate(files):
        if written_at(file) >= since:
            return Place(number, _first_since(file, component, since))
    return Place(len(files) - 1, files[-1].seek(0, os.SEEK_END))


def with_time(files: Sequence[BinaryIO], component: str, place: Place) -> Place:
    """The same place, or that of the nearest line before it that has a time, when the one there has none.

    The place itself where no line with a time is near.
    """
    files[place.number].seek(place.offset)
    if _time_of(files[place.number], component, files[place.number].readline(LONGEST_BYTES)) is not None:
        return place
    (number, end), left = place, LOOK_BACK_BYTES
    while left > 0:
        if end == 0:
            if number == 0:
                return place
            number -= 1
            end = files[number].seek(0, os.SEEK_END)
            continue
        begin = max(0, end - BLOCK_BYTES)
        files[number].seek(begin)
        block = files[number].read(end - begin)
        at = len(block)
        while (start := block.rfind(b"\n", 0, max(at - 1, 0)) + 1) or (begin == 0 and at):
            if _time_of(files[number], component, block[start:at]) is not None:
                return Place(number, begin + start)
            at = start
        # Of the first line of the block the beginning is in the block before, unless it is longer than a block.
        at = 0 if at == len(block) else at
        left -= end - begin - at
        end = begin + at
    return place


def first_time(files: Sequence[BinaryIO], component: str, place: Place) -> float | None:
    """The time of the first line from a place on that has one; None: none has. Moves the files' positions."""
    for number in range(place.number, len(files)):
        files[number].seek(place.offset if number == place.number else 0)
        if (at := _first_time(files[number], component)) is not None:
            return at
    return None


def _first_since(file: BinaryIO, component: str, since: float) -> int:
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > BLOCK_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        _skip_line(file)
        at = _first_time(file, component, high)
        if at is None or at >= since:
            high = middle
        else:
            low = middle
    file.seek(low)
    if low:
        _skip_line(file)
    return file.tell()


def _first_time(file: BinaryIO, component: str, end: int | None = None) -> float | None:
    while end is None or file.tell() < end:
        raw = file.readline(LONGEST_BYTES)
        if not raw:
            return None
        if (at := _time_of(file, component, raw)) is not None:
            return at
    return None


def _time_of(file: BinaryIO, component: str, raw: bytes) -> float | None:
    return parse(component, raw, lambda: written_at(file)).at


def _skip_line(file: BinaryIO) -> None:
    while (raw := file.readline(LONGEST_BYTES)) and not raw.endswith(b"\n"):
        pass
