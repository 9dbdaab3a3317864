"""What has to follow and does not: a final after live signals, a signal after its bar; pure."""

from __future__ import annotations

MOST_WINDOWS = 1_000
"""Of one symbol; the oldest are given up when finals stay away for longer than so many seconds with trades."""


class Followers:
    """Windows that something has to follow on; what comes last within a time is told.

    Args:
        within_ms: longest wait, by a clock that never goes back, from the last time something was expected.
    """

    def __init__(self, within_ms: int) -> None:
        self._within_ms = within_ms
        self._since: dict[tuple[str, int], int] = {}  # oldest first
        self._windows: dict[str, dict[int, None]] = {}
        self._overdue: set[str] = set()

    def expect(self, symbol: str, end_ms: int, now_ms: int) -> None:
        """Something has to follow on this window; the time starts again with each call."""
        windows = self._windows.setdefault(symbol, {})
        if end_ms in windows:
            if self._since.pop((symbol, end_ms), None) is None:
                return
        else:
            windows[end_ms] = None
            if len(windows) > MOST_WINDOWS:
                oldest = next(iter(windows))
                del windows[oldest]
                self._since.pop((symbol, oldest), None)
        self._since[symbol, end_ms] = now_ms

    def came(self, symbol: str, end_ms: int, *, is_first: bool) -> list[int]:
        """It came for this window: the earlier windows of the symbol that it has passed.

        Args:
            symbol: whose.
            end_ms: the window's end.
            is_first: nothing came for the symbol before, so nobody knows what came for the windows before.
        """
        self._overdue.discard(symbol)
        windows = self._windows.get(symbol)
        if not windows:
            return []
        if end_ms in windows:
            del windows[end_ms]
            self._since.pop((symbol, end_ms), None)
        passed = sorted(window for window in windows if window < end_ms)
        for window in passed:
            del windows[window]
            self._since.pop((symbol, window), None)
        return [] if is_first else passed

    def overdue(self, now_ms: int) -> list[tuple[str, int]]:
        """The first window of each symbol whose time is over, once until something comes for the symbol again."""
        found = []
        while self._since:
            symbol, end_ms = key = next(iter(self._since))
            if now_ms - self._since[key] <= self._within_ms:
                break
            # It stays among the symbol's windows: it may still be passed.
            del self._since[key]
            if symbol not in self._overdue:
                self._overdue.add(symbol)
                found.append((symbol, end_ms))
        return found

    def wait_again(self, now_ms: int) -> None:
        """Begin all waiting anew: nothing could come until now."""
        self._since = dict.fromkeys(self._since, now_ms)
