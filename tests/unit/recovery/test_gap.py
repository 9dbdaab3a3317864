"""Which aborted records are lost, and which are of a job that fails and computes them again."""

from __future__ import annotations

from ta_pipeline.recovery.gap import Written, lost_of
from ta_pipeline.topic_ranges import Retained

BEGIN_MS = 1_784_642_400_000
MARGIN_MS = 10_000
TOPIC = "ta.bars.1s.v1"


def written(
    second: int, offset: int, *, revision: int = 0, computed: int | None = None, symbol: str = "AAA"
) -> Written:
    """A bar that ends at a second, computed two seconds later unless something else is said."""
    end_ms = BEGIN_MS + second * 1_000
    computed_ms = BEGIN_MS + (second + 2 if computed is None else computed) * 1_000
    record = Retained(TOPIC, 0, offset, symbol, b"")
    return Written(record, (TOPIC, symbol, str(end_ms)), revision, end_ms, computed_ms)


def offsets(records: object) -> list[int]:
    return [one.record.offset for one in records]  # type: ignore[attr-defined]


def test_what_was_aborted_and_never_came_again_is_lost() -> None:
    committed = [written(1, 0), written(2, 1), written(5, 10, computed=90), written(40, 11, computed=91)]
    gap = lost_of(committed, [written(3, 3), written(4, 4), written(4, 5, symbol="BBB")], MARGIN_MS)
    assert offsets(gap.lost) == [3, 4, 5]
    assert (gap.undecided, gap.aborted) == (0, 3)
    assert gap.by_topic == {TOPIC: 3}
    assert gap.extent_ms == (BEGIN_MS + 3_000, BEGIN_MS + 4_000)


def test_what_came_again_is_not_lost() -> None:
    committed = [written(1, 0), written(3, 10, computed=20), written(40, 11, computed=60)]
    gap = lost_of(committed, [written(3, 3)], MARGIN_MS)
    assert (gap.lost, gap.undecided, gap.aborted) == ([], 0, 1)


def test_as_long_as_the_job_may_still_compute_it_again_nobody_can_tell() -> None:
    committed = [written(1, 0), written(2, 1)]
    gap = lost_of(committed, [written(3, 3), written(4, 4)], MARGIN_MS)
    assert (gap.lost, gap.undecided) == ([], 2)
    # Far enough for the job as it was when it computed second 3, not for a record of an old second it computed later.
    committed += [written(second, 10 + second, computed=100 + second) for second in (5, 14)]
    gap = lost_of(committed, [written(3, 3), written(0, 4, computed=113)], MARGIN_MS)
    assert (offsets(gap.lost), gap.undecided) == ([3], 1)


def test_a_job_that_is_through_with_its_inputs_computes_nothing_again() -> None:
    gap = lost_of([written(1, 0), written(2, 1)], [written(3, 3), written(4, 4)], None)
    assert (offsets(gap.lost), gap.undecided) == ([3, 4], 0)


def test_a_revision_is_lost_though_the_bar_before_it_is_there_and_not_when_a_newer_one_is() -> None:
    committed = [written(1, 0), written(40, 10, computed=60)]
    assert offsets(lost_of(committed, [written(1, 3, revision=1)], MARGIN_MS).lost) == [3]
    committed.append(written(1, 11, revision=2, computed=61))
    assert lost_of(committed, [written(1, 3, revision=1)], MARGIN_MS).lost == []


def test_of_what_was_aborted_twice_the_newer_one_counts() -> None:
    committed = [written(1, 0), written(40, 10, computed=60)]
    assert offsets(lost_of(committed, [written(2, 3), written(2, 5, computed=6)], MARGIN_MS).lost) == [5]
