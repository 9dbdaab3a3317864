"""The log of a component as files: the one that is written now, and those it was rotated into (`.1` is the newest).

Read as a stream, a line at a time, from the first line that is asked for. A file may be rotated, emptied, or come into
being while it is read; a line may be torn by a rotation, or not be complete yet.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from ta_pipeline.logs.lines import Line, parse
from ta_pipeline.logs.seeking import LONGEST_BYTES, Place, first_since, first_time, last_lines, with_time, written_at


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
        self._begun = b""
        """What has been read of a line that is not complete."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def paths(self) -> list[Path]:
        """Every file, the oldest first; that which is written now is named though it may not be there."""
        rotated = [path for path in self.path.parent.glob(f"{self.path.name}.*") if path.suffix[1:].isdigit()]
        return [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), self.path]

    def lines(self, since: float | None = None, last: int | None = None, *, with_torn: bool = True) -> Iterator[Line]:
        """What is there now, the oldest first; what is added while it is read comes with it.

        Lines without a time have that of the line before them; the first ones that of the first line behind them.

        Args:
            since: epoch seconds; most of what is older is passed over, not all.
            last: only so many lines from the end.
            with_torn: whether an end without a line break is a line; if not, `added` has it once it is complete.
        """
        self.close()
        self._begun = b""
        files = self._open_all()
        try:
            if files:
                found = self._all(files, self._beginning(files, since, last), with_torn=with_torn)
                yield from found if last is None else deque(found, last)
        finally:
            for file in files[:-1]:
                file.close()
            self._file = files[-1] if files else None

    def added(self) -> Iterator[Line]:
        """What was written since the last time, without a line that is not complete yet."""
        if self._file is not None:
            yield from self._added_to(self._file)
            if self._is_current(self._file):
                return
            # What was written between the last look and the rotation is read by now. Of a file that was rotated away
            # the next one has the rest of the line, of one that was emptied nothing has.
            if self._begun and os.fstat(self._file.fileno()).st_size < self._file.tell():
                yield self._taken(self._file, is_added=True)
            self.close()
        try:
            self._file = self.path.open("rb")
        except OSError:
            return
        yield from self._added_to(self._file)

    def _open_all(self) -> list[BinaryIO]:
        """Every file, the oldest first. Opened at once: a rotation changes their names, not what they are."""
        files: list[BinaryIO] = []
        for path in self.paths():
            try:
                files.append(path.open("rb"))
            except OSError:
                continue
        return files

    def _beginning(self, files: list[BinaryIO], since: float | None, last: int | None) -> Place:
        """Where to read from, so that what is asked for is read, and its first line knows its time."""
        place = Place(0, 0)
        if since is not None:
            place = first_since(files, self.component, since)
        elif last is not None:
            # A line for each rotation more: one that was torn there has been counted twice.
            place = last_lines(files, last + len(files))
        return with_time(files, self.component, place)

    def _all(self, files: list[BinaryIO], place: Place, *, with_torn: bool) -> Iterator[Line]:
        self._before = Line(self.component, first_time(files, self.component, place), "", "")
        for number, file in enumerate(files[place.number :], place.number):
            file.seek(place.offset if number == place.number else 0)
            yield from self._rest_of(file)
        if with_torn and self._begun:
            yield self._taken(files[-1])

    def _added_to(self, file: BinaryIO) -> Iterator[Line]:
        if self._before.at is None:
            place = file.tell()
            at = first_time([file], self.component, Place(0, place))
            self._before = Line(self.component, written_at(file) if at is None else at, "", "")
            file.seek(place)
        yield from self._rest_of(file, is_added=True)

    def _rest_of(self, file: BinaryIO, *, is_added: bool = False) -> Iterator[Line]:
        while raw := file.readline(LONGEST_BYTES - len(self._begun)):
            self._begun += raw
            if raw.endswith(b"\n") or len(self._begun) >= LONGEST_BYTES:
                yield self._taken(file, is_added=is_added)

    def _taken(self, file: BinaryIO, *, is_added: bool = False) -> Line:
        """What has been read, as a line."""
        raw, self._begun = self._begun, b""
        said = parse(self.component, raw, lambda: written_at(file))
        line = self._before = said.behind(self._before)
        if said.at is None and (is_added or line.at is None):
            return replace(line, seen=written_at(file))
        return line

    def _is_current(self, file: BinaryIO) -> bool:
        """Whether it is still the file that is written, and not one that was rotated away or emptied."""
        try:
            now = self.path.stat()
        except OSError:
            # In the middle of a rotation.
            return True
        own = os.fstat(file.fileno())
        return (now.st_ino, now.st_dev) == (own.st_ino, own.st_dev) and now.st_size >= file.tell()
