"""Time that never goes back, by a clock that may be set back; pure."""

from __future__ import annotations


class Steady:
    """What is waited for is counted by this: set back, the clock would say for an hour that no time had passed.

    Args:
        now_ms: the clock's time.
    """

    __slots__ = ("_behind_ms", "_last_ms")

    def __init__(self, now_ms: int) -> None:
        self._last_ms = now_ms
        self._behind_ms = 0

    def at(self, now_ms: int) -> int:
        """The time at `now_ms` of the clock: where it goes on, this does, and where it goes back, this stands."""
        if now_ms < self._last_ms:
            self._behind_ms += self._last_ms - now_ms
        self._last_ms = now_ms
        return now_ms + self._behind_ms
