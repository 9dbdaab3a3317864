"""A day's signals and bars in pandas: how often RSI said oversold, and what the price did in the minute after.

TA_CLICKHOUSE_URL=http://127.0.0.1:18123 python -m ta_pipeline.reader.examples.research_day NVDA --day 2026-01-02
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from ta_pipeline.errors import SettingsError, TaError
from ta_pipeline.local.stack import local_settings
from ta_pipeline.reader.research import bars_between, signals_between
from ta_pipeline.sessions import Sessions

OVERSOLD = 30.0
LATER = pd.Timedelta("1min")


def summary(symbols: list[str], start: datetime, end: datetime) -> pd.DataFrame:
    """One row for each symbol: bars, volume, seconds that were oversold, and the mean return of the minute after.

    Raises:
        TaError: ClickHouse cannot be reached, or an argument is wrong.
    """
    settings = local_settings()
    signals = signals_between(settings, symbols, start, end)
    bars = bars_between(settings, symbols, start, end)
    rows = {}
    for symbol, frame in bars.groupby(level="symbol"):
        closes = frame.droplevel("symbol")["c"]
        rsi = signals.loc[[symbol]].droplevel("symbol")["rsi14"] if symbol in signals.index else pd.Series(dtype=float)
        at = rsi.index[rsi < OVERSOLD]
        # As of: the last close at or before a moment; a second without a trade has no bar.
        before, after = closes.reindex(at, method="ffill"), closes.reindex(at + LATER, method="ffill")
        returns = after.to_numpy() / before.to_numpy() - 1
        rows[symbol] = {
            "bars": len(frame),
            "volume": frame["v"].sum(),
            "oversold": len(at),
            "return after": float(returns.mean()) if len(at) else float("nan"),
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["bars", "volume", "oversold", "return after"])


def range_of(day: date | None, session: str) -> tuple[datetime, datetime]:
    """Start and end of the session of a day; without one, the last hour.

    Raises:
        SettingsError: the day has no session.
    """
    if day is None:
        end = datetime.now(UTC)
        return end - timedelta(hours=1), end
    sessions = Sessions(session)
    if (bounds := sessions.session_bounds(day)) is None:
        before = next(one for back in range(1, 15) if sessions.session_bounds(one := day - timedelta(days=back)))
        raise SettingsError(
            f"--day {day} is not allowed: on that {day:%A} there is no session (TA_SESSION={session}); give a day on "
            f"which the exchange opens, as {before}, the last one before it"
        )
    return datetime.fromtimestamp(bounds.start_ms / 1_000, UTC), datetime.fromtimestamp(bounds.end_ms / 1_000, UTC)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbols", nargs="+")
    parser.add_argument("--day", type=date.fromisoformat, help="session of this day; default: the last hour")
    chosen = parser.parse_args()
    try:
        start, end = range_of(chosen.day, local_settings().session)
        sys.stdout.write(f"{summary(chosen.symbols, start, end)}\n")
    except TaError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
