"""The log of a component as files: the one that is written now, and those it was rotated into (`.1` is the newest).

Read as a stream, a line at a time, from the first line that is asked for: it is found by bisection over the times,
or by counting lines from the end. A file may be rotated, emptied, or come into being while it is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from ta_pipeline.logs.lines import Line, parse

BLOCK_BYTES = 65_536
LONGEST_BYTES = 1 << 20
"""A line that is longer comes in pieces: what is read has to fit into memory, whatever was written."""


class LogFile:
    """The log of one component. It keeps the newest file open, to follow it: `close` it, or use it in `with`.

    Args:
        component: whose it is.
        path: the file that is written now; it need not be there yet.
    """

    def __init__(self, component: str, path: Path) -> None:
        self.component = component
        self.path = path
        self._file: BinaryIO | None = None
        self._before = Line(component, None, "", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def lines(self, since: float | None = None, last: int | None = None) -> Iterator[Line]:
        """What is there now, the oldest first; what is added while it is read comes with it.

        Args:
            since: epoch seconds; most of what is older is passed over, not all.
            last: only so many lines from the end.
        """
        self.close()
        files = self._open_all()
        try:
            first, place = _last_lines(files, last) if last is not None else (0, 0)
            for number, file in enumerate(files[first:], first):
                changed = os.fstat(file.fileno()).st_mtime
                if since is not None and changed < since:
                    file.seek(0, os.SEEK_END)
                elif since is not None:
                    file.seek(_first_since(file, self.component, since))
                else:
                    file.seek(place if number == first else 0)
                if self._before.at is None:
                    # The first lines of a file may have no time.
                    self._before = Line(self.component, changed, "", "")
                yield from self._rest_of(file, with_torn=True)
        finally:
            for file in files[:-1]:
                file.close()
            self._file = files[-1] if files else None

    def added(self) -> Iterator[Line]:
        """What was written since the last time, without a line that is not complete yet."""
        if self._file is not None:
            yield from self._rest_of(self._file)
            if self._is_current(self._file):
                return
            # What was written between the last look and the rotation is read by now.
            self.close()
        try:
            self._file = self.path.open("rb")
        except OSError:
            return
        if self._before.at is None:
            self._before = Line(self.component, os.fstat(self._file.fileno()).st_mtime, "", "")
        yield from self._rest_of(self._file)

    def _open_all(self) -> list[BinaryIO]:
        """Every file, the oldest first. Opened at once: a rotation changes their names, not what they are."""
        rotated = [path for path in self.path.parent.glob(f"{self.path.name}.*") if path.suffix[1:].isdigit()]
        paths = [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), self.path]
        files: list[BinaryIO] = []
        for path in paths:
            try:
                files.append(path.open("rb"))
            except OSError:
                continue
        return files

    def _rest_of(self, file: BinaryIO, *, with_torn: bool = False) -> Iterator[Line]:
        while True:
            place = file.tell()
            raw = file.readline(LONGEST_BYTES)
            if not raw:
                return
            if not raw.endswith(b"\n") and len(raw) < LONGEST_BYTES and not with_torn:
                file.seek(place)
                return
            line = parse(self.component, raw).behind(self._before)
            self._before = line
            yield line

    def _is_current(self, file: BinaryIO) -> bool:
        """Whether it is still the file that is written, and not one that was rotated away or emptied."""
        try:
            now = self.path.stat()
        except OSError:
            # In the middle of a rotation.
            return True
        own = os.fstat(file.fileno())
        return (now.st_ino, now.st_dev) == (own.st_ino, own.st_dev) and now.st_size >= file.tell()


def _last_lines(files: list[BinaryIO], count: int) -> tuple[int, int]:
    """Where the last `count` lines of all files begin: the number of the file, and the place in it."""
    left = count
    for number in range(len(files) - 1, -1, -1):
        file = files[number]
        end = place = file.seek(0, os.SEEK_END)
        if left == 0:
            return number, end
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
                    return number, begin + found + 1
                block = block[:found]
            place = begin
        left -= 1 if end else 0
        if left <= 0:
            return number, 0
    return 0, 0


def _first_since(file: BinaryIO, component: str, since: float) -> int:
    """A place, the beginning of a line, before which every line is older than `since`; lines are in their order."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > BLOCK_BYTES:
        middle = (low + high) // 2
        at = _first_time(file, component, middle, high)
        if at is None or at >= since:
            high = middle
        else:
            low = middle
    file.seek(low)
    if low:
        file.readline()
    return file.tell()


def _first_time(file: BinaryIO, component: str, begin: int, end: int) -> float | None:
    """The time of the first line that has one, between two places."""
    file.seek(begin)
    file.readline()
    while file.tell() < end:
        raw = file.readline(LONGEST_BYTES)
        if not raw:
            return None
        if (at := parse(component, raw).at) is not None:
            return at
    return None
