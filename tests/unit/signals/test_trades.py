from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_pipeline.signals.trades import Sums, Trade, add, find, parse, remove, sums

ODD_EXCHANGES = ["|", ";", "V|", "a|1", "a|1|2", "x;y", ";|;", "\n", "", "V|0|10.0", "é|"]


def listed(*trades: str) -> str:
    return ";".join(trades)


@pytest.mark.parametrize("exchange", ODD_EXCHANGES)
@pytest.mark.parametrize("number", ["7", "-12", ""])
def test_an_exchange_that_contains_separators_is_read_as_it_is(exchange: str, number: str) -> None:
    text = f"{exchange}|{number}|3|10.5|100.0"
    name = f"{exchange}|{number}" if number else None
    odd = Trade(name, 3, 10.5, 100.0, text)
    plain = Trade("V|1", 0, 10.0, 50.0, "V|1|0|10.0|50.0")
    assert list(parse(listed(plain.text, text, plain.text))) == [plain, odd, plain]


@pytest.mark.parametrize("exchange", ODD_EXCHANGES)
def test_a_trade_of_an_odd_exchange_is_found_and_removed_by_its_name(exchange: str) -> None:
    trades = listed("V|1|0|10.0|50.0", f"{exchange}|9|0|11.0|5.0", "V|2|0|12.0|50.0")
    trade = find(trades, f"{exchange}|9")
    assert trade is not None
    assert (trade.price, trade.size) == (11.0, 5.0)
    assert remove(trades, trade) == listed("V|1|0|10.0|50.0", "V|2|0|12.0|50.0")


def test_only_the_whole_name_finds_a_trade() -> None:
    trades = listed("VV|12|0|10.0|50.0", "V|123|0|10.0|50.0")
    assert [find(trades, name) for name in ("V|12", "V|1", "|12", "VV|1", "V|")] == [None] * 5


def test_a_trade_without_id_counts_but_nothing_can_name_it() -> None:
    trades = listed("V||0|10.0|50.0", "||0|11.0|5.0", "V|3|0|12.0|1.0")
    assert sums(trades) == Sums(56.0, 3, 567.0, 56.0)
    assert [find(trades, name) for name in ("V|", "|", "")] == [None] * 3


@pytest.mark.parametrize(
    ("mask", "expected"),
    [(0, Sums(5.0, 1, 50.0, 5.0)), (1, Sums(5.0, 1, 50.0, 5.0)), (3, Sums(5.0, 1, 0.0, 0.0)), (7, Sums(0.0, 0, 0, 0))],
)
def test_the_mask_says_what_a_trade_counts_for(mask: int, expected: Sums) -> None:
    assert sums(f"V|1|{mask}|10.0|5.0") == expected


def test_numbers_are_read_as_java_and_as_python_write_them() -> None:
    prices = [trade.price for trade in parse(listed("V|1|0|1.0E-5|1.0E10", "V|2|0|1e-05|1e+300", "V|3|0|2|3"))]
    assert prices == [1e-5, 1e-5, 2.0]


def test_of_two_trades_that_read_the_same_one_is_removed() -> None:
    same = "V|1|0|10.0|50.0"
    trade = find(listed(same, same), "V|1")
    assert trade is not None
    assert remove(listed(same, same), trade) == same


exchanges = st.text(alphabet="V|;. \n-", max_size=4)
listed_trades = st.lists(
    st.tuples(
        exchanges,
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.integers(0, 7),
        st.floats(min_value=5e-324, allow_infinity=False),
        st.floats(min_value=5e-324, allow_infinity=False),
    ),
    max_size=5,
)


@given(listed_trades)
def test_what_was_added_is_what_is_read(given_trades: Sequence[tuple[str, int | None, int, float, float]]) -> None:
    trades = ""
    for exchange, number, mask, price, size in given_trades:
        trades = add(trades, f"{exchange}|{'' if number is None else number}|{mask}|{price}|{size}")
    assert [(trade.name, trade.mask, trade.price, trade.size) for trade in parse(trades)] == [
        (None if number is None else f"{exchange}|{number}", mask, price, size)
        for exchange, number, mask, price, size in given_trades
    ]
