"""A job that begins anew gives out what is not on the topics, and nothing of what is."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import pytest

from ta_pipeline.signals.outputs import MINUTE, SECOND, Late, Reject, Signal
from ta_pipeline.signals.published import Published

NEWEST_MS = 1_784_642_460_000
HORIZON_MS = 60_000
EMPTY: dict[str, object] = dict.fromkeys(Signal._fields)


@dataclass(frozen=True)
class Given:
    """Which of a bar and its signal is given out."""

    bar: bool
    signal: bool


def published() -> Published:
    """Bars up to `NEWEST_MS`, signals up to a second before it; one bar in between was revised, one is not there."""
    found = Published(HORIZON_MS)
    for end_ms in range(NEWEST_MS - 300_000, NEWEST_MS + 1_000, 1_000):
        if end_ms != NEWEST_MS - 4_000:
            found.add_bar("AAA", end_ms, 0)
            if end_ms < NEWEST_MS:
                found.add_signal("AAA", SECOND, end_ms, 0)
    found.add_bar("AAA", NEWEST_MS - 2_000, 1)
    found.add_signal("AAA", MINUTE, NEWEST_MS, 1)
    found.add_place("late", "trades", 0, 17)
    found.add_place("rejects", "trades", 0, 4)
    return found


@pytest.fixture(params=["as read", "dumped and loaded"])
def known(request: pytest.FixtureRequest) -> Published:
    found = published()
    if request.param == "as read":
        return found
    return Published.load(orjson.loads(orjson.dumps(found.dump())))


def given(known: Published, event_ms: int, revision: int = 0, **fields: object) -> Given:
    values = {
        **EMPTY, "symbol": "AAA", "size": SECOND, "is_final": True, "has_bar": True, "has_signal": True,
        "event_ms": event_ms, "revision": revision, **fields,
    }  # fmt: skip
    new = known.new_of(Signal(**values))  # type: ignore[arg-type]
    if new is None:
        return Given(bar=False, signal=False)
    assert isinstance(new, Signal)
    return Given(new.has_bar, new.has_signal)


def test_what_comes_after_the_newest_of_its_topic_is_new(known: Published) -> None:
    assert given(known, NEWEST_MS + 1_000) == Given(bar=True, signal=True)
    assert given(known, NEWEST_MS) == Given(bar=False, signal=True)
    assert given(known, NEWEST_MS - 1_000) == Given(bar=False, signal=False)
    assert given(known, NEWEST_MS - 300_000) == Given(bar=False, signal=False)


def test_another_symbol_has_nothing_there(known: Published) -> None:
    assert given(known, NEWEST_MS - 300_000, symbol="BBB") == Given(bar=True, signal=True)


def test_a_live_signal_of_a_second_that_is_final_is_withheld(known: Published) -> None:
    live = {"is_final": False, "has_bar": False}
    assert given(known, NEWEST_MS - 1_000, 3, **live) == Given(bar=False, signal=False)
    assert given(known, NEWEST_MS, 3, **live) == Given(bar=False, signal=True)


def test_within_the_horizon_a_bar_that_is_missing_or_newer_is_new(known: Published) -> None:
    revised = {"has_signal": False}
    assert given(known, NEWEST_MS - 2_000, 1, **revised) == Given(bar=False, signal=False)
    assert given(known, NEWEST_MS - 2_000, 2, **revised) == Given(bar=True, signal=False)
    assert given(known, NEWEST_MS - 4_000, 0) == Given(bar=True, signal=False)
    assert given(known, NEWEST_MS - HORIZON_MS, 1, **revised) == Given(bar=False, signal=False)


def test_minutes_have_a_newest_of_their_own(known: Published) -> None:
    minute = {"size": MINUTE, "has_bar": False}
    assert given(known, NEWEST_MS, 1, **minute) == Given(bar=False, signal=False)
    assert given(known, NEWEST_MS, 2, **minute) == Given(bar=False, signal=True)
    assert given(known, NEWEST_MS - 60_000, 5, **minute) == Given(bar=False, signal=False)
    assert given(known, NEWEST_MS + 60_000, 0, **minute) == Given(bar=False, signal=True)


def test_late_and_rejected_records_are_new_behind_the_newest_offset_of_their_partition(known: Published) -> None:
    late = Late("AAA", 0, "beyond_horizon", "t", "trades", 0, 17, 0, 0, None, None, None, None)
    reject = Reject("AAA", 0, "bad_price", None, "trades", 0, 4, None, None)
    for record in (late, reject):
        offset = record.log_offset
        assert offset is not None
        assert known.new_of(record) is None
        assert known.new_of(record._replace(log_offset=offset + 1)) is not None
        assert known.new_of(record._replace(log_partition=1)) is not None
        assert known.new_of(record._replace(log_offset=None)) is not None


def test_only_what_may_still_be_revised_is_kept_bar_by_bar() -> None:
    kept = dict(published().dump()["symbols"]["AAA"][1])
    assert min(kept) == NEWEST_MS - HORIZON_MS + 1_000
    assert len(kept) == 59
    assert published().newest_ms == NEWEST_MS
    assert Published(HORIZON_MS).newest_ms is None
