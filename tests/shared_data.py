"""Where recorded market data and published reference values lie.

They are not part of the repository: `TA_SHARED_DATA` names their folder, else it is `../shared/data` beside the
checkout. Without them the tests that read them are skipped on a developer's machine and fail in CI.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_file(name: str) -> Path:
    """The path of a shared data file, `name` relative to the data folder."""
    folder = Path(os.environ.get("TA_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    file = folder / name
    if file.is_file():
        return file
    reason = f"{name} is not in {folder}; TA_SHARED_DATA names the folder of recordings and reference values"
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, so this test may not be skipped: {reason}", pytrace=False)
    pytest.skip(reason)


def oracle(name: str) -> dict[str, list[float | None]]:
    """A table of published reference values: column name to numbers, None where the table is empty."""
    with shared_file(f"oracles/{name}").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        column: [float(row[column]) if row[column] else None for row in rows]
        for column in rows[0]
        if column.lower() != "date"
    }


def numbers(column: list[float | None]) -> list[float]:
    """A column that has no gaps."""
    assert None not in column
    return [number for number in column if number is not None]
