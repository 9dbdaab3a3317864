from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ta_pipeline.errors import StateVersionError
from ta_pipeline.indicators.set import IndicatorSet, Timeframe, Values
from ta_pipeline.replay.reference import indicators as reference_indicators
from ta_pipeline.replay.reference_rules import Rules
from ta_pipeline.sessions import Sessions
from ta_pipeline.trade_conditions import DEFAULT_PATH

START_MS = 1_784_620_680_000  # 2026-07-21 07:58 UTC, two minutes before the New York day begins
WINDOWS = (300_000, 60_000)

Bar = tuple[int, float, float, float]
"""End (epoch ms), close, price x size, size."""

gaps = st.integers(1, 400)
closes = st.floats(0.01, 100_000, allow_nan=False)
sizes = st.floats(0.0, 1e6, allow_nan=False).map(lambda size: round(size, 3))


@st.composite
def series(draw: st.DrawFn, seconds: int = 1) -> list[Bar]:
    """Bars with gaps, prices near each other or far apart, some without volume."""
    count = draw(st.integers(1, 90))
    end, bars = START_MS, []
    for gap, close, size in zip(
        draw(st.lists(gaps, min_size=count, max_size=count)),
        draw(st.lists(closes, min_size=count, max_size=count)),
        draw(st.lists(sizes, min_size=count, max_size=count)),
        strict=True,
    ):
        end += gap * seconds * 1_000
        bars.append((end, close, close * size, size))
    return bars


def new(timeframe: Timeframe = "1s", session: str = "extended") -> IndicatorSet:
    return IndicatorSet(timeframe, *WINDOWS, Sessions(session))


def advance(indicators: IndicatorSet, bar: Bar, length_ms: int = 1_000) -> Values:
    end, close, pv, v = bar
    return indicators.advance(end, end - length_ms, close, pv, v)


def close_to(got: float | None, expected: float, scale: float) -> bool:
    if got is None or math.isnan(expected):
        return got is None and math.isnan(expected)
    return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-12 * scale)


@given(series())
@settings(max_examples=60)
def test_bar_by_bar_equals_pandas_over_the_whole_series(bars: Sequence[Bar]) -> None:
    indicators = new()
    got = [advance(indicators, bar) for bar in bars]
    frame = pd.DataFrame(bars, columns=["end_ms", "c", "pv", "vv"])
    expected = reference_indicators(frame, Rules(DEFAULT_PATH))
    scale = float(frame["c"].max())
    names = {
        "ema12": "ema12", "ema26": "ema26", "macd": "macd", "macd_signal": "signal", "macd_hist": "hist",
        "rsi14": "rsi14", "boll_mid": "mid", "vwap_session": "session", "vwap_rolling": "w5m", "vol_realized": "w60s",
    }  # fmt: skip
    for field, column in names.items():
        for number, value in enumerate(expected[column]):
            assert close_to(getattr(got[number], field), value, scale), (field, number, got[number], value)
    for number, (upper, mid) in enumerate(zip(expected["upper"], expected["mid"], strict=True)):
        width = None if got[number].boll_upper is None else got[number].boll_upper - got[number].boll_mid  # type: ignore[operator]
        assert width is None or math.isclose(width, upper - mid, rel_tol=1e-6, abs_tol=1e-7 * scale)
    assert [values.bars for values in got] == list(range(1, len(bars) + 1))


@given(series(), st.integers(0, 89))
@settings(max_examples=60)
def test_a_state_saved_and_loaded_in_the_middle_gives_the_same_numbers_bit_for_bit(
    bars: Sequence[Bar], place: int
) -> None:
    undisturbed, saved = new(), new()
    for number, bar in enumerate(bars):
        if number == place:
            saved = IndicatorSet.from_bytes(saved.to_bytes(), "1s", *WINDOWS, Sessions("extended"))
        assert advance(saved, bar) == advance(undisturbed, bar)
    assert saved.to_bytes() == undisturbed.to_bytes()


