"""When a scheduled savepoint may be taken: not around the open and the close of the exchange, where load is highest.

A turn that falls there is not lost: it is due from then on, and the first moment after the window takes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ta_pipeline.savepoints.savepoint import Savepoint
from ta_pipeline.sessions import NEW_YORK, Sessions

MARGIN = timedelta(minutes=30)


def may_take_savepoint(now: datetime, sessions: Sessions) -> str | None:
    """Why no savepoint is taken now; None when it may be.

    From `MARGIN` before an open or a close until `MARGIN` after it, by the exchange's calendar. Sessions of `utc_day`
    have no open and no close: always.

    Args:
        now: any zone.
        sessions: of any kind.
    """
    for what, moment in _edges(now, sessions):
        if moment - MARGIN <= now < moment + MARGIN:
            local = moment.astimezone(NEW_YORK)
            minutes = MARGIN // timedelta(minutes=1)
            return f"within {minutes} min of the {what} at {local:%H:%M} New York ({moment:%H:%M} UTC)"
    return None


def next_allowed(now: datetime, sessions: Sessions) -> datetime:
    """The first moment from `now` on at which a savepoint may be taken."""
    moment = now
    while True:
        ends = [edge + MARGIN for _, edge in _edges(moment, sessions) if edge - MARGIN <= moment < edge + MARGIN]
        if not ends:
            return moment
        moment = max(ends)


def reason_to_wait(now: datetime, newest: Savepoint | None, interval: timedelta, sessions: Sessions) -> str | None:
    """Why the schedule takes no savepoint now; None: it takes one.

    Args:
        now: any zone.
        newest: the newest complete savepoint of any kind; None when there is none.
        interval: a savepoint is due when the newest is this old.
        sessions: whose open and close are kept free.
    """
    if newest is not None and now - newest.taken_at < interval:
        return f"{newest.name} was taken at {newest.taken_at:%H:%M} UTC; the next is due {_hours(interval)} later"
    reason = may_take_savepoint(now, sessions)
    if reason is None:
        return None
    return f"a savepoint is due, but it is {reason}; {next_allowed(now, sessions).astimezone(UTC):%H:%M} UTC takes it"


def _edges(now: datetime, sessions: Sessions) -> Iterator[tuple[str, datetime]]:
    # An open or close and its margins never lie on two days of New York.
    hours = sessions.regular_hours(now.astimezone(NEW_YORK).date())
    if hours is None:
        return
    yield "open", datetime.fromtimestamp(hours.start_ms / 1_000, UTC)
    yield "close", datetime.fromtimestamp(hours.end_ms / 1_000, UTC)


def _hours(interval: timedelta) -> str:
    return f"{interval / timedelta(hours=1):g} h"
