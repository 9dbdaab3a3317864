"""Whether every broken record is accounted for: rejected once and for its reason, or accepted and allowed to be."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.broken_records import ACCEPTED, Broken

Place = tuple[str, int, int]
"""Topic, partition, offset."""


def place_of(reject: Mapping[str, Any]) -> Place:
    """Where the rejected record stands."""
    return reject["topic"], reject["partition"], reject["offset"]


def require_accounted(sent: Mapping[Place, Broken], rejects: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Fail with the records whose fate is not what the contract says; returns how many were rejected by reason."""
    found = list(rejects)
    twice = [place for place, times in Counter(map(place_of, found)).items() if times > 1]
    assert not twice, f"{len(twice)} records were rejected more than once, the first {twice[:3]}"
    reasons = {place_of(reject): str(reject["reason"]) for reject in found}
    strangers = {place: reason for place, reason in reasons.items() if place not in sent}
    assert not strangers, f"{len(strangers)} good records were rejected: {dict(list(strangers.items())[:5])}"
    wrong: dict[str, Counter[str]] = {}
    for place, broken in sent.items():
        fate = reasons.get(place, ACCEPTED)
        if fate not in broken.outcome:
            wrong.setdefault(f"{broken.change} ({broken.kind})", Counter())[fate] += 1
    told = "\n".join(f"  {change}: {dict(fates)}" for change, fates in sorted(wrong.items()))
    assert not wrong, f"{sum(map(Counter.total, wrong.values()))} records had another fate than they should:\n{told}"
    return Counter(reasons.values())


def require_as_it_was(reject: Mapping[str, Any], broken: Broken, most: int) -> None:
    """Fail unless the reject has the record's own bytes: all, or the first `most`, and says how many there are."""
    value = broken.value or b""
    raw = base64.b64decode(reject["raw"]) if reject["raw_encoding"] == "base64" else reject["raw"].encode()
    assert reject["raw_size"] == len(value), broken
    assert value.startswith(raw), broken
    assert len(raw) == len(value) or most - 3 <= len(raw) <= most, broken
