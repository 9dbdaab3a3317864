"""Where a group goes on: what was handed out is not handed out again, and nothing is left out."""

from __future__ import annotations

from ta_pipeline.reader.positions import Beginning, Place, Stand
from ta_pipeline.reader.progress import Arrival, Progress

PLACE = ("ta.signals.v1", 2)
BEFORE_MS, T_MS = 1_767_364_000_000, 1_767_364_200_000


def begun(read_from: int = 40, told_from: int = 40, place: Place = PLACE) -> Progress:
    progress = Progress()
    progress.begin(place, Beginning(read_from, told_from, None, BEFORE_MS), is_kept=True)
    return progress


def read(progress: Progress, *offsets: int, place: Place = PLACE) -> list[Arrival]:
    """Records of one second each."""
    found = []
    for offset in offsets:
        found.append(Arrival(2, *place, offset, b"", offset >= progress.told_from[place], progress.written_ms[place]))
        progress.next[place], progress.written_ms[place] = offset + 1, T_MS + 1_000 * offset
    return found


def test_whoever_takes_over_before_anything_came_begins_at_the_same_place() -> None:
    assert begun(read_from=30).to_tell([]) == {PLACE: Stand(40, BEFORE_MS)}


def test_a_group_goes_on_before_the_first_record_that_is_not_dealt_with() -> None:
    progress = begun()
    _, second, third = read(progress, 40, 41, 42)
    assert progress.to_tell([third, second]) == {PLACE: Stand(41, T_MS + 40_000)}
    assert progress.to_tell([third]) == {PLACE: Stand(42, T_MS + 41_000)}


def test_a_group_goes_on_after_records_that_were_left_out() -> None:
    progress = begun()
    read(progress, 40, 41, 77)
    assert progress.to_tell([]) == {PLACE: Stand(78, T_MS + 77_000)}


def test_what_was_read_only_to_be_known_does_not_take_a_group_back() -> None:
    progress = begun(read_from=30)
    known = read(progress, 30, 31)
    assert progress.stands([]) == progress.stands(known) == {PLACE: Stand(40, BEFORE_MS)}
    read(progress, *range(32, 40))
    assert progress.stands([]) == {PLACE: Stand(40, T_MS + 39_000)}


def test_records_that_are_gone_are_passed() -> None:
    progress = begun()
    left = read(progress, 40)
    progress.skip(PLACE, 90)
    assert progress.stands(left) == {PLACE: Stand(40, BEFORE_MS)}
    assert progress.stands([]) == {PLACE: Stand(90, T_MS + 40_000)}


def test_live_signals_have_no_place_in_a_group() -> None:
    progress = Progress()
    progress.begin(("ta.signals.live.v1", 2), Beginning(5, 5), is_kept=False)
    assert progress.to_tell([]) == {}


def test_a_group_is_told_once_and_again_what_kafka_did_not_take() -> None:
    progress = begun()
    assert progress.to_tell([]) == {PLACE: Stand(40, BEFORE_MS)}
    assert progress.to_tell([]) == {}
    progress.not_taken(PLACE, 40)
    assert progress.to_tell([]) == {PLACE: Stand(40, BEFORE_MS)}


def test_what_kafka_did_not_take_is_forgotten_once_something_newer_was_told_or_it_is_another_ones() -> None:
    progress = begun()
    progress.to_tell([])
    read(progress, 40)
    assert progress.to_tell([]) == {PLACE: Stand(41, T_MS + 40_000)}
    progress.not_taken(PLACE, 40)
    assert progress.to_tell([]) == {}
    progress.clear()
    progress.not_taken(PLACE, 41)
    assert progress.to_tell([]) == {}
