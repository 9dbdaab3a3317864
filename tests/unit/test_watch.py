from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ta_pipeline.board import RATE_SECONDS, TREND_SECONDS, WARM_BARS, Board, SymbolState
from ta_pipeline.board_cells import trend
from ta_pipeline.board_view import render
from ta_pipeline.decode import OutputDecoder
from ta_pipeline.errors import BadRecordError
from ta_pipeline.figures import bare_seconds, compact, decimals, duration
from ta_pipeline.readers import Arrival
from ta_pipeline.settings import load_settings
from ta_pipeline.watch import take
from tests.output_records import START_MS, bar, live, signal

SETTINGS = load_settings()
PICTURE_140 = Path(__file__).with_name("board_140.txt")
PICTURE_80 = Path(__file__).with_name("board_80.txt")


def end(second: int) -> int:
    return START_MS + second * 1_000


def board(*symbols: str) -> Board:
    return Board(START_MS, symbols, title="kafka:9092")


def only(shown: Board) -> SymbolState:
    (state,) = shown.symbols
    return state


def market() -> Board:
    """Three symbols after a minute: one warm, one with ten bars and no quote, one that went quiet."""
    shown = board()
    closes = [170.0, 170.08, 170.05, 170.11, 170.2, 170.17, 170.24, 170.3, 170.26, 170.31]
    for n, close in enumerate(closes, start=51):
        shown.take("live", live("AAPL", end(n), close, 7, bars=n), end(n) - 250)
    shown.take("live", live("NEWCO", end(60), 9.5, 3, bars=10, boll=None, imbalance=None, rsi14=None), end(60) - 660)
    for n in range(51, 58):
        shown.take("signals", signal("AAPL", end(n), closes[n - 51], bars=n, rsi14=71.2), end(60))
        shown.take("bars", bar("AAPL", end(n), (170.2, 170.31, 170.19, closes[n - 51]), 12_345), end(60))
    shown.take("bars", bar("AAPL", end(57), (170.2, 170.31, 170.19, 170.24), 12_400, revision=1), end(60))
    shown.take("signals", signal("AAPL", end(0), 169.9, size="PT1M", last_ms=end(-60)), end(60))
    shown.take("signals", signal("QUIET", end(10), 21.35, final=True), end(60))
    shown.take("bars", bar("QUIET", end(10), (21.35, 21.35, 21.35, 21.35), 100), end(60))
    shown.take("late", {"reason": "beyond_horizon"}, end(60))
    shown.take("rejects", {"reason": "not_json"}, end(60))
    shown.take("rejects", {"reason": "size"}, end(60))
    shown.take("status", {"status": "ok", "watermark_lag_ms": 2_100}, end(60))
    shown.tick(end(60) + 300)
    return shown


