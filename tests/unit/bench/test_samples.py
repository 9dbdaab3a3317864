from __future__ import annotations

import pytest

from ta_pipeline.bench.samples import MOST_SECONDS, WARM_UP_SECONDS, Sample, described, drain_of, window
from ta_pipeline.bench.shapes import SHIPPED, Shape

SHAPE = Shape("made up", trades=200_000, symbols=10, per_bar=10, warm_up=300_000)


def samples(rate: float, seconds: float, *, every: float = 2.0, cold: float = 0.0) -> list[Sample]:
    """A drain at a steady rate; CPU is one core, twice as much in the first `cold` seconds."""
    found = []
    for number in range(1, int(seconds / every) + 1):
        at = number * every
        cpu = at + min(at, cold)
        found.append(Sample(100.0 + at, min(at * rate, SHAPE.backlog), cpu, at / 50, int(at)))
    return found


def first_window(found: list[Sample]) -> tuple[Sample, Sample] | None:
    """As a drain sees it: sample by sample, until there is one."""
    return next((one for end in range(1, len(found) + 1) if (one := window(found[:end], SHAPE))), None)


def measured(found: list[Sample]) -> tuple[Sample, Sample]:
    one = first_window(found)
    assert one is not None
    return one


def test_the_measurement_begins_with_the_first_sample_that_has_read_the_warm_up() -> None:
    begin, end = measured(samples(10_000.0, 60.0))
    assert begin.read == 300_000
    assert end.read - begin.read == 200_000


def test_what_the_compiler_takes_in_the_warm_up_is_not_in_the_figures() -> None:
    found = samples(10_000.0, 60.0, cold=28.0)
    drain = drain_of(SHAPE, SHIPPED, 1, found, measured(found))
    assert drain.events_per_second == pytest.approx(10_000.0)
    assert drain.cpu_us_per_event == pytest.approx(100.0)
    assert drain.gc_share == pytest.approx(0.02)
    assert drain.warm_up_seconds == 28.0
    assert drain.memory_bytes == 60


def test_nothing_is_measured_before_ten_seconds_have_passed_though_the_trades_were_read() -> None:
    begin, end = measured(samples(60_000.0, 30.0))
    assert begin.read == 360_000
    assert end.at - begin.at == 10.0


def test_a_variant_that_does_not_get_through_the_warm_up_is_warm_after_a_minute() -> None:
    found = samples(1_000.0, 300.0)
    begin, end = measured(found)
    assert begin.at - found[0].at == WARM_UP_SECONDS
    assert end.at - begin.at == MOST_SECONDS


def test_there_is_no_window_while_it_is_warming_up_or_too_little_was_read() -> None:
    assert window([], SHAPE) is None
    assert window(samples(10_000.0, 28.0), SHAPE) is None
    assert window(samples(10_000.0, 44.0), SHAPE) is None


def test_a_backlog_that_ends_too_soon_is_measured_by_its_last_ten_seconds_of_work() -> None:
    rate = (SHAPE.backlog - 1) / 13.0
    begin, end = measured(samples(rate, 20.0, every=1.0))
    assert end.at == 113.0
    assert end.at - begin.at == 10.0
    assert end.read < SHAPE.backlog


def test_a_backlog_that_is_drained_within_ten_seconds_is_measured_from_its_warm_up_to_its_end() -> None:
    begin, end = measured(samples(SHAPE.backlog / 9.0, 20.0, every=1.0))
    assert begin.read >= SHAPE.warm_up
    assert (begin.at, end.at) == (102.0, 108.0)


def test_a_backlog_that_hardly_outlasts_its_warm_up_is_measured_with_it() -> None:
    begin, end = measured(samples(SHAPE.backlog / 4.0, 20.0, every=0.5))
    assert begin.at == 100.5
    assert end.at == 103.5


def test_a_backlog_that_is_drained_within_moments_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match=r"reads 1,500,000 trades, warm-up included, in less than 3 s"):
        first_window(samples(SHAPE.backlog / 3.0, 20.0, every=1.0))


def test_progress_says_the_phase_and_the_rate_of_the_newest_sample() -> None:
    found = samples(10_000.0, 40.0)
    assert described([], SHAPE) == "starting"
    assert described(found[:1], SHAPE) == "warming up, 20,000 of 1,500,000 read"
    assert described(found[:3], SHAPE) == "warming up, 60,000 of 1,500,000 read, 10,000 events/s"
    assert described(found, SHAPE) == "measuring, 400,000 of 1,500,000 read, 10,000 events/s"
