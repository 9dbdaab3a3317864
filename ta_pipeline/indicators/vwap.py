"""Volume-weighted average price: sum(price x size) / sum(size) over the trades that count for a bar's vwap.

Berkowitz, Logue & Noser, "The Total Cost of Transactions on the NYSE" (Journal of Finance 43, 1988). Two of them: since
the trading session began, and over the last minutes whatever the session. Both take sums over one window,
`pv` = sum(price x size) and `v` = sum(size), and are None while the volume is 0.

Volume may arrive after its window was final, and a cancel takes volume away: `add_late` (pv and v negative for a
cancel) changes what the next update gives, never what was given. Where a cancel leaves less than 1e-10 of a sum, what
is left is the rounding of fractional sizes and counts as nothing.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate

from ta_pipeline.indicators.state import Columns, Indicator, Numbers, body, optional_int, or_nan
from ta_pipeline.sessions import Sessions

_ROUNDING = 1e-10


class SessionVwap(Indicator):
    """VWAP since the session began; a window belongs to the session of its start.

    A window in no session (`regular` hours only) counts nothing and has no session VWAP.
    State: [version, session, sum of pv, sum of v]; the session is its start in epoch milliseconds.
    """

    VERSION = 1
    __slots__ = ("_pv", "_session", "_sessions", "_v")

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._session: int | None = None
        self._pv = 0.0
        self._v = 0.0

    def update(self, start_ms: int, pv: float, v: float) -> float | None:
        """Take in the next window."""
        session = self._sessions.session_of(start_ms)
        if session is None:
            return None
        self._add(session, pv, v)
        return _ratio(self._pv, self._v)

    def preview(self, start_ms: int, pv: float, v: float) -> float | None:
        """What `update(start_ms, pv, v)` would return."""
        session = self._sessions.session_of(start_ms)
        if session is None:
            return None
        return _ratio(self._pv + pv, self._v + v) if session == self._session else _ratio(pv, v)

    def add_late(self, start_ms: int, pv: float, v: float) -> None:
        """Take in volume of a window that is final; one of a session that is over, or not begun, has none to cancel."""
        session = self._sessions.session_of(start_ms)
        if session is None or (v <= 0 and session != self._session):
            return
        if self._session is None or session >= self._session:
            self._add(session, pv, v)

    def _add(self, session: int, pv: float, v: float) -> None:
        if session == self._session:
            self._pv, self._v = _changed(self._pv, self._v, pv, v)
        else:
            self._session, self._pv, self._v = session, pv, v

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head += (self.VERSION, or_nan(self._session), self._pv, self._v)
        return ()

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        session, self._pv, self._v = body("session VWAP", numbers, self.VERSION, columns=0, fixed=3)
        self._session = optional_int(session)


class RollingVwap(Indicator):
    """VWAP of the windows that end in (end_ms - window_ms, end_ms].

    Nothing is ever subtracted, so no sum drifts, and what was huge or infinite leaves nothing behind. Time is cut at
    the multiples of window_ms, so there is exactly one such edge in (end_ms - window_ms, end_ms], and the sum is made
    of two: backwards from the edge to the first entry, kept for every first entry, and forwards from the edge, which
    grows with every entry: van Herk (Pattern Recognition Letters 13, 1992), Gil & Werman (IEEE PAMI 15, 1993). Both
    follow from the entries alone, so they are no part of the state.
    State: [version, the ends, the pv, the v], three columns of the same length, oldest first.
    """

    VERSION = 1
    __slots__ = (
        "_edge", "_ends", "_newer_pv", "_newer_v", "_older_count", "_older_pv", "_older_v", "_pv", "_v", "_window_ms"
    )  # fmt: skip

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._ends: array[float] = array("d")
        self._pv: array[float] = array("d")
        self._v: array[float] = array("d")
        self._edge: int | None = None
        """The edge that the sums below belong to; None when the entries have changed otherwise than at their end."""
        self._older_count = 0
        """Entries that end before the edge."""
        self._older_pv: tuple[float, ...] = (0.0,)
        """At n, the sum over the last n entries before the edge."""
        self._older_v: tuple[float, ...] = (0.0,)
        self._newer_pv = 0.0
        """The sum over the entries from the edge on."""
        self._newer_v = 0.0

    def update(self, end_ms: int, pv: float, v: float) -> float | None:
        """Take in the next window."""
        expired, pv_before, v_before = self._sums(end_ms)
        if expired:  # all of them from before the edge
            del self._ends[:expired], self._pv[:expired], self._v[:expired]
            self._older_count -= expired
        self.add_late(end_ms, pv, v)
        return _ratio(pv_before + pv, v_before + v)

    def preview(self, end_ms: int, pv: float, v: float) -> float | None:
        """What `update(end_ms, pv, v)` would return."""
        _, pv_before, v_before = self._sums(end_ms)
        return _ratio(pv_before + pv, v_before + v)

    def add_late(self, end_ms: int, pv: float, v: float) -> None:
        """Add to the window that ends at `end_ms`, which is made if there is none: what left it cannot be cancelled."""
        if pv == 0.0 and v == 0.0:
            return
        ends = self._ends
        newest = not ends or ends[-1] < end_ms
        at = len(ends) if newest else bisect_left(ends, float(end_ms))
        if not newest and ends[at] == end_ms:
            self._pv[at], self._v[at] = _changed(self._pv[at], self._v[at], pv, v)
        elif v > 0:
            ends.insert(at, end_ms)
            self._pv.insert(at, pv)
            self._v.insert(at, v)
        else:
            return
        if newest and self._edge is not None and end_ms >= self._edge:
            self._newer_pv += pv
            self._newer_v += v
        else:
            self._edge = None

    def _sums(self, end_ms: int) -> tuple[int, float, float]:
        """How many entries have left the window that ends at `end_ms`, and the sums over those that are in it."""
        ends, window_ms = self._ends, self._window_ms
        edge = end_ms - end_ms % window_ms
        if edge != self._edge or (ends and ends[-1] > end_ms):
            self._sum_from(edge, end_ms)
        expired = bisect_right(ends, float(end_ms - window_ms))
        older = self._older_count - expired
        return expired, self._older_pv[older] + self._newer_pv, self._older_v[older] + self._newer_v

    def _sum_from(self, edge: int, end_ms: int) -> None:
        split, end = bisect_left(self._ends, float(edge)), bisect_right(self._ends, float(end_ms))
        self._edge = edge if end == len(self._ends) else None  # late volume may be newer than the window in question
        self._older_count = split
        self._older_pv, self._older_v = _running(self._pv[:split][::-1]), _running(self._v[:split][::-1])
        self._newer_pv, self._newer_v = _running(self._pv[split:end])[-1], _running(self._v[split:end])[-1]

    def dump_to(self, head: list[float]) -> Columns:
        """See `Indicator`."""
        head.append(self.VERSION)
        return self._ends, self._pv, self._v

    def load(self, numbers: Numbers) -> None:
        """Take over a dump; entries outside a window that is now shorter leave with the next update.

        Raises:
            StateVersionError: it was written by another version.
        """
        columns = body("rolling VWAP", numbers, self.VERSION, columns=3)
        rows = len(columns) // 3
        self._ends = array("d", columns[:rows])
        self._pv = array("d", columns[rows : 2 * rows])
        self._v = array("d", columns[2 * rows :])
        self._edge = None


def _changed(pv: float, v: float, by_pv: float, by_v: float) -> tuple[float, float]:
    after = v + by_v
    return (pv + by_pv, after) if by_v >= 0 or after > _ROUNDING * v else (0.0, 0.0)


def _running(terms: array[float]) -> tuple[float, ...]:
    """The sums over the first 0, 1, 2, ... terms."""
    return tuple(accumulate(terms, initial=0.0))


def _ratio(pv: float, v: float) -> float | None:
    ratio = pv / v if 0 < v < math.inf else math.inf
    return ratio if ratio < math.inf else None
