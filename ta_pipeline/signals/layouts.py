"""State as JSON that says which layout it has: `2[...]`. Older layouts are brought up to date when they are read.

A state's module has its `VERSION`, and in `UPGRADES`, by version, what makes the next one of it. An upgrade is a
function of plain values: whoever changes a layout raises the version and adds one. It stays for as long as state lives
(`TA_STATE_TTL_DAYS`): what no row touches keeps the layout it was saved with, whatever has been rolled out since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ta_pipeline.errors import StateVersionError

Values = list[Any]
Upgrades = Mapping[int, Callable[[Values], Values]]

_UNMARKED = 1
"""The first layout of each state did not say its version: its JSON begins at once."""


def unchanged(values: Values) -> Values:
    """The upgrade of a layout whose values stay as they are."""
    return values


def pack(version: int, values: Sequence[Any]) -> bytes:
    """Plain values, with the version of their layout in front."""
    return b"%d" % version + orjson.dumps(values)


def unpack(name: str, data: bytes, version: int, upgrades: Upgrades) -> Values:
    """The values of a state in the layout of `version`.

    Args:
        name: what the state is of, for the message.
        data: as `pack` gave it, or as the first layout was.
        version: what this code writes.
        upgrades: by an older version: its values to those of the next one.

    Raises:
        StateVersionError: its version is newer, or older than the first upgrade.
    """
    mark, bracket, _ = data.partition(b"[")
    found = int(mark) if mark.isdigit() else _UNMARKED if bracket and not mark else None
    if found is None:
        raise StateVersionError(f"state of {name} begins with {data[:12]!r}; it is a list with its version in front")
    return upgraded(name, orjson.loads(data[len(mark) :]), found, version, upgrades)


def upgraded(name: str, values: Values, found: int, version: int, upgrades: Upgrades) -> Values:
    """The values of a layout `found` in the layout of `version`; see `unpack`."""
    for older in range(found, version):
        if older not in upgrades:
            break
        values, found = upgrades[older](values), older + 1
    if found != version:
        known = ", ".join(map(str, sorted({version, *upgrades})))
        raise StateVersionError(
            f"state of {name} has version {found}; this code reads {known}: run the code that wrote it, or start "
            "without state"
        )
    return values
