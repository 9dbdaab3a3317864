"""Tables in metadata: what people look at first."""

from collections.abc import Iterable, Sequence

import dagster as dg

Cell = str | int | float | bool | None


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> dg.TableMetadataValue:
    """A table with these columns; None is an empty cell."""
    kinds: dict[str, str] = {}
    records = []
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        for name, value in values.items():
            if value is not None:
                kinds.setdefault(name, _kind(value))
        records.append(dg.TableRecord({name: "" if value is None else value for name, value in values.items()}))
    schema = dg.TableSchema([dg.TableColumn(name, kinds.get(name, "string")) for name in columns])
    return dg.MetadataValue.table(records, schema=schema)


def _kind(value: Cell) -> str:
    kinds = {bool: "bool", int: "int", float: "float"}
    return kinds.get(type(value), "string")
