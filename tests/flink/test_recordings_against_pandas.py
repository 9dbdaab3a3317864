"""`ta compute` on recorded days equals an independent pandas computation (tests/reference.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pandas as pd
import pytest

from ta_pipeline.compute import compute
from ta_pipeline.settings import load_settings
from tests import reference
from tests.shared_data import shared_file

SIGNAL_FIELDS = {
    "ema12": ("ema", "ema12"), "ema26": ("ema", "ema26"), "macd": ("macd", "macd"), "signal": ("macd", "signal"),
    "hist": ("macd", "hist"), "rsi14": ("rsi14", ""), "mid": ("boll", "mid"), "upper": ("boll", "upper"),
    "lower": ("boll", "lower"), "session": ("vwap", "session"), "w5m": ("vwap", "w5m"),
    "w60s": ("vol_realized", "w60s"),
}  # fmt: skip
QUOTE_FIELDS = ["spread", "imbalance", "bid_px", "ask_px", "bid_sz", "ask_sz"]


@dataclass(frozen=True)
class Day:
    """One recording computed by the job, and the same by pandas."""

    bars: pd.DataFrame
    signals: pd.DataFrame
    late: list[Mapping[str, object]]
    rejects: list[Mapping[str, object]]
    expected_bars: pd.DataFrame
    expected_signals: dict[str, pd.DataFrame]
    quotes: pd.DataFrame | None


def _read(path: Path) -> list[Mapping[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def _frame(records: list[Mapping[str, object]]) -> pd.DataFrame:
    frame = pd.DataFrame(records)
    frame["end"] = pd.to_datetime(frame["event_ts"], utc=True, format="ISO8601")
    return frame.set_index(["symbol", "end"]).sort_index()


def _compute(names: list[str], out: Path, overrides: dict[str, str]) -> Day:
    files = [shared_file(name) for name in names]
    compute(files, out, load_settings(**overrides), overrides)
    messages = pd.concat([reference.read_messages(file) for file in files], ignore_index=True)
    trades = messages[messages["T"] == "t"]
    quotes = messages[messages["T"] == "q"]
    assert reference.in_time(trades).all(), "the pandas computation knows no late trades"
    rules = None
    if overrides.get("bar_rules") != "all":
        rules = reference.condition_rules(shared_file("alpaca_bar_rules.csv"))
    expected = reference.bars(trades, rules)
    session = overrides.get("session", "extended")
    return Day(
        _frame(_read(out / "bars.jsonl")),
        _frame(_read(out / "signals.jsonl")),
        _read(out / "late.jsonl"),
        _read(out / "rejects.jsonl"),
        expected,
        {symbol: reference.signals(one.droplevel("S"), session) for symbol, one in expected.groupby(level="S")},
        quotes if len(quotes) else None,
    )


@pytest.fixture(scope="module")
def stock_day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    names = ["xxx_20180102_trades.jsonl.gz", "xxx_20180102_quotes.jsonl.gz"]
    return _compute(names, tmp_path_factory.mktemp("stock"), {})


@pytest.fixture(scope="module")
def three_symbols(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return _compute(["multi3_20140917_trades.jsonl.gz"], tmp_path_factory.mktemp("three"), {})


@pytest.fixture(scope="module")
def crypto(tmp_path_factory: pytest.TempPathFactory) -> Day:
    overrides = {"bar_rules": "all", "session": "utc_day"}
    return _compute(["crypto_btcusdt_20240808_arrival.jsonl.gz"], tmp_path_factory.mktemp("crypto"), overrides)


@pytest.fixture(params=["stock_day", "three_symbols", "crypto"])
def day(request: pytest.FixtureRequest) -> Day:
    found: Day = request.getfixturevalue(request.param)
    return found


def test_the_job_gives_every_bar_that_pandas_gives_and_no_other(day: Day) -> None:
    assert list(day.bars.index) == list(day.expected_bars.index)
    assert list(day.signals.index) == list(day.expected_bars.index)
    assert (day.bars["revision"] == 0).all()


def test_prices_and_counts_are_exact_and_sums_differ_by_rounding_only(day: Day) -> None:
    for field in ("o", "h", "l", "c", "count"):
        pd.testing.assert_series_equal(
            day.bars[field], day.expected_bars[field], check_names=False, check_exact=True, check_dtype=False
        )
    for field in ("v", "vwap"):
        pd.testing.assert_series_equal(
            day.bars[field], day.expected_bars[field], check_names=False, rtol=1e-9, atol=0, check_dtype=False
        )


@pytest.mark.parametrize("field", SIGNAL_FIELDS)
def test_every_indicator_equals_the_pandas_series(day: Day, field: str) -> None:
    group, name = SIGNAL_FIELDS[field]
    for symbol, expected in day.expected_signals.items():
        column = day.signals.loc[symbol][group]
        got = column if not name else column.map(lambda value, name=name: None if value is None else value[name])
        scale = 1e-9 if field in {"macd", "signal", "hist", "w60s"} else 0.0  # differences of almost equal numbers
        pd.testing.assert_series_equal(
            got.astype(float), expected[field].astype(float), check_names=False, rtol=1e-9, atol=scale
        )


def test_quotes_are_those_of_an_as_of_join_at_the_window_end(day: Day) -> None:
    if day.quotes is None:
        assert day.signals["imbalance"].isna().all()
        return
    for symbol, quotes in day.quotes.groupby("S"):
        signals = day.signals.loc[symbol]
        expected = reference.quotes_as_of(quotes, signals.index)
        got = pd.DataFrame(
            [dict.fromkeys(QUOTE_FIELDS) if group is None else group for group in signals["imbalance"]],
            index=signals.index,
        )
        for field in QUOTE_FIELDS:
            pd.testing.assert_series_equal(
                got[field].astype(float), expected[field].astype(float), check_names=False, rtol=1e-9
            )


def test_nothing_is_late_and_nothing_is_rejected_in_a_clean_recording(stock_day: Day, three_symbols: Day) -> None:
    for day in (stock_day, three_symbols):
        assert (day.late, day.rejects) == ([], [])


def test_seq_is_the_epoch_second_of_the_window_end(day: Day) -> None:
    ends = day.signals.index.get_level_values("end")
    assert list(day.signals["seq"]) == [int(end.timestamp()) for end in ends]
