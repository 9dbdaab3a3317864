"""What readers of a topic would lose with a new version of its Avro schema; pure.

A registry asks whether records can be read, and a field with a default may then go: whoever leans on it reads null from
then on, and nobody is told. Every field of an output has a default, so no level of compatibility would refuse that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_OF_A_TYPE = ("logicalType", "precision", "scale", "size", "symbols")


def lost(before: str, after: str) -> list[str]:
    """The fields of the Avro schema `before` that `after` lacks or gives another type, and what became of each."""
    is_now = dict(_fields(json.loads(after)))
    found: list[str] = []
    gone: list[str] = []
    for path, kind in _fields(json.loads(before)):
        if any(path.startswith(f"{above}.") for above in gone):
            continue
        if path not in is_now:
            gone.append(path)
            found.append(f"{path} is gone")
        elif is_now[path] != kind:
            found.append(f"{path} is {is_now[path]}, it was {kind}")
    return found


def _fields(schema: Any) -> Iterator[tuple[str, str]]:
    """The path of each field and its type, those of records within after it."""
    named: dict[str, Any] = {}
    for record in _records(schema, named):
        yield from _of_record(record, "", named, (record["name"],))


def _of_record(
    record: dict[str, Any], above: str, named: dict[str, Any], within: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for field in record["fields"]:
        path = above + field["name"]
        yield path, type_of(field["type"], named)
        for inner in _records(field["type"], named):
            if inner["name"] not in within:  # a record may have itself as a field
                yield from _of_record(inner, f"{path}.", named, (*within, inner["name"]))


def type_of(kind: Any, named: dict[str, Any]) -> str:
    """A type as text, the same for whatever means the same; of a record its fields are told one by one.

    Args:
        kind: of a field, as Avro's JSON has it.
        named: the types that were defined before, by name; those that are defined here are added.
    """
    kind = _resolved(kind, named)
    if isinstance(kind, list):
        return " or ".join(sorted(type_of(one, named) for one in kind))
    if isinstance(kind, str):
        return kind
    if kind["type"] == "array":
        return f"array of {type_of(kind['items'], named)}"
    if kind["type"] == "map":
        return f"map of {type_of(kind['values'], named)}"
    more = ", ".join(f"{name} {json.dumps(kind[name])}" for name in _OF_A_TYPE if name in kind)
    return f"{kind['type']} ({more})" if more else str(kind["type"])


def _records(kind: Any, named: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = _resolved(kind, named)
    if isinstance(kind, list):
        for one in kind:
            yield from _records(one, named)
    elif isinstance(kind, dict) and kind["type"] == "record":
        yield kind
    elif isinstance(kind, dict) and kind["type"] in {"array", "map"}:
        yield from _records(kind.get("items", kind.get("values")), named)


def _resolved(kind: Any, named: dict[str, Any]) -> Any:
    """What a name stands for; a schema defines each where it is used first."""
    if isinstance(kind, str):
        return named.get(kind.rpartition(".")[2], kind)
    if isinstance(kind, dict):
        if "name" in kind:
            named[kind["name"].rpartition(".")[2]] = kind
        elif isinstance(kind["type"], (dict, list)):
            return _resolved(kind["type"], named)
    return kind
