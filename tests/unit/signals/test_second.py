from __future__ import annotations

import math

import pytest

from ta_pipeline.signals.second import Second

END_MS = 1_784_644_201_000
LARGEST = 1.7976931348623157e308


def second_of(*trades: tuple[str, int, float, float]) -> Second:
    """A second of trades (name, mask, price, size)."""
    second = Second(END_MS, feed="sip")
    for name, mask, price, size in trades:
        second.add_trade(f"{name}|{mask}|{price}|{size}", mask, price, size, END_MS - 1)
    return second


@pytest.mark.parametrize(
    "trades",
    [
        [("V|1", 0, LARGEST, 100.0)],  # price x size is too large
        [("V|1", 0, LARGEST, 1.0), ("V|2", 0, LARGEST, 1.0)],  # their sum is
        [("V|1", 0, 1e-8, LARGEST), ("V|2", 0, 1e-8, LARGEST)],  # the volume is
        [("V|1", 0, 1e300, 1e-300), ("V|2", 0, LARGEST, 10.0)],
    ],
)
def test_a_vwap_too_large_for_a_double_is_none(trades: list[tuple[str, int, float, float]]) -> None:
    second = second_of(*trades)
    assert second.is_bar
    assert second.vwap is None


def test_the_largest_price_that_fits_has_a_vwap() -> None:
    assert second_of(("V|1", 0, LARGEST, 1.0)).vwap == LARGEST


def test_a_second_without_volume_that_counts_has_no_vwap() -> None:
    assert second_of(("V|1", 3, 10.0, 100.0)).vwap is None


@pytest.mark.parametrize(
    "trades",
    [
        [("V|1", 0, 10.0, 100.0), ("V||", 3, 9.0, 7.0)],
        [("V|1", 0, LARGEST, 100.0)],
        [("V|1", 0, 1e-8, LARGEST), ("V|2", 0, 1e-8, LARGEST)],
    ],
)
def test_a_second_comes_back_from_its_dump_as_it_was_infinite_sums_included(
    trades: list[tuple[str, int, float, float]],
) -> None:
    second = second_of(*trades)
    again = Second.load(second.dump())
    assert again == second
    assert again.vwap == second.vwap


def test_what_was_too_large_is_gone_when_its_trade_is() -> None:
    second = Second.load(second_of(("V|1", 0, 10.0, 100.0), ("V|2", 0, LARGEST, 100.0)).dump())
    assert math.isinf(second.pv)
    assert second.remove_trade("V|2")
    assert (second.v, second.n, second.vwap) == (100.0, 1, 10.0)


def test_a_trade_that_is_not_there_is_not_removed() -> None:
    second = second_of(("V|1", 0, 10.0, 100.0))
    assert not second.remove_trade("V|2")
    assert second == second_of(("V|1", 0, 10.0, 100.0))


def test_trades_are_taken_in_once_and_those_without_id_always() -> None:
    second = second_of(("V|1", 0, 10.0, 100.0))
    second.add_missing("V|1|0|10.0|100.0;V||0|11.0|50.0;V||0|11.0|50.0", END_MS)
    assert (second.n, second.v, second.h, second.c, second.last_ms) == (3, 200.0, 11.0, 10.0, END_MS)
