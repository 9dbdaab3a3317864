"""Which trade condition may set which part of a bar.

The table is `schema/trade_conditions.csv`: Alpaca's rules for bars of a minute and shorter, as published in
"How are bars aggregated?" (docs.alpaca.markets, market data FAQ). One row says, for one condition on some tapes,
whether a trade that carries it updates open and close, high and low, and volume. A letter may mean different things
on different tapes (`B`: an average price on A and B, a bunched trade on C).

Reading rules: of several conditions the strictest wins; without a tape a condition is read as strictly as any tape
reads it; a condition that is unknown, or known but not on that tape, lets everything through and is counted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

from ta_pipeline.errors import SettingsError

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "schema" / "trade_conditions.csv"
TAPES = ("A", "B", "C", "O")
"""A: NYSE, B: regional exchanges, C: Nasdaq, O: over the counter."""

Field = Literal["open_close", "high_low", "volume"]

_BITS = {"open_close": 1, "high_low": 2, "volume": 4}
_COLUMNS = ("condition", "description", "tapes", "update_open_close", "update_high_low", "update_volume")
_YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """One row of the table: what a trade with `condition` on one of `tapes` may update."""

    condition: str
    description: str
    tapes: frozenset[str]
    open_close: bool
    high_low: bool
    volume: bool


class TradeUpdate(NamedTuple):
    """What one trade may update, and how many of its conditions are unknown on its tape."""

    open_close: bool
    high_low: bool
    volume: bool
    unknown: int


REGULAR = TradeUpdate(True, True, True, 0)
"""A trade without conditions."""


class TradeConditions:
    """The whole table, ready to classify trades and to be turned into SQL."""

    __slots__ = ("_masks", "_updates", "rules")

    def __init__(self, rules: Iterable[ConditionRule]) -> None:
        self.rules = tuple(rules)
        self._masks: dict[str | None, dict[str, int]] = {tape: {} for tape in (*TAPES, None)}
        for rule in self.rules:
            mask = sum(bit for field, bit in _BITS.items() if not getattr(rule, field))
            for tape in rule.tapes:
                self._masks[tape][rule.condition] = mask
            strictest = self._masks[None]
            strictest[rule.condition] = strictest.get(rule.condition, 0) | mask
        self._updates = [tuple(not mask & bit for bit in _BITS.values()) for mask in range(8)]

    @classmethod
    def load(cls, path: Path | str | None = None) -> Self:
        """Read the table; by default the one in the repository's `schema` folder.

        Args:
            path: another file of the same columns, needed where the package is installed without the repository.

        Raises:
            SettingsError: the file is missing or a row cannot be read; the message names the file and the line.
        """
        file = Path(path) if path is not None else DEFAULT_PATH
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"trade conditions cannot be read from {file}: {error.strerror}; "
                "give the path of the repository's schema/trade_conditions.csv"
            ) from None
        reader = csv.DictReader(text.splitlines())
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise SettingsError(f"{file} has the columns {reader.fieldnames}; it must have {list(_COLUMNS)}")
        rules: list[ConditionRule] = []
        seen: set[tuple[str, str]] = set()
        for row in reader:
            try:
                rule = _rule(row, seen)
            except ValueError as error:
                raise SettingsError(f"{file}, line {reader.line_num}: {error}") from None
            rules.append(rule)
        return cls(rules)

    def classify(self, conditions: Sequence[str] | None, tape: str | None) -> TradeUpdate:
        """What a trade may update.

        Args:
            conditions: the trade's `c`; None or empty is a regular trade.
            tape: the trade's `z`; None when missing. A tape outside `TAPES` knows no condition.
        """
        if not conditions:
            return REGULAR
        masks = self._masks.get(tape)
        if masks is None:
            return TradeUpdate(True, True, True, len(conditions))
        blocked = unknown = 0
        for condition in conditions:
            mask = masks.get(condition)
            if mask is None:
                unknown += 1
            else:
                blocked |= mask
        open_close, high_low, volume = self._updates[blocked]
        return TradeUpdate(open_close, high_low, volume, unknown)

    def blocked(self, field: Field, tape: str | None) -> frozenset[str]:
        """The conditions that keep a trade on `tape` (None: missing) from updating `field`."""
        if field not in _BITS:
            raise ValueError(f"no such part of a bar: {field!r}; there are {', '.join(_BITS)}")
        bit = _BITS[field]
        return frozenset(condition for condition, mask in self._masks.get(tape, {}).items() if mask & bit)

    def known(self, tape: str | None) -> frozenset[str]:
        """The conditions that have a rule on `tape`; None (missing): on any tape."""
        return frozenset(self._masks.get(tape, {}))


def _rule(row: dict[str, str], seen: set[tuple[str, str]]) -> ConditionRule:
    missing = [column for column in _COLUMNS if not row.get(column)]
    if missing:
        raise ValueError(f"{', '.join(missing)} is empty")
    if len(row) > len(_COLUMNS):
        raise ValueError("there are more fields than columns")
    tapes = frozenset(row["tapes"])
    if not tapes <= set(TAPES):
        raise ValueError(f"tapes is {row['tapes']!r}; allowed are the letters {', '.join(TAPES)}")
    named = {(row["condition"], tape) for tape in tapes}
    if named & seen:
        raise ValueError(f"condition {row['condition']!r} has a rule for one of the tapes {row['tapes']} already")
    seen |= named
    updates: list[bool] = []
    for column in _COLUMNS[3:]:
        if row[column] not in _YES_NO:
            raise ValueError(f"{column} is {row[column]!r}; allowed are yes and no")
        updates.append(_YES_NO[row[column]])
    return ConditionRule(row["condition"], row["description"], tapes, *updates)
