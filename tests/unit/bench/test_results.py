from __future__ import annotations

from ta_pipeline.bench.results import Results, Run, Spread, cpu, rate, ratio, rounds_of
from ta_pipeline.bench.samples import Drain
from ta_pipeline.bench.shapes import DENSE, FLOOR, LATENCY, SHIPPED, SPARSE, Shape, Steady
from ta_pipeline.feed import FeedReport
from ta_pipeline.flink_answers import Checkpoints
from ta_pipeline.latency import LatencySummary
from ta_pipeline.probe_report import Finding, PathReport, ProbeReport


def drain(
    shape: Shape = DENSE, variant: str = SHIPPED, number: int = 1, *, per_second: float = 100_000.0, us: float = 15.0
) -> Drain:
    """A round that took 20 s."""
    events = 20 * per_second
    return Drain(shape, variant, number, 31.0, 20.0, events, events * us / 1e6, 0.4, 3 * 2**29)


def path(p50: float | None, p99: float | None, largest: float | None) -> PathReport:
    latency = LatencySummary(600, p50, p50, p99, p99, largest)
    return PathReport(600, 10, 10.0, 0, latency)


def run(
    steady: Steady = LATENCY, *, live: tuple[float, float, float] = (90.0, 240.0, 410.0),
    final: tuple[float, float, float] = (6_400.0, 11_900.0, 12_700.0), memory: int = 2**30,
) -> Run:  # fmt: skip
    none = Finding(0, 600)
    seen = ProbeReport(60.0, path(*live), path(*final), path(*final), path(*final), 0, none, none, none, 21_000, {}, {})
    fed = FeedReport({"trades": 12_000}, 90.0, 0.4, 3.1, 12.0)
    checkpoints = Checkpoints(9, 0, 0, 0, "s3a://somewhere", 3 * 2**20, 240, 210.0, 380.0)
    return Run(steady, 999.6, fed, seen, checkpoints, 0.5, memory, 0.012, "trades_log.source")


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert Spread.of([]) is None
    assert Spread(50_000.4, 40_000.0, 60_000.0).text(",.0f", " events/s") == "50,000 events/s (40,000 to 60,000)"


def test_rounds_are_found_by_shape_and_variant() -> None:
    drains = [drain(), drain(variant=FLOOR), drain(SPARSE), drain(number=2)]
    assert [found.number for found in rounds_of(drains, DENSE, SHIPPED)] == [1, 2]


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_moment_of_the_machine_cancels() -> None:
    shipped = [drain(per_second=60_000.0), drain(number=2, per_second=30_000.0)]
    floor = [drain(per_second=100_000.0), drain(number=2, per_second=50_000.0)]
    assert ratio(shipped, floor, rate) == Spread(0.6, 0.6, 0.6)


def test_a_round_that_the_other_side_lacks_has_no_ratio() -> None:
    assert ratio([drain(us=20.0), drain(number=2)], [drain(us=10.0)], cpu) == Spread(2.0, 2.0, 2.0)
    assert ratio([drain()], [], cpu) is None


def test_memory_is_the_highest_of_drains_and_runs() -> None:
    assert Results().memory_bytes == 0
    assert Results(drains=[drain()], runs=[run(memory=2**31)]).memory_bytes == 2**31


def test_cpu_of_a_run_is_spread_over_the_messages_that_were_sent() -> None:
    assert round(run().cpu_us_per_message) == 500
