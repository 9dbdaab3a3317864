"""Indicator state as plain numbers: packed float64, led by a version, NaN for a value that is not there yet."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from ta_pipeline.errors import StateVersionError

Numbers = Sequence[float]


def pack(version: int, *numbers: float | None) -> array[float]:
    """A dump: the version, then the numbers; None becomes NaN. Whole numbers are exact below 2**53."""
    return array("d", [version, *[math.nan if number is None else number for number in numbers]])


def optional(number: float) -> float | None:
    """The reverse of `pack` for one number."""
    return None if math.isnan(number) else number


def optional_int(number: float) -> int | None:
    """The reverse of `pack` for one whole number."""
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
