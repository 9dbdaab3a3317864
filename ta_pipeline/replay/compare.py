"""Two sides of a day into a verdict; pure: frames in, numbers and examples out.

A frame has the columns of its table (`fields.TABLES`), one row a record; order of rows is the order in which records
came. Null is NaN or None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ta_pipeline.replay.fields import CLOSE, TABLES, Field, Floats, Table
from ta_pipeline.replay.verdict import Comparison, Difference, FieldVerdict, TableVerdict

EXAMPLES = 5

_OTHER, _SIDE = " found", " side"
_WHOLE_NUMBERS = {"end_ms", "seq", "revision", "offset"}

Frames = Mapping[str, pd.DataFrame]
"""Table name to frame."""


def compare(
    expected: Frames,
    found: Frames,
    *,
    sides: tuple[str, str] = ("pandas", "job"),
    notes: Iterable[str] = (),
    tables: Iterable[Table] = TABLES,
) -> Comparison:
    """The verdict on `found`, measured by `expected`.

    Args:
        expected: what is right.
        found: what is judged.
        sides: their names.
        notes: what was left out.
        tables: what to compare.
    """
    verdicts = tuple(compare_table(table, expected[table.name], found[table.name]) for table in tables)
    return Comparison(*sides, verdicts, tuple(notes))


def compare_table(table: Table, expected: pd.DataFrame, found: pd.DataFrame) -> TableVerdict:
    """The verdict on one kind of record."""
    key = list(table.key)
    wanted, once = _keyed(table, expected).drop_duplicates(key), _keyed(table, found).drop_duplicates(key)
    both = wanted.merge(once, on=key, how="outer", suffixes=("", _OTHER), indicator=_SIDE)
    if "end_ms" in key:
        both = both.sort_values(["end_ms", *key], kind="stable", ignore_index=True)
    missing, extra = (both[both[_SIDE] == side] for side in ("left_only", "right_only"))
    pairs = both[both[_SIDE] == "both"]
    close = _numbers(pairs[CLOSE]) if CLOSE in pairs else np.zeros(len(pairs))
    fields, examples = [], []
    for field in table.fields:
        verdict, wrong = _compare_field(field, _numbers(pairs[field.name]), _numbers(pairs[field.name + _OTHER]), close)
        fields.append(verdict)
        examples += [(int(place), field) for place in np.flatnonzero(wrong)[:EXAMPLES]]
    examples.sort(key=lambda example: example[0])
    shown = [_example(table, pairs.iloc[place], field) for place, field in examples[:EXAMPLES]]
    shown += [_whole(table, row, "missing") for _, row in missing.head(EXAMPLES).iterrows()]
    shown += [_whole(table, row, "extra") for _, row in extra.head(EXAMPLES).iterrows()]
    return TableVerdict(
        table.name, len(wanted), len(found), len(missing), len(extra), len(found) - len(once), _out_of_order(found),
        tuple(fields), tuple(shown),
    )  # fmt: skip


def _keyed(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """With keys of one type: a frame without rows has none."""
    return frame.astype({name: "int64" if name in _WHOLE_NUMBERS else object for name in table.key})


def _compare_field(
    field: Field, one: Floats, other: Floats, close: Floats
) -> tuple[FieldVerdict, np.ndarray[Any, np.dtype[np.bool_]]]:
    null, other_null = np.isnan(one), np.isnan(other)
    on_one_side = null != other_null
    with np.errstate(invalid="ignore"):
        apart = np.where(null | other_null | (one == other), 0.0, np.abs(one - other))
    larger = np.fmax(np.fmax(np.abs(one), np.abs(other)), np.finfo(float).tiny)
    relative = np.where(apart > 0, apart / np.where(np.isnan(larger), 1.0, larger), 0.0)
    allowed = field.allowed(one, other, close)
    wrong = on_one_side | (apart > allowed)
    unequal = apart > 0
    with np.errstate(divide="ignore"):
        share = apart[unequal] / allowed[unequal]
    verdict = FieldVerdict(
        field.name, field.tolerance, len(one), int(wrong.sum()), int(unequal.sum()) + int(on_one_side.sum()),
        int(on_one_side.sum()), float(apart.max(initial=0.0)), float(relative.max(initial=0.0)),
        float(share.max(initial=0.0)), float(np.median(share)) if len(share) else 0.0,
    )  # fmt: skip
    return verdict, wrong


def _numbers(column: pd.Series[Any]) -> Floats:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _out_of_order(found: pd.DataFrame) -> int:
    """First signals of a window that came after one of a later window of the same symbol.

    A bar may: the first late trade of a second without one makes it, whatever came in between.
    """
    if "size" not in found or found.empty:
        return 0
    first = found[found["revision"] == 0]
    newest_before = first.groupby(["symbol", "size"])["end_ms"].cummax()
    return int((first["end_ms"] < newest_before).sum())


def _example(table: Table, row: pd.Series[Any], field: Field) -> Difference:
    return Difference(
        _named(table, row),
        field.name,
        _shown(field.name, row[field.name]),
        _shown(field.name, row[field.name + _OTHER]),
    )


def _whole(table: Table, row: pd.Series[Any], what: str) -> Difference:
    expected, found = ("there", "missing") if what == "missing" else ("none", "there")
    return Difference(_named(table, row), "the record", expected, found)


def _named(table: Table, row: pd.Series[Any]) -> str:
    parts = [_shown(name, row[name]) for name in table.key if name not in {"seq", "revision"}]
    revision = row["revision"] if "revision" in table.key else 0
    return " ".join([*parts, *([f"revision {revision:.0f}"] if revision else [])])


def _shown(name: str, value: Any) -> str:
    if pd.isna(value):
        return "null"
    if name.endswith("_ms"):
        return datetime.fromtimestamp(value / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float):
        # The shortest text that is read back as this double.
        return repr(float(value)).removesuffix(".0")
    return str(value)
