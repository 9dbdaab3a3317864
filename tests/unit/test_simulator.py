"""The simulated market: repeatable, and with everything a real tape has."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from typing import Any

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.simulator import QUIET_SECONDS, TICKERS, TRADE_SHARE, Market, Timed
from ta_pipeline.trade_conditions import TradeConditions

FIELDS = {
    "t": {"T", "S", "i", "x", "p", "s", "c", "z"},
    "q": {"T", "S", "bx", "bp", "bs", "ax", "ap", "as", "c", "z"},
    "s": {"T", "S", "sc", "sm", "rc", "rm", "z"},
    "x": {"T", "S", "i", "x", "p", "s", "a", "z"},
    "c": {"T", "S", "x", "oi", "op", "os", "oc", "ci", "cp", "cs", "cc", "z"},
}
MARKET = Market(symbols=6, rate=1_000, seconds=60, seed=3)


@pytest.fixture(scope="module")
def messages() -> list[Timed]:
    return list(MARKET.messages())


def _of(messages: list[Timed], kind: str) -> list[Timed]:
    return [timed for timed in messages if timed.message["T"] == kind]


def test_the_same_arguments_give_the_same_market_and_another_seed_another(messages: list[Timed]) -> None:
    assert list(Market(symbols=6, rate=1_000, seconds=60, seed=3).messages()) == messages
    assert list(Market(symbols=6, rate=1_000, seconds=60, seed=4).messages()) != messages


def test_messages_have_exactly_the_fields_of_their_kind(messages: list[Timed]) -> None:
    assert {kind: {frozenset(timed.message) for timed in _of(messages, kind)} for kind in FIELDS} == {
        kind: {frozenset(fields)} for kind, fields in FIELDS.items()
    }
    assert {timed.message["T"] for timed in messages} == set(FIELDS)


def test_offsets_never_go_back_and_stay_within_the_market(messages: list[Timed]) -> None:
    offsets = [timed.offset for timed in messages]
    assert offsets == sorted(offsets)
    assert offsets[0] >= 0
    assert offsets[-1] < 60


def test_the_rate_is_kept_and_a_fifth_are_trades(messages: list[Timed]) -> None:
    assert len(messages) == pytest.approx(60_000, rel=0.02)
    assert len(_of(messages, "t")) / len(messages) == pytest.approx(TRADE_SHARE, rel=0.05)


def test_the_open_and_the_close_are_busier_than_the_middle(messages: list[Timed]) -> None:
    seconds = Counter(int(timed.offset) for timed in messages)
    middle = sum(seconds[second] for second in range(25, 35)) / 10
    assert seconds[0] > 2 * middle
    assert seconds[59] > 1.5 * middle


def test_trades_are_mostly_round_lots_and_an_odd_lot_says_so(messages: list[Timed]) -> None:
    trades = [timed.message for timed in _of(messages, "t")]
    assert all(("I" in trade["c"]) == (trade["s"] < 100) for trade in trades)
    assert all(trade["s"] % 100 == 0 for trade in trades if trade["s"] >= 100)
    assert 0.2 < sum("I" in trade["c"] for trade in trades) / len(trades) < 0.5


def test_every_condition_is_known_on_its_tape(messages: list[Timed]) -> None:
    rules = TradeConditions.load()
    for timed in _of(messages, "t"):
        assert timed.message["z"] in {"A", "B", "C"}
        assert timed.message["c"][0] == ("@" if timed.message["z"] == "C" else " ")
        assert rules.classify(timed.message["c"], timed.message["z"]).unknown == 0, timed.message


def test_late_reports_carry_z_and_some_are_ten_seconds_late(messages: list[Timed]) -> None:
    late = [timed for timed in messages if timed.late]
    assert {timed.message["T"] for timed in late} == {"t"}
    assert all("Z" in timed.message["c"] for timed in late)
    assert not any("Z" in timed.message["c"] for timed in _of(messages, "t") if not timed.late)
    assert {timed.late > 8 for timed in late} == {True, False}


def test_cancels_and_corrections_speak_of_an_earlier_trade_once(messages: list[Timed]) -> None:
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    spoken_of: set[tuple[str, str, int]] = set()
    for timed in messages:
        message = timed.message
        if message["T"] == "t":
            assert (message["S"], message["x"], message["i"]) not in seen
            seen[message["S"], message["x"], message["i"]] = message
        elif message["T"] in {"x", "c"}:
            number, price, size = ("i", "p", "s") if message["T"] == "x" else ("oi", "op", "os")
            identity = message["S"], message["x"], message[number]
            assert (seen[identity]["p"], seen[identity]["s"]) == (message[price], message[size])
            assert identity not in spoken_of
            spoken_of.add(identity)
    assert spoken_of


@pytest.mark.parametrize("seed", range(12))
def test_a_halted_symbol_is_silent_until_it_resumes_late_reports_included(seed: int) -> None:
    messages = list(Market(symbols=2, rate=500, seconds=40, seed=seed).messages())
    halt, resume = _of(messages, "s")
    symbol = halt.message["S"]
    assert (halt.message["sc"], resume.message["sc"], resume.message["S"]) == ("H", "T", symbol)
    about = [
        timed.offset - timed.late
        for timed in messages
        if timed.message["S"] == symbol and timed.message["T"] != "s"
        if timed.offset >= resume.offset or timed.offset < halt.offset
    ]
    assert len(about) == sum(timed.message["S"] == symbol for timed in messages) - 2
    assert not any(halt.offset < moment < resume.offset for moment in about)
    assert max(about) > resume.offset


def test_a_halt_does_not_lower_the_rate() -> None:
    messages = list(Market(symbols=2, rate=1_000, seconds=60, seed=1).messages())
    assert len(messages) == pytest.approx(60_000, rel=0.02)


def test_the_last_of_several_symbols_trades_every_twenty_seconds_or_so() -> None:
    market = Market(symbols=3, rate=50, seconds=200, seed=1)
    quiet = market.names()[-1]
    times = [timed.offset for timed in market.messages() if timed.message["S"] == quiet and timed.message["T"] == "t"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(gaps) >= 7
    assert all(0.7 * QUIET_SECONDS < gap < 1.3 * QUIET_SECONDS for gap in gaps)


def test_quotes_are_rarely_one_sided_on_either_side_crossed_or_locked(messages: list[Timed]) -> None:
    kinds = Counter(_sort(timed.message) for timed in _of(messages, "q"))
    assert set(kinds) == {"no bid", "no ask", "crossed", "locked", "regular"}
    assert kinds["regular"] / kinds.total() > 0.99


def _sort(quote: dict[str, Any]) -> str:
    if not quote["bp"]:
        return "no bid"
    if not quote["ap"]:
        return "no ask"
    if quote["bp"] == quote["ap"]:
        return "locked"
    return "crossed" if quote["bp"] > quote["ap"] else "regular"


def test_prices_are_positive_whole_cents(messages: list[Timed]) -> None:
    for timed in _of(messages, "t"):
        assert timed.message["p"] > 0
        assert timed.message["p"] == round(timed.message["p"], 2)


@pytest.mark.parametrize("rate", [20, 2_000])
def test_how_far_prices_move_does_not_depend_on_the_rate(rate: float) -> None:
    moves: list[float] = []
    for seed in range(8):
        prices: dict[str, list[float]] = defaultdict(list)
        for timed in Market(symbols=2, rate=rate, seconds=20, seed=seed).messages():
            if timed.message["T"] == "t":
                prices[timed.message["S"]].append(timed.message["p"])
        moves += [abs(math.log(path[-1] / path[0])) for path in prices.values()]
    # 20 s at 0.5 to 3 basis points a root second, and the bounce between bid and ask.
    assert 1e-5 < sum(moves) / len(moves) < 3e-3


def test_symbols_are_well_known_tickers_then_made_up_ones_all_different() -> None:
    names = Market(symbols=10_000).names()
    assert names[: len(TICKERS)] == list(TICKERS)
    assert len(set(names)) == 10_000


def test_a_market_without_an_end_goes_on() -> None:
    assert len(list(itertools.islice(Market(symbols=2, rate=10, seconds=None).messages(), 5_000))) == 5_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"symbols": 0}, "symbols"), ({"symbols": 10_001}, "symbols"), ({"rate": 0}, "rate"), ({"seconds": 0}, "seconds")],
)
def test_arguments_out_of_range_are_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=f"--{named} is"):
        Market(**arguments)
