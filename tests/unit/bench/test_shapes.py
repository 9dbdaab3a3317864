from __future__ import annotations

from datetime import datetime

import pytest

from ta_pipeline.bench.shapes import (
    DENSE,
    FAST_FINALS,
    FEW_SYMBOLS,
    LATENCY,
    MANY_SYMBOLS,
    SPARSE,
    SUSTAINED,
    Shape,
    Steady,
    trade_of,
)
from ta_pipeline.settings import load_settings

SHAPES = (DENSE, SPARSE, FEW_SYMBOLS, MANY_SYMBOLS)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.slug)
def test_every_symbol_has_the_shapes_trades_in_each_bar(shape: Shape) -> None:
    each_second = shape.symbols * shape.per_bar
    seen: dict[tuple[str, str], int] = {}
    for number in range(3 * each_second):
        trade = trade_of(shape, number, 1_700_000_000.0)
        key = (str(trade["S"]), str(trade["t"])[:19])
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 3 * shape.symbols
    assert set(seen.values()) == {shape.per_bar}


def test_trade_ids_run_over_all_symbols() -> None:
    trades = [trade_of(DENSE, number, 0.0) for number in range(101)]
    assert [trade["i"] for trade in trades] == list(range(101))
    assert [trade["i"] for trade in trades if trade["S"] == "S000"] == [0, 50, 100]


def test_event_time_never_goes_back() -> None:
    times = [datetime.fromisoformat(str(trade_of(MANY_SYMBOLS, number, 0.0)["t"])) for number in range(10_000)]
    assert times == sorted(times)


def test_slugs_are_different_and_fit_into_a_topics_name() -> None:
    assert [shape.slug for shape in SHAPES] == ["dense", "sparse", "10-symbols", "1-000-symbols"]


@pytest.mark.parametrize("steady", [LATENCY, SUSTAINED, FAST_FINALS], ids=lambda steady: steady.name)
def test_the_settings_of_every_steady_market_are_allowed(steady: Steady) -> None:
    settings = load_settings(**steady.overrides)
    assert all(str(getattr(settings, name)) == value for name, value in steady.overrides.items())