def drawn(shown: Board, width: int, height: int | None = None) -> list[str]:
    console = Console(width=width, record=True, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(render(shown, width, height))
    return [line.rstrip() for line in captured.get().splitlines()]


# ---- the model


def test_a_newer_second_replaces_the_older_and_not_the_other_way_round() -> None:
    shown = board()
    for n in (2, 3, 1):
        shown.take("live", live("AAPL", end(n), 170.0 + n, 1), end(n))
    state = only(shown)
    assert state.live is not None
    assert state.live.close == 173.0
    assert state.closes == [171.0, 172.0, 173.0]


def test_of_one_second_the_highest_revision_is_shown() -> None:
    shown = board()
    for revision in (1, 3, 2):
        shown.take("live", live("AAPL", end(1), 170.0 + revision, revision), end(1))
    state = only(shown)
    assert state.live is not None
    assert state.live.head.revision == 3


def test_live_final_and_bar_of_a_symbol_stand_side_by_side() -> None:
    shown = board()
    shown.take("live", live("AAPL", end(9), 171.0, 4), end(9))
    shown.take("signals", signal("AAPL", end(5), 170.0), end(9))
    shown.take("bars", bar("AAPL", end(5)), end(9))
    state = only(shown)
    assert state.live is not None
    assert state.final is not None
    assert state.bar is not None
    assert (state.live.close, state.final.close, state.bar.record["o"]) == (171.0, 170.0, 170.0)


def test_a_one_minute_signal_never_replaces_a_one_second_one() -> None:
    shown = board()
    shown.take("signals", signal("AAPL", end(1), 170.0), end(4))
    shown.take("signals", signal("AAPL", end(60), 175.0, size="PT1M"), end(61))
    state = only(shown)
    assert state.final is not None
    assert state.minute is not None
    assert (state.final.close, state.minute.close) == (170.0, 175.0)
    assert state.closes == [170.0]
    assert (shown.final.total, shown.minutes.total) == (1, 1)


def test_the_price_is_compared_with_the_close_of_the_second_before() -> None:
    shown = board()
    shown.take("live", live("AAPL", end(1), 170.0, 1), end(1))
    shown.take("live", live("AAPL", end(3), 171.0, 1), end(3))
    shown.take("live", live("AAPL", end(3), 172.0, 2), end(3))
    state = only(shown)
    assert state.live is not None
    assert state.previous_close(state.live) == 170.0


def test_the_final_close_takes_the_place_of_the_provisional_one() -> None:
    shown = board()
    shown.take("live", live("AAPL", end(1), 170.0, 9), end(1))
    shown.take("live", live("AAPL", end(2), 171.0, 1), end(2))
    shown.take("signals", signal("AAPL", end(1), 170.5), end(5))
    assert only(shown).closes == [170.5, 171.0]


@given(st.lists(st.integers(0, 500), max_size=200))
def test_closes_stay_in_order_and_bounded_whatever_comes(seconds: list[int]) -> None:
    state = SymbolState("AAPL")
    for second in seconds:
        state.note_close(second, float(second))
    assert state.closes == sorted(state.closes)
    assert len(state.closes) <= TREND_SECONDS


@pytest.mark.parametrize(("bars", "warm"), [(1, False), (WARM_BARS - 1, False), (WARM_BARS, True), (None, True)])
def test_a_symbol_is_warm_when_its_slowest_indicator_has_settled(bars: int | None, warm: bool) -> None:
    shown = board()
    shown.take("live", {**live("AAPL", end(1), 170.0, 1), "bars": bars}, end(1))
    assert only(shown).is_warm is warm


def test_only_wanted_symbols_are_shown_in_their_order_and_totals_count_all() -> None:
    shown = board("TSLA", "AAPL", "NONE")
    for symbol in ("AAPL", "MSFT", "TSLA"):
        shown.take("live", live(symbol, end(1), 170.0, 1), end(1))
    assert [state.symbol for state in shown.symbols] == ["TSLA", "AAPL"]
    assert shown.live.total == 3


def test_latency_counts_first_revisions_of_each_path() -> None:
    shown = board()
    shown.take("live", live("AAPL", end(41), 170.0, 1, last_ms=end(41) - 100), end(41) - 58)
    shown.take("signals", signal("AAPL", end(41), last_ms=end(41) - 100), end(49))
    shown.take("signals", signal("AAPL", end(60), size="PT1M"), end(61))
    shown.take("signals", signal("AAPL", end(60), size="PT1M", revision=1), end(62))
    maxima = [path.latency(end(62)).max_ms for path in (shown.live, shown.final, shown.minutes)]
    assert maxima == [42, 8_100, 1_000]


def test_latency_is_of_about_the_last_minute() -> None:
    shown = board()
    shown.take("live", live("AAPL", end(1), 170.0, 1, last_ms=end(1) - 900), end(1))
    shown.take("live", live("AAPL", end(80), 170.0, 1, last_ms=end(80) - 40), end(80))
    assert shown.live.latency(end(80)).max_ms == 40


def test_rates_are_over_the_last_whole_seconds() -> None:
    shown = board()
    for n in range(20):
        for update in range(1, 5):
            shown.take("live", live("AAPL", end(n), 170.0, update), end(n) + update)
    assert shown.live.per_second(end(20)) == 4
    assert shown.live.per_second(end(19 + RATE_SECONDS)) == 4 / RATE_SECONDS
    assert shown.live.per_second(end(40)) == 0


def test_late_and_rejected_records_are_counted_by_reason() -> None:
    shown = market()
    assert shown.late == {"beyond_horizon": 1}
    assert shown.rejects == {"not_json": 1, "size": 1}
    assert (shown.bars, shown.revised_bars) == (9, 1)


def test_a_record_with_an_unreadable_time_changes_nothing() -> None:
    shown = board()
    with pytest.raises(BadRecordError, match="not_an_instant"):
        shown.take("live", {**live("AAPL", end(1), 170.0, 1), "event_ts": "soon"}, end(1))
    assert shown.symbols == []
    assert shown.live.total == 0


def test_what_cannot_be_read_is_counted_and_the_rest_is_taken() -> None:
    shown = board()
    values = [b"{", orjson.dumps(live("AAPL", end(1), 170.0, 1)), None, orjson.dumps({"symbol": "AAPL"})]
    arrivals = [Arrival(SETTINGS.live_topic, 0, n, value, end(1)) for n, value in enumerate(values)]
    take(shown, OutputDecoder(SETTINGS), arrivals)
    assert shown.undecodable == {"not_json": 1, "empty": 1, "missing_field": 1}
    assert only(shown).symbol == "AAPL"


# ---- the picture


@pytest.mark.parametrize(("width", "height", "expected"), [(140, None, PICTURE_140), (80, 24, PICTURE_80)])
def test_the_picture_is_the_one_on_file(width: int, height: int | None, expected: Path) -> None:
    assert "\n".join(drawn(market(), width, height)) + "\n" == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", range(60, 200, 7))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line) for line in drawn(market(), width)) <= width


@pytest.mark.parametrize("height", [14, 16, 24, 30, 50])
@pytest.mark.parametrize("symbols", [0, 1, 3, 10, 40])
def test_the_picture_is_no_higher_than_the_terminal(height: int, symbols: int) -> None:
    shown = market()
    for n in range(symbols):
        shown.take("live", live(f"SYM{n}", end(1), 170.0, 1), end(60))
    assert len(drawn(shown, 80, height)) <= height


def test_symbols_that_find_no_room_are_mentioned() -> None:
    shown = board()
    for n in range(40):
        shown.take("live", live(f"SYM{n:02}", end(1), 170.0, 1), end(1))
    text = "\n".join(drawn(shown, 140, 24))
    count = len(set(re.findall(r"SYM\d\d", text)))
    assert f"not shown for want of lines: {40 - count}" in text


def test_at_140_columns_every_indicator_is_there() -> None:
    heads = drawn(market(), 140)[5:8]
    for name in ("PRICE", "TREND", "volume", "EMA", "MACD", "hist", "RSI", "BANDS", "VWAP", "VOL", "spread", "imb"):
        assert any(name in line for line in heads), name


def test_at_80_columns_the_dearest_stay() -> None:
    heads = drawn(market(), 80)[5:8]
    for name in ("PRICE", "RSI", "hist", "spread", "imb"):
        assert any(name in line for line in heads), name


def test_an_empty_board_says_what_to_look_at() -> None:
    assert any("nothing has come yet" in line for line in drawn(board(), 140))


def test_a_broker_that_is_gone_is_said() -> None:
    shown = market()
    shown.trouble = "1/1 brokers are down"
    assert any("Kafka: 1/1 brokers are down" in line for line in drawn(shown, 80))


def test_tables_that_wait_for_clickhouse_are_said() -> None:
    shown = market()
    shown.tables = "ta_signals is open, for 5.0 min"
    assert any("ClickHouse: ta_signals is open, for 5.0 min" in line for line in drawn(shown, 80))


def test_a_warming_symbol_is_marked_and_a_revision_too() -> None:
    lines = drawn(market(), 140)
    assert any(line.startswith("NEWCO ◔") for line in lines)
    assert not any(line.startswith("AAPL ◔") for line in lines)


@pytest.mark.parametrize(("closes", "bars"), [([], ""), ([1.0], ""), ([1.0, 8.0], "▁█"), ([5.0, 5.0, 5.0], "▁▁▁")])
def test_a_trend_goes_from_the_lowest_to_the_highest_close(closes: list[float], bars: str) -> None:
    assert trend(closes).plain == bars


def test_a_trend_of_one_tick_is_no_mountain() -> None:
    assert trend([10.80, 10.81]).plain == "▁▂"


# ---- figures


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "-"), (0.4, "0 ms"), (45, "45 ms"), (999.6, "1.00 s"), (6_240, "6.24 s"), (42_100, "42.1 s"),
     (99_960, "1.7 min"), (210_000, "3.5 min"), (7_560_000, "2.1 h"), (-3, "-3 ms")],
)  # fmt: skip
def test_a_duration_is_read_at_a_glance(ms: float | None, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(100, "0.1s"), (9_949, "9.9s"), (42_000, "42s"), (180_000, "3m"), (7_200_000, "2h"), (432e6, "5d")]
)
def test_an_age_is_short(ms: float, text: str) -> None:
    assert bare_seconds(ms) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.125, "0.125"), (100, "100"), (9_500, "9,500"), (12_345, "12.3k"), (4_600_000, "4.6M"), (7.2e9, "7.2G")],
)
def test_a_volume_is_short(value: float, text: str) -> None:
    assert compact(value) == text


@given(st.floats(0, 1e12))
def test_a_volume_takes_at_most_seven_characters(value: float) -> None:
    assert len(compact(value)) <= 7


@pytest.mark.parametrize(
    ("price", "text"),
    [(170.1, "170.10"), (67_123.46, "67123.5"), (123_456.7, "123457"), (0.1234, "0.1234"), (0.00001234, "0.000012")],
)
def test_a_price_has_decimals_for_its_size(price: float, text: str) -> None:
    assert f"{price:.{decimals(price)}f}" == text
