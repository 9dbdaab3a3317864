"""What a comparison found, and how it is said: numbers in, lines for people out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldVerdict:
    """One field over all records that both sides have.

    Attributes:
        name: of the field.
        tolerance: in words.
        compared: pairs of values, nulls included.
        differences: pairs further apart than the tolerance; a null beside a value always is.
        unequal: pairs that are not equal to the last bit.
        nulls_on_one_side: pairs of which one is null.
        worst_absolute: largest difference of two numbers.
        worst_relative: largest difference as a share of the larger number.
        worst_share: largest difference of two numbers as a share of what is allowed; infinite when nothing is.
        typical_share: half of the unequal numbers differ by less than this share; 0 when all are equal.
    """

    name: str
    tolerance: str
    compared: int
    differences: int
    unequal: int = 0
    nulls_on_one_side: int = 0
    worst_absolute: float = 0.0
    worst_relative: float = 0.0
    worst_share: float = 0.0
    typical_share: float = 0.0


@dataclass(frozen=True)
class Difference:
    """One example: which value of which record, and what each side has. Times are RFC 3339, UTC."""

    record: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.record}: {self.field} is {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class TableVerdict:
    """One kind of record.

    Attributes:
        name: bars, signals, late, rejects.
        expected: records of the side that says what is right.
        found: records of the other side.
        missing: expected and not found.
        extra: found and not expected.
        duplicates: found more than once.
        out_of_order: final records that came after one of a later time of their symbol.
        fields: one verdict a field.
        examples: the first of what is wrong, by event time.
    """

    name: str
    expected: int
    found: int
    missing: int = 0
    extra: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    fields: tuple[FieldVerdict, ...] = ()
    examples: tuple[Difference, ...] = ()

    @property
    def is_green(self) -> bool:
        """Everything is there once, in order, and within its tolerance."""
        return not any((self.missing, self.extra, self.duplicates, self.out_of_order, self.differences))

    @property
    def differences(self) -> int:
        """Values further apart than allowed, of all fields."""
        return sum(field.differences for field in self.fields)

    def problems(self) -> list[str]:
        """What is wrong, a line each."""
        counts = {
            "are missing": self.missing,
            "are there and not expected": self.extra,
            "came more than once": self.duplicates,
            "came after a later one": self.out_of_order,
        }
        lines = [f"{self.name}: {count:,} of {self.expected:,} {what}" for what, count in counts.items() if count]
        lines += [
            f"{self.name}: {field.name} differs in {field.differences:,} of {field.compared:,}, at worst by "
            f"{field.worst_absolute:.3g} ({field.worst_relative:.1e} of the value; allowed: {field.tolerance})"
            for field in self.fields
            if field.differences
        ]
        return lines


@dataclass(frozen=True)
class Comparison:
    """Two sides, all their tables.

    Attributes:
        expected_side: whose values count as right.
        found_side: whose values are judged.
        tables: one verdict a kind of record.
        notes: what was left out, and what else a reader has to know; never a reason to be red.
    """

    expected_side: str
    found_side: str
    tables: tuple[TableVerdict, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_green(self) -> bool:
        """No table has anything wrong, and there was something to compare."""
        return self.compared > 0 and all(table.is_green for table in self.tables)

    @property
    def compared(self) -> int:
        """Records that were expected, of all tables."""
        return sum(table.expected for table in self.tables)

    def problems(self) -> list[str]:
        """What is wrong, a line each."""
        if not self.compared:
            return [f"there is nothing to compare: {self.expected_side} has no records for this day and symbol"]
        return [line for table in self.tables for line in table.problems()]

    def examples(self) -> list[Difference]:
        """The first of what is wrong in each table."""
        return [example for table in self.tables for example in table.examples]

    def table(self, name: str) -> TableVerdict:
        """The verdict on one kind of record."""
        return next(table for table in self.tables if table.name == name)


@dataclass(frozen=True)
class Verdict:
    """All comparisons of one replay; green when each of them is."""

    comparisons: tuple[Comparison, ...]

    @property
    def is_green(self) -> bool:
        """Every comparison is green."""
        return all(comparison.is_green for comparison in self.comparisons)

    def problems(self) -> list[str]:
        """What is wrong, a line each; of more than one comparison each line says which."""
        if len(self.comparisons) == 1:
            return self.comparisons[0].problems()
        return [line for comparison in self.comparisons for line in _of(comparison, comparison.problems())]

    def summary(self) -> str:
        """One sentence."""
        return "; ".join(_summary(comparison) for comparison in self.comparisons)


def _of(comparison: Comparison, lines: Iterable[str]) -> list[str]:
    return [f"{comparison.found_side} against {comparison.expected_side}: {line}" for line in lines]


def _summary(comparison: Comparison) -> str:
    sides = f"{comparison.found_side} against {comparison.expected_side}"
    counts = ", ".join(f"{table.expected:,} {table.name}" for table in comparison.tables if table.expected)
    if comparison.is_green:
        return f"{sides}: {counts}, every value within its tolerance"
    wrong = sum(table.differences for table in comparison.tables)
    missing = sum(table.missing for table in comparison.tables)
    extra = sum(table.extra for table in comparison.tables)
    return (
        f"{sides}: {wrong:,} values differ, {missing:,} records are missing, {extra:,} too many, of {counts or 'none'}"
    )
