"""Indicator state as plain numbers: packed float64, led by a version, NaN for a value that is not there yet.

Whole numbers are exact below 2**53, which epoch milliseconds are for 285,000 years.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self, TypeAlias

from ta_pipeline.errors import StateVersionError

Numbers = Sequence[float]
Columns: TypeAlias = "tuple[array[float], ...]"


class Indicator:
    """What all indicators share: their state is in their slots."""

    VERSION: ClassVar[int]
    """Of the dump, which begins with it."""
    __slots__ = ()

    def dump_to(self, head: list[float]) -> Columns:
        """Append the single numbers of the state to `head`; returns its own columns, all of one length."""
        raise NotImplementedError

    def load(self, numbers: Numbers) -> None:
        """Take over a dump.

        Raises:
            StateVersionError: it was written by another version.
        """
        raise NotImplementedError

    def dump(self) -> array[float]:
        """The state as plain numbers: the single ones, then the columns."""
        head: list[float] = []
        columns = self.dump_to(head)
        return array("d", b"".join((array("d", head), *columns)))

    def copy(self) -> Self:
        """An independent one in the same state: its own arrays and indicators, and the same of everything else."""
        copied = object.__new__(type(self))
        slots: Iterable[str] = self.__slots__
        for slot in slots:
            value = getattr(self, slot)
            if isinstance(value, array):
                value = value[:]
            elif isinstance(value, Indicator):
                value = value.copy()
            setattr(copied, slot, value)
        return copied


def dump_each(indicators: Iterable[Indicator], head: list[float]) -> bytes:
    """The numbers of `head`; of each indicator the single numbers and, if it has columns, their length; all columns.

    Packed in this machine's byte order. Made for hot loops: a column is copied once.
    """
    columns: list[array[float]] = []
    for indicator in indicators:
        own = indicator.dump_to(head)
        if own:
            head.append(len(own[0]))
            columns += own
    return b"".join((array("d", head), *columns))


def load_each(indicators: Iterable[Indicator], numbers: array[float], start: int) -> int:
    """Take over what `dump_each` gave after its head, from `start` on; returns where it ends."""
    parts = []
    for indicator in indicators:
        single: list[float] = []
        columns = indicator.dump_to(single)  # how many there are of either is always the same
        end = start + len(single)
        parts.append((indicator, numbers[start:end], int(numbers[end]) * len(columns) if columns else 0))
        start = end + 1 if columns else end
    for indicator, dump, size in parts:
        indicator.load(dump + numbers[start : start + size])
        start += size
    return start


def or_nan(number: float | None) -> float:
    """A number as a dump has it."""
    return math.nan if number is None else number


def optional(number: float) -> float | None:
    """The reverse of `or_nan`."""
    return None if math.isnan(number) else number


def optional_int(number: float) -> int | None:
    """The reverse of `or_nan` for a whole number."""
    return None if math.isnan(number) else int(number)


def body(name: str, numbers: Numbers, version: int, columns: int = 1, fixed: int = 0) -> Numbers:
    """The numbers of a dump after its version, checked.

    Args:
        name: what the state is of, for the message.
        numbers: the dump.
        version: the version this code writes and reads.
        columns: numbers after the fixed ones come in groups of this many.
        fixed: how many single numbers follow the version.

    Raises:
        StateVersionError: the version is another one, or the length is impossible for it.
    """
    if not numbers:
        raise StateVersionError(f"state of {name} is empty; it starts with version {version}")
    if numbers[0] != version:
        raise StateVersionError(
            f"state of {name} has version {numbers[0]:g}; this code reads version {version}: "
            "run the code that wrote it, or start without state"
        )
    rest = len(numbers) - 1 - fixed
    if rest < 0 or (rest % columns if columns else rest):
        raise StateVersionError(f"state of {name} has {len(numbers)} numbers, which version {version} never writes")
    return numbers[1:]