@given(series())
@settings(max_examples=60)
def test_a_preview_is_what_the_next_bar_would_give_and_changes_nothing(bars: Sequence[Bar]) -> None:
    indicators = new()
    for end, close, pv, v in bars:
        before = indicators.to_bytes()
        previews = [indicators.preview(end, end - 1_000, price, pv, v) for price in (close, close * 2, close)]
        assert indicators.to_bytes() == before
        assert previews[0] == previews[2] == indicators.advance(end, end - 1_000, close, pv, v)


@given(series())
@settings(max_examples=30)
def test_a_copy_goes_its_own_way(bars: Sequence[Bar]) -> None:
    indicators = new()
    for bar in bars:
        advance(indicators, bar)
    before, copied = indicators.to_bytes(), indicators.copy()
    assert copied.to_bytes() == before
    advance(copied, (bars[-1][0] + 1_000, 1.0, 1.0, 1.0))
    assert indicators.to_bytes() == before


@given(series(seconds=60), closes)
@settings(max_examples=40)
def test_an_updated_minute_gives_what_it_would_have_given_in_the_first_place(bars: Sequence[Bar], other: float) -> None:
    updated, right = new("1m"), new("1m")
    for end, close, pv, v in bars:
        updated.advance(end, end - 60_000, other, other, 1.0)
        again = updated.readvance(end, end - 60_000, close, pv, v)
        assert again == right.advance(end, end - 60_000, close, pv, v)
    assert updated.to_bytes() == right.to_bytes()


def test_late_volume_counts_from_the_next_bar_on() -> None:
    indicators = new(session="utc_day")
    advance(indicators, (START_MS, 10.0, 1_000.0, 100.0))
    indicators.add_late(START_MS, START_MS - 1_000, 2_000.0, 100.0)
    values = advance(indicators, (START_MS + 1_000, 15.0, 1_500.0, 100.0))
    assert values.vwap_session == values.vwap_rolling == pytest.approx(15.0, rel=1e-15)


def test_constant_prices_give_no_deviation_and_no_direction() -> None:
    indicators = new()
    values = [advance(indicators, (START_MS + n * 1_000, 0.1, 0.1, 1.0)) for n in range(1, 40)][-1]
    assert (values.boll_upper, values.boll_lower, values.rsi14, values.vol_realized) == (
        pytest.approx(0.1), pytest.approx(0.1), 50.0, 0.0,
    )  # fmt: skip


def test_fifty_thousand_bars_do_not_drift_from_a_fresh_computation_of_the_windows() -> None:
    indicators, bars = new(), []
    for number in range(50_000):
        bars.append((START_MS + number * 1_000, 100 + math.sin(number / 50) * 7 + number % 13 / 100, 101.0, 1.0))
        values = advance(indicators, bars[-1])
    fresh = new()
    for bar in bars[-400:]:
        recent = advance(fresh, bar)
    for field in ("boll_mid", "boll_upper", "boll_lower", "vwap_rolling", "vol_realized"):
        assert getattr(values, field) == pytest.approx(getattr(recent, field), rel=1e-9)


def test_state_that_is_of_another_version_or_cut_off_is_refused() -> None:
    indicators = new()
    advance(indicators, (START_MS, 10.0, 1.0, 1.0))
    data = indicators.to_bytes()
    for broken in (b"", data[:8], data[:-8], b"\0" * 8 + data[8:]):
        with pytest.raises(StateVersionError):
            IndicatorSet.from_bytes(broken, "1s", *WINDOWS, Sessions("extended"))


def test_bars_come_in_order_and_closes_are_positive() -> None:
    indicators = new()
    advance(indicators, (START_MS, 10.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="end"):
        advance(indicators, (START_MS, 10.0, 1.0, 1.0))
    for close in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="close"):
            advance(indicators, (START_MS + 1_000, close, 1.0, 1.0))
