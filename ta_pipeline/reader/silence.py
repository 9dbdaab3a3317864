"""Symbols that are not heard of; pure.

Silence says something only while trades are to be expected and Kafka answers. So it is counted from the last record,
the session's opening, or the time Kafka was back, whichever is the latest.
"""

from __future__ import annotations

from collections.abc import Iterable

from ta_pipeline.reader.events import Heard, Stale
from ta_pipeline.sessions import Sessions


class Silence:
    """When each symbol was heard of, by a clock that never goes back.

    Args:
        stale_after_ms: longer silence is told; None: never.
        sessions: None: trades are to be expected at any time.
        symbols: expected though they were not heard of yet.
        now_ms: of that clock.
    """

    def __init__(
        self, stale_after_ms: int | None, sessions: Sessions | None, symbols: Iterable[str] = (), now_ms: int = 0
    ) -> None:
        self._stale_after_ms = stale_after_ms
        self._sessions = sessions
        self._heard: dict[str, int] = dict.fromkeys(symbols, now_ms)  # the longest silent first
        self._stale: dict[str, int] = {}
        self._is_open = True

    def hear(self, symbol: str, now_ms: int) -> Heard | None:
        """A record of the symbol came."""
        if self._heard.pop(symbol, None) is None and symbol in self._stale:
            silent_ms = now_ms - self._stale.pop(symbol)
            self._heard[symbol] = now_ms
            return Heard(symbol, silent_ms)
        self._heard[symbol] = now_ms
        return None

    def judge(self, now_ms: int, epoch_ms: int) -> list[Stale]:
        """The symbols that have become stale; `epoch_ms` is the time of day, which says whether the session is open."""
        if self._stale_after_ms is None:
            return []
        if self._sessions is not None:
            was_open, self._is_open = self._is_open, self._sessions.is_open(epoch_ms)
            if not self._is_open:
                return []
            if not was_open:
                self.count_from(now_ms)
        found = []
        while self._heard:
            symbol, heard_ms = next(iter(self._heard.items()))
            if now_ms - heard_ms <= self._stale_after_ms:
                break
            del self._heard[symbol]
            self._stale[symbol] = heard_ms
            found.append(Stale(symbol, now_ms - heard_ms))
        return found

    def count_from(self, now_ms: int) -> None:
        """Nobody could be heard of until now."""
        self._heard = dict.fromkeys(self._heard, now_ms)
