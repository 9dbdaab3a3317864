from __future__ import annotations

import math

import pytest

from ta_pipeline.errors import StateVersionError
from ta_pipeline.indicators.bollinger import Bollinger
from ta_pipeline.indicators.ema import Ema
from ta_pipeline.indicators.macd import Macd
from ta_pipeline.indicators.realized_vol import RealizedVolBars
from ta_pipeline.indicators.rsi import Rsi
from ta_pipeline.indicators.set import IndicatorSet, Timeframe
from ta_pipeline.sessions import Sessions

START_MS = 1_784_620_680_000
WINDOWS = (300_000, 60_000)


@pytest.mark.parametrize("of", [Bollinger, lambda: Ema(12), Macd, Rsi, RealizedVolBars])
@pytest.mark.parametrize("bars", [0, 1, 40])
def test_a_copy_is_in_the_same_state_and_goes_its_own_way(of, bars: int) -> None:  # type: ignore[no-untyped-def]
    original = of()
    for bar in range(bars):
        original.update(10.0 + bar % 3)
    before, copied = original.dump().tobytes(), original.copy()
    assert copied.dump().tobytes() == before
    expected = original.preview(77.0)
    assert copied.update(77.0) == expected
    assert copied.dump().tobytes() != before
    assert original.dump().tobytes() == before
    assert original.update(77.0) == expected


@pytest.mark.parametrize(("timeframe", "length_ms"), [("1s", 1_000), ("1m", 60_000)])
def test_cancels_in_the_middle_of_the_windows_do_not_change_what_a_saved_set_or_a_copy_gives(
    timeframe: Timeframe, length_ms: int
) -> None:
    undisturbed = IndicatorSet(timeframe, *WINDOWS, Sessions("extended"))
    saved = copied = undisturbed.copy()
    for number in range(700):
        end, size = START_MS + number * length_ms, (1e12 if number % 97 == 0 else 100.0 + number % 7)
        close = 170.0 + math.sin(number / 9)
        if number % 3 == 0:
            saved = IndicatorSet.from_bytes(saved.to_bytes(), timeframe, *WINDOWS, Sessions("extended"))
            copied = copied.copy()
        bar = (end, end - length_ms, close, close * size, size)
        previewed = copied.preview(*bar)
        assert undisturbed.advance(*bar) == saved.advance(*bar) == copied.advance(*bar) == previewed
        for indicators in (undisturbed, saved, copied):
            if number % 5 == 0:
                indicators.add_late(end, end - length_ms, -close * size, -size)
            if number % 11 == 0:
                at = end - (number % 4) * length_ms
                indicators.add_late(at, at - length_ms, close * 0.1, 0.1)
        assert undisturbed.to_bytes() == saved.to_bytes() == copied.to_bytes()


def test_a_state_of_the_layout_before_is_refused_rather_than_read_as_something_else() -> None:
    indicators = IndicatorSet("1s", *WINDOWS, Sessions("extended"))
    indicators.advance(START_MS, START_MS - 1_000, 10.0, 10.0, 1.0)
    data = indicators.to_bytes()
    with pytest.raises(StateVersionError, match="layout version 1"):
        IndicatorSet.from_bytes(b"\0\0\0\0\0\0\xf0\x3f" + data[8:], "1s", *WINDOWS, Sessions("extended"))
    for size in range(8, len(data), 8):
        with pytest.raises(StateVersionError):
            IndicatorSet.from_bytes(data[:size], "1s", *WINDOWS, Sessions("extended"))
