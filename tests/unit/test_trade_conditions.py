from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.trade_conditions import TAPES, TradeConditions, TradeUpdate
from tests.shared_data import shared_file

RULES = TradeConditions.load()
HEADER = "condition,description,tapes,update_open_close,update_high_low,update_volume\n"


@pytest.mark.parametrize(
    ("conditions", "tape", "expected"),
    [
        (None, "A", TradeUpdate(True, True, True, 0)),
        ([], "A", TradeUpdate(True, True, True, 0)),
        ([" "], "A", TradeUpdate(True, True, True, 0)),
        (["@"], "C", TradeUpdate(True, True, True, 0)),
        (["@", "F"], "C", TradeUpdate(True, True, True, 0)),
        (["@", "F", "T", "I"], "C", TradeUpdate(False, False, True, 0)),
        (["M"], "A", TradeUpdate(False, False, False, 0)),
        (["I", "Q"], "A", TradeUpdate(False, False, False, 0)),
        (["T"], "C", TradeUpdate(True, True, True, 0)),
        ([" ", "7"], "B", TradeUpdate(False, False, True, 0)),
    ],
)
def test_the_strictest_condition_of_a_trade_wins(
    conditions: list[str] | None, tape: str, expected: TradeUpdate
) -> None:
    assert RULES.classify(conditions, tape) == expected


@pytest.mark.parametrize(("tape", "updates_prices"), [("A", False), ("B", False), ("C", True), (None, False)])
def test_b_is_an_average_price_on_a_and_b_and_a_bunched_trade_on_c(tape: str | None, updates_prices: bool) -> None:
    assert RULES.classify(["B"], tape) == TradeUpdate(updates_prices, updates_prices, True, 0)


@pytest.mark.parametrize(
    ("conditions", "tape", "unknown"),
    [(["?"], "A", 1), (["?", "!"], None, 2), (["@"], "A", 1), (["B"], "O", 1), (["@", " "], "X", 2), (["A"], "A", 1)],
)
def test_a_condition_unknown_on_its_tape_is_regular_and_counted(
    conditions: list[str], tape: str | None, unknown: int
) -> None:
    assert RULES.classify(conditions, tape) == TradeUpdate(True, True, True, unknown)


def test_an_unknown_condition_does_not_hide_a_strict_one() -> None:
    assert RULES.classify(["?", "I"], "A") == TradeUpdate(False, False, True, 1)


def test_the_table_says_what_alpaca_publishes_for_bars_of_a_minute() -> None:
    with shared_file("alpaca_bar_rules.csv").open(encoding="utf-8", newline="") as file:
        published = [row for row in csv.DictReader(file) if "M" in row["bar_type"]]
    assert len(published) == len(RULES.rules) == 32
    for row in published:
        for tape in row["tapes"]:
            expected = TradeUpdate(
                row["update_open_close"] == "yes", row["update_high_low"] == "yes", row["update_volume"] == "yes", 0
            )
            assert RULES.classify([row["condition"]], tape) == expected, (row["condition"], tape)


@pytest.mark.parametrize("tape", [*TAPES, None])
def test_blocked_and_known_say_the_same_as_classify(tape: str | None) -> None:
    known = RULES.known(tape)
    everything = {rule.condition for rule in RULES.rules}
    for condition in everything | {"?"}:
        update = RULES.classify([condition], tape)
        assert (condition in known) == (update.unknown == 0)
        assert (condition in RULES.blocked("open_close", tape)) == (not update.open_close)
        assert (condition in RULES.blocked("high_low", tape)) == (not update.high_low)
        assert (condition in RULES.blocked("volume", tape)) == (not update.volume)


def test_without_a_tape_every_condition_is_known_and_read_as_strictly_as_any_tape_reads_it() -> None:
    assert RULES.known(None) == {rule.condition for rule in RULES.rules}
    for field in ("open_close", "high_low", "volume"):
        assert RULES.blocked(field, None) == frozenset().union(*(RULES.blocked(field, tape) for tape in TAPES))  # type: ignore[arg-type]


def test_a_tape_that_does_not_exist_knows_and_blocks_nothing() -> None:
    assert RULES.known("X") == RULES.blocked("volume", "X") == frozenset()


def test_a_part_of_a_bar_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'vwap'; there are open_close, high_low, volume"):
        RULES.blocked("vwap", "A")  # type: ignore[arg-type]


def test_another_table_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(HEADER + "k,Kept out,A,no,yes,yes\n", encoding="utf-8")
    assert TradeConditions.load(file).classify(["k"], "A") == TradeUpdate(False, True, True, 0)


def test_a_missing_table_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read from .*nowhere\.csv.*schema/trade_conditions\.csv"):
        TradeConditions.load(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "has the columns"),
        (HEADER + "k,Kept out,Q,no,yes,yes\n", "line 2: tapes is 'Q'; allowed are the letters A, B, C, O"),
        (HEADER + "k,Kept out,A,maybe,yes,yes\n", "line 2: update_open_close is 'maybe'; allowed are yes and no"),
        (HEADER + "k,Kept out,A,no,yes\n", "line 2: update_volume is empty"),
        (HEADER + "k,Kept out,A,no,yes,yes,\n", "line 2: there are more fields than columns"),
        (HEADER + "k,One,AB,no,yes,yes\nk,Two,BC,no,yes,yes\n", "line 3: condition 'k' has a rule"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line_and_what_is_allowed(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "rules.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        TradeConditions.load(file)
