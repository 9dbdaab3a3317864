from __future__ import annotations

from ta_pipeline.bench.aims import Aim, aims
from ta_pipeline.bench.results import Results
from ta_pipeline.bench.shapes import DENSE, FAST_FINALS, FEW_SYMBOLS, FLOOR, LATENCY, MANY_SYMBOLS, SPARSE, SUSTAINED
from ta_pipeline.compute import ComputeReport
from tests.unit.bench.test_results import drain, run


def one(results: Results, words: str) -> Aim:
    (found,) = [aim for aim in aims(results) if words in aim.text]
    return found


def test_what_was_left_out_is_neither_met_nor_not_met() -> None:
    found = aims(Results())
    assert len(found) == 10
    assert {(aim.figure, aim.verdict) for aim in found} == {("-", "not measured")}


def test_the_median_of_the_rounds_is_judged_and_the_spread_shown() -> None:
    drains = [drain(number=n, per_second=rate) for n, rate in enumerate((120_000.0, 101_000.0, 90_000.0), 1)]
    found = one(Results(drains=drains), "dense drain: at least 100,000 events/s")
    assert (found.figure, found.verdict) == ("101,000 events/s (90,000 to 120,000)", "met")


def test_dense_and_sparse_have_aims_of_their_own() -> None:
    results = Results(drains=[drain(DENSE, per_second=50_000.0), drain(SPARSE, per_second=50_000.0)])
    assert one(results, "dense drain: at least 100,000").verdict == "not met"
    assert one(results, "sparse drain: at least 40,000").verdict == "met"


def test_the_share_of_the_floor_is_judged_round_by_round() -> None:
    drains = [drain(per_second=61_000.0), drain(variant=FLOOR, per_second=100_000.0)]
    found = one(Results(drains=drains), "at least 0.6 of the windows without Python")
    assert (found.figure, found.verdict) == ("0.61 (0.61 to 0.61)", "met")


def test_live_latency_is_judged_at_a_thousand_messages_only() -> None:
    slow = (90.0, 900.0, 950.0)
    words = "live p99 at 1,000 messages/s, 10 symbols: at most 300 ms"
    assert one(Results(runs=[run(SUSTAINED, live=slow)]), words).verdict == "not measured"
    assert one(Results(runs=[run(SUSTAINED, live=slow), run(LATENCY)]), words) == Aim(words, "240 ms", is_met=True)
    assert one(Results(runs=[run(LATENCY, live=slow)]), words).verdict == "not met"


def test_fast_finals_are_judged_by_what_is_committed_and_name_their_settings() -> None:
    found = one(Results(runs=[run(FAST_FINALS, final=(500.0, 1_001.0, 1_200.0))]), "TA_CHECKPOINT_INTERVAL_MS=250")
    assert (found.figure, found.verdict) == ("1,001 ms", "not met")


def test_a_run_without_final_records_has_no_final_latency_to_judge() -> None:
    silent = run(FAST_FINALS, final=(None, None, None))  # type: ignore[arg-type]
    assert one(Results(runs=[silent]), "final p99").verdict == "not measured"


def test_memory_is_judged_by_the_highest_of_everything() -> None:
    assert one(Results(drains=[drain()]), "TaskManager").figure == "1.50 GiB"
    assert one(Results(drains=[drain()], runs=[run(memory=2**31 + 2**29)]), "TaskManager").verdict == "not met"


def test_a_recorded_day_is_judged_in_wall_seconds_and_says_how_many_messages_it_had() -> None:
    days = [ComputeReport({"trades": 6_000, "quotes": 100_000}, {}, seconds) for seconds in (40.0, 44.0, 41.0)]
    found = one(Results(computes=days), "106,000 messages")
    assert (found.figure, found.verdict) == ("41.0 s (40.0 to 44.0)", "met")


def test_the_cost_of_many_symbols_is_judged_against_that_of_few() -> None:
    flat = Results(symbols=[drain(FEW_SYMBOLS, us=12.0), drain(MANY_SYMBOLS, us=15.0)])
    steep = Results(symbols=[drain(FEW_SYMBOLS, us=12.0), drain(MANY_SYMBOLS, us=19.0)])
    assert one(flat, "CPU per event").figure == "1.25 (1.25 to 1.25)"
    assert one(flat, "CPU per event").verdict == "met"
    assert one(steep, "CPU per event").verdict == "not met"
