"""Trade conditions in SQL: one small number per trade that says which parts of a bar it may set.

The number comes from TRADE_RULE (flink/java): a `mask` with bit 1 when the trade sets neither open nor close, bit 2
neither high nor low, bit 4 no volume; and the count of its unknown conditions. It is computed before the
deduplication, so that one integer travels instead of an array.
"""

from __future__ import annotations

from ta_pipeline.trade_conditions import Field, TradeConditions

OPEN_CLOSE, HIGH_LOW, VOLUME = 1, 2, 4
_BITS: dict[Field, int] = {"open_close": OPEN_CLOSE, "high_low": HIGH_LOW, "volume": VOLUME}
_TAPES = ("A", "B", "C", "O")


def rule_sql(rules: TradeConditions, conditions: str, tape: str) -> str:
    """SQL (INT): mask + 8 x unknown conditions, of the trade whose condition array and tape are these columns."""
    lines = "\n".join(f"{condition}\t{tapes}\t{mask}" for condition, tapes, mask in _rules(rules))
    return f"TRADE_RULE({conditions}, {tape}, '{lines.replace(chr(39), chr(39) * 2)}')"


def allowed(bits: int) -> str:
    """SQL (BOOLEAN): the row's `mask` lets it set all that `bits` stand for."""
    masks = ", ".join(str(mask) for mask in range(8) if not mask & bits)
    return f"mask IN ({masks})"


def _rules(rules: TradeConditions) -> list[tuple[str, str, int]]:
    """Condition, tapes, mask: one for each condition and each reading of it."""
    by_reading: dict[tuple[str, int], str] = {}
    for tape in _TAPES:
        blocked = {field: rules.blocked(field, tape) for field in _BITS}
        for condition in rules.known(tape):
            mask = sum(bit for field, bit in _BITS.items() if condition in blocked[field])
            by_reading[condition, mask] = by_reading.get((condition, mask), "") + tape
    return sorted((condition, tapes, mask) for (condition, mask), tapes in by_reading.items())
