"""What is asked of ClickHouse for research, and what is refused before it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from ta_pipeline.errors import ClickHouseError, SettingsError
from ta_pipeline.reader.research import SYMBOL_BYTES, bars_between, chunks, signals_between
from ta_pipeline.settings import load_settings

T = datetime(2026, 1, 2, 14, 30, tzinfo=UTC)
NAIVE = T.replace(tzinfo=None)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("ask", [signals_between, bars_between])
@pytest.mark.parametrize(
    ("question", "told"),
    [
        (([], T, T + MINUTE, None), "symbols is empty; name at least one"),
        (("NVDA", T, T + MINUTE, None), "symbols='NVDA' is not allowed: it is a list"),
        ((["NVDA"], NAIVE, T + MINUTE, None), "start=2026-01-02T14:30:00 has no zone"),
        ((["NVDA"], T, NAIVE, None), "end=2026-01-02T14:30:00 has no zone"),
        ((["NVDA"], T, T + MINUTE, NAIVE), "as_of=2026-01-02T14:30:00 has no zone"),
        ((["NVDA"], T, T, None), "is not before end="),
        ((["NVDA"], T + MINUTE, T, None), "is not before end="),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    ask: Any, question: tuple[Any, datetime, datetime, datetime | None], told: str
) -> None:
    symbols, start, end, as_of = question
    with pytest.raises(SettingsError, match=told):
        ask(load_settings(), symbols, start, end, as_of=as_of)


def test_a_window_size_that_does_not_exist_is_refused() -> None:
    size: Any = "PT5M"
    with pytest.raises(SettingsError, match="size='PT5M' is not allowed: it is one of PT1S, PT1M"):
        signals_between(load_settings(), ["NVDA"], T, T + MINUTE, size=size)


def test_without_clickhouse_the_setting_is_named() -> None:
    with pytest.raises(ClickHouseError, match="TA_CLICKHOUSE_URL"):
        signals_between(load_settings(clickhouse_url=""), ["NVDA"], T, T + MINUTE)


def test_many_symbols_are_asked_for_in_several_questions() -> None:
    symbols = [f"SYM{number}" for number in range(1_000)] + ["BRK.B", "BTC/USD", "BTC/USD"]
    found = chunks(symbols)
    assert [symbol for chunk in found for symbol in chunk] == sorted(set(symbols))
    assert all(len(quote(str(chunk), safe="")) < SYMBOL_BYTES * 1.3 for chunk in found)
    assert len(found) < 20
