"""Which replays there can be: a market day, and a symbol or all of them."""

from datetime import date

import dagster as dg
import exchange_calendars
import pandas as pd

from orchestration.resources import declared_platform
from ta_pipeline.replay.inputs import ALL, recorded_symbols
from ta_pipeline.settings import Settings

DAY, SYMBOL = "day", "symbol"
FIRST_DAY = date(2018, 1, 2)
_WEEKENDS = ("0 0 * * 6", "0 0 * * 0")


def days_of(settings: Settings) -> dg.TimeWindowPartitionsDefinition:
    """The days of the New York Stock Exchange since `FIRST_DAY`, today included; with utc_day sessions every day."""
    if settings.session == "utc_day":
        return dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY.isoformat())
    weekdays = pd.bdate_range(FIRST_DAY, calendar.last_session)
    holidays = [day.to_pydatetime() for day in weekdays.difference(calendar.sessions)]
    return dg.DailyPartitionsDefinition(
        start_date=FIRST_DAY.isoformat(), timezone="America/New_York", exclusions=[*_WEEKENDS, *holidays], end_offset=1
    )


def symbols_of(settings: Settings) -> dg.StaticPartitionsDefinition:
    """`all`, and each symbol of `TA_SYMBOLS` and of the recordings."""
    return dg.StaticPartitionsDefinition([ALL, *sorted({*settings.symbol_list, *recorded_symbols(settings)})])


def replays_of(settings: Settings) -> dg.MultiPartitionsDefinition:
    """Each day with each symbol."""
    return dg.MultiPartitionsDefinition({DAY: days_of(settings), SYMBOL: symbols_of(settings)})


REPLAYS = replays_of(declared_platform().settings)
