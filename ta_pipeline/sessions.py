"""Trading sessions: which session a window belongs to, and when the market is open.

    extended   the New York day from 04:00 to 04:00 (pre-market, regular and after hours, overnight venues included)
    regular    09:30 to the close of the New York Stock Exchange, early closes and holidays included
    utc_day    00:00 UTC to 00:00 UTC (crypto)

A session is named by the epoch milliseconds of its start. In `regular`, a window that starts outside the session
belongs to none: its volume does not count, and the session VWAP is null there. Hours of the exchange come from
`exchange_calendars` (XNYS), loaded when they are first asked for: one year takes about 0.1 s.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from ta_pipeline.errors import SettingsError

SessionKind = Literal["extended", "regular", "utc_day"]

NEW_YORK = ZoneInfo("America/New_York")
_EXTENDED_START = time(4)
_AFTER_HOURS = timedelta(hours=4)
"""After-hours trading ends four hours after the regular close: 20:00, or 17:00 when the close is at 13:00."""

_Hours = dict[date, tuple[datetime, datetime]]


class SessionBounds(NamedTuple):
    """A session is [start_ms, end_ms), epoch milliseconds."""

    start_ms: int
    end_ms: int


class Sessions:
    """The sessions of one kind.

    Made for hot loops: the span that gave the last answer is kept, so the next window in it costs two comparisons.
    Share one object between symbols of the same process, not between threads.
    """

    __slots__ = ("_hours", "_session", "_span_end", "_span_start", "kind")

    def __init__(self, kind: str) -> None:
        """Choose the kind.

        Raises:
            SettingsError: there is no such kind.
        """
        if kind not in get_args(SessionKind):
            raise SettingsError(f"TA_SESSION={kind!r} is not allowed: it is one of {', '.join(get_args(SessionKind))}")
        self.kind = kind
        self._hours: dict[int, _Hours] = {}
        self._span_start = self._span_end = 0
        self._session: int | None = None

    def session_of(self, window_start_ms: int) -> int | None:
        """The session of the window that starts at `window_start_ms`; None when it counts in no session.

        A window belongs to the session of its start, so the one that ends at a reset still belongs to the old one.
        """
        if self._span_start <= window_start_ms < self._span_end:
            return self._session
        self._span_start, self._span_end, self._session = self._span_of(window_start_ms)
        return self._session

    def session_bounds(self, day: date) -> SessionBounds | None:
        """The session that starts on `day` (of New York; of UTC for `utc_day`); None when there is none."""
        if self.kind == "utc_day":
            return SessionBounds(_ms(datetime.combine(day, time(), UTC)), _ms(_midnight_after(day, UTC)))
        if self.kind == "extended":
            next_day = day + timedelta(days=1)
            return SessionBounds(_new_york_ms(day, _EXTENDED_START), _new_york_ms(next_day, _EXTENDED_START))
        return self.regular_hours(day)

    def is_open(self, now_ms: int) -> bool:
        """Whether trades are to be expected now: what an alert asks before it calls silence a fault.

        `regular`: within the session. `extended`: from 04:00 New York to four hours after the regular close, on days
        the exchange opens. `utc_day`: always.
        """
        if self.kind == "utc_day":
            return True
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        day = now.astimezone(NEW_YORK).date()
        hours = self._exchange_hours(day)
        if hours is None:
            return False
        if self.kind == "regular":
            return hours[0] <= now < hours[1]
        return datetime.combine(day, _EXTENDED_START, NEW_YORK) <= now < hours[1] + _AFTER_HOURS

    def regular_hours(self, day: date) -> SessionBounds | None:
        """Open and close of the exchange on `day` of New York, early closes included.

        None when it does not open that day, and for `utc_day`: what trades around the clock has no exchange's hours.
        """
        hours = None if self.kind == "utc_day" else self._exchange_hours(day)
        return SessionBounds(_ms(hours[0]), _ms(hours[1])) if hours else None

    def _span_of(self, ms: int) -> tuple[int, int, int | None]:
        """The longest span around `ms` that this computes at once, and its session."""
        zone: Any = UTC if self.kind == "utc_day" else NEW_YORK
        day = datetime.fromtimestamp(ms / 1_000, UTC).astimezone(zone).date()
        bounds = self.session_bounds(day)
        if self.kind == "extended" and bounds is not None and ms < bounds.start_ms:
            bounds = self.session_bounds(day - timedelta(days=1))
        if bounds is not None and bounds.start_ms <= ms < bounds.end_ms:
            return (*bounds, bounds.start_ms)
        midnight, next_midnight = _new_york_ms(day, time()), _ms(_midnight_after(day, NEW_YORK))
        if bounds is None:
            return midnight, next_midnight, None
        if ms < bounds.start_ms:
            return midnight, bounds.start_ms, None
        return bounds.end_ms, next_midnight, None

    def _exchange_hours(self, day: date) -> tuple[datetime, datetime] | None:
        """Open and close of the exchange on `day`, in UTC; None on weekends and holidays."""
        if day.year not in self._hours:
            # A year at a time: the library's own default range ends a year after the process started.
            self._hours[day.year] = _exchange_year(day.year)
        return self._hours[day.year].get(day)


def _exchange_year(year: int) -> _Hours:
    import exchange_calendars  # noqa: PLC0415 - slow, and most jobs never need it

    calendar = exchange_calendars.get_calendar("XNYS", start=f"{year}-01-01", end=f"{year}-12-31")
    schedule = calendar.schedule
    return {
        label.date(): (opens.to_pydatetime(), closes.to_pydatetime())
        for label, opens, closes in zip(schedule.index, schedule["open"], schedule["close"], strict=True)
    }


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000


def _new_york_ms(day: date, at: time) -> int:
    return _ms(datetime.combine(day, at, NEW_YORK))


def _midnight_after(day: date, zone: Any) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone)
