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

from ta_pipeline.indicators.state import Numbers, body, optional_int, pack
from ta_pipeline.sessions import Sessions

_ROUNDING = 1e-10


class SessionVwap:
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

    def dump(self) -> array[float]:
        """The state as plain numbers."""
        return pack(self.VERSION, self._session, self._pv, self._v)

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        session, self._pv, self._v = body("session VWAP", numbers, self.VERSION, columns=0, fixed=3)
        self._session = optional_int(session)


class RollingVwap:
    """VWAP of the windows that end in (end_ms - window_ms, end_ms], summed anew each time: no sum drifts.

    State: [version, the ends, the pv, the v], three columns of the same length, oldest first.
    """

    VERSION = 1
    __slots__ = ("_base", "_ends", "_pv", "_v", "_window_ms")

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._ends: array[float] = array("d")
        self._pv: array[float] = array("d")
        self._v: array[float] = array("d")
        self._base: tuple[int, float, float] | None = None

    def update(self, end_ms: int, pv: float, v: float) -> float | None:
        """Take in the next window."""
        expired = bisect_right(self._ends, float(end_ms - self._window_ms))
        if expired:
            del self._ends[:expired], self._pv[:expired], self._v[:expired]
        value = self.preview(end_ms, pv, v)
        self.add_late(end_ms, pv, v)
        return value

    def preview(self, end_ms: int, pv: float, v: float) -> float | None:
        """What `update(end_ms, pv, v)` would return."""
        base = self._base
        if base is None or base[0] != end_ms:
            base = self._base = self._base_at(end_ms)
        return _ratio(base[1] + pv, base[2] + v)

    def add_late(self, end_ms: int, pv: float, v: float) -> None:
        """Add to the window that ends at `end_ms`, which is made if there is none: what left it cannot be cancelled."""
        if pv == 0.0 and v == 0.0:
            return
        at = bisect_left(self._ends, float(end_ms))
        known = at < len(self._ends) and self._ends[at] == end_ms
        if v <= 0 and not known:
            return
        self._base = None
        if known:
            self._pv[at], self._v[at] = _changed(self._pv[at], self._v[at], pv, v)
        elif at == len(self._ends):
            self._ends.append(end_ms)
            self._pv.append(pv)
            self._v.append(v)
        else:
            self._ends.insert(at, end_ms)
            self._pv.insert(at, pv)
            self._v.insert(at, v)

    def _base_at(self, end_ms: int) -> tuple[int, float, float]:
        """The sums without the newest window; `preview` keeps them, because one second is previewed many times."""
        first = bisect_right(self._ends, float(end_ms - self._window_ms))
        last = bisect_right(self._ends, float(end_ms))
        return end_ms, _total(self._pv[first:last]), _total(self._v[first:last])

    def dump(self) -> array[float]:
        """The state as plain numbers."""
        return pack(self.VERSION) + self._ends + self._pv + self._v

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
        self._base = None


def _changed(pv: float, v: float, by_pv: float, by_v: float) -> tuple[float, float]:
    after = v + by_v
    return (pv + by_pv, after) if by_v >= 0 or after > _ROUNDING * v else (0.0, 0.0)


def _total(terms: array[float]) -> float:
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):  # beyond a double's range: no vwap, until what is absurd has left
        return math.inf


def _ratio(pv: float, v: float) -> float | None:
    ratio = pv / v if 0 < v < math.inf else math.inf
    return ratio if ratio < math.inf else None
