"""Which record of a window counts, and where it stands: one symbol's signals, or bars, of one window size; pure.

Of one window a final record beats every live one, whatever their revisions: a live revision counts updates, a final
one counts corrections. Among finals, and among live ones, the highest revision wins. So the records of a window may
come in any order, and the same one stays.
"""

from __future__ import annotations

from typing import Literal

from ta_pipeline.reader.records import Standing

LeftOut = Literal["duplicate", "superseded", "too old", "past"]
"""Why a record is not handed out: it was before; a better one of its window was; nobody knows any more; a corrected
past is not wanted."""


class Series:
    """What was handed out of one series.

    Args:
        remember_ms: windows that ended so long before the newest are forgotten.
    """

    __slots__ = ("_finals", "_live", "_newest_live", "_remember_ms", "first_final", "newest", "newest_final")

    def __init__(self, remember_ms: int) -> None:
        self._remember_ms = remember_ms
        self._finals: dict[int, int] = {}
        self._live: dict[int, int] = {}
        self._newest_live: int | None = None
        self.first_final: int | None = None
        """End of the first final window that came."""
        self.newest_final: int | None = None
        self.newest: int | None = None
        """End of the newest window, live or final."""

    def take(self, end_ms: int, revision: int, *, is_final: bool) -> Standing | LeftOut:
        """Take in one record: where it stands, or why it is left out."""
        return self._take_final(end_ms, revision) if is_final else self._take_live(end_ms, revision)

    def has_final(self, end_ms: int) -> bool:
        """A final record of this window came, as far as is remembered."""
        return end_ms in self._finals

    def has_live(self, end_ms: int) -> bool:
        """A live record of this window came, and no final one, as far as is remembered."""
        return end_ms in self._live

    def would_know(self, end_ms: int) -> bool:
        """Finals were read from before this window on, and are remembered: without one of it, there was none."""
        return (
            self.first_final is not None
            and self.newest_final is not None
            and max(self.first_final, self.newest_final - self._remember_ms) < end_ms < self.newest_final
        )

    def _take_final(self, end_ms: int, revision: int) -> Standing | LeftOut:
        before = self.newest_final
        if before is not None and end_ms <= before - self._remember_ms:
            return "too old"
        known = self._finals.get(end_ms)
        if known is not None and revision <= known:
            return "duplicate" if revision == known else "superseded"
        self._finals[end_ms] = revision
        self._live.pop(end_ms, None)
        if self.first_final is None:
            self.first_final = end_ms
        if before is None or end_ms > before:
            self.newest_final = end_ms
            _forget(self._finals, end_ms - self._remember_ms)
        if self.newest is None or end_ms >= self.newest:
            self.newest = end_ms
            return "newest"
        # A correction of the newest final is one no less, though live signals have passed it.
        return "settles" if before is None or end_ms >= before else "revises"

    def _take_live(self, end_ms: int, revision: int) -> Standing | LeftOut:
        final = self.newest_final
        if end_ms in self._finals or (final is not None and end_ms <= final - self._remember_ms):
            return "superseded"
        if self._newest_live is not None and end_ms <= self._newest_live - self._remember_ms:
            return "too old"
        known = self._live.get(end_ms)
        if known is not None and revision <= known:
            return "duplicate" if revision == known else "superseded"
        self._live[end_ms] = revision
        if self._newest_live is None or end_ms > self._newest_live:
            self._newest_live = end_ms
            _forget(self._live, end_ms - self._remember_ms)
        if self.newest is None or end_ms >= self.newest:
            self.newest = end_ms
            return "newest"
        return "revises"


def _forget(windows: dict[int, int], until_ms: int) -> None:
    """Forget what ended at `until_ms` or before; what came out of order goes when it is the oldest left."""
    while (oldest := next(iter(windows))) <= until_ms:
        del windows[oldest]
