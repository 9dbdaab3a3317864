from __future__ import annotations

import orjson
import pytest
from rich.console import Console

from ta_pipeline.decode import Channel, Record
from ta_pipeline.errors import BadRecordError
from ta_pipeline.probe import GRACE_MS, MARGIN_MS, REMEMBER_MS, Probe
from ta_pipeline.probe_report import ProbeReport, render
from ta_pipeline.settings import load_settings
from tests.output_records import START_MS, bar, live, signal

WITHIN_MS = 21_000
SECOND_MS = 1_000


def probe() -> Probe:
    return Probe(START_MS, WITHIN_MS)


def report(*arrivals: tuple[Channel, Record, int], until: int = 60_000) -> ProbeReport:
    """What is found of records that come so many milliseconds after the start."""
    taken = probe()
    for channel, record, after_ms in arrivals:
        taken.take(channel, record, START_MS + after_ms)
    return taken.report(START_MS + until)


def end(second: int) -> int:
    return START_MS + second * SECOND_MS


def test_latency_is_the_readers_clock_minus_the_newest_event_and_each_path_has_its_own() -> None:
    found = report(
        ("live", live("AAPL", end(3), 170.0, 1, last_ms=end(3) - 900), 2_142),
        ("live", live("AAPL", end(3), 170.1, 2, last_ms=end(3) - 800), 2_300),
        ("signals", signal("AAPL", end(3), last_ms=end(3) - 50), 12_000),
        ("bars", bar("AAPL", end(3)), 12_010),
    )
    assert (found.live.latency.p50_ms, found.live.latency.max_ms) == (42, 100)
    assert found.final.latency.max_ms == 9_050
    assert found.bars.latency.max_ms == 9_060


def test_one_minute_signals_are_counted_apart_and_measured_from_the_end_of_their_bar() -> None:
    minute = signal("AAPL", START_MS, size="PT1M", last_ms=START_MS - 60_000)
    found = report(("signals", minute, 1_500))
    assert (found.final.records, found.final_1m.records) == (0, 1)
    assert found.final_1m.latency.max_ms == 1_500


def test_a_revised_bar_is_counted_and_its_age_is_no_latency() -> None:
    found = report(("bars", bar(), 3_000), ("bars", bar(revision=1), 40_000))
    assert (found.bars.records, found.revised_bars, found.bars.duplicates) == (2, 1, 0)
    assert (found.bars.latency.count, found.bars.latency.max_ms) == (1, 3_050)


@pytest.mark.parametrize(
    ("channel", "record"), [("signals", signal()), ("bars", bar()), ("signals", signal(size="PT1M"))]
)
def test_the_same_final_record_twice_is_a_duplicate_and_a_failure(channel: Channel, record: Record) -> None:
    found = report((channel, record, 3_000), (channel, record, 13_000), ("live", live("AAPL", end(1), 1.0, 1), 500))
    assert found.final_duplicates == 1
    assert found.failures == ("duplicates on the final topics, which are exactly-once: 1",)


def test_a_bar_and_a_signal_of_one_second_are_no_duplicates() -> None:
    assert report(("bars", bar(), 3_000), ("signals", signal(), 3_000)).final_duplicates == 0


def test_the_same_live_update_twice_is_a_duplicate_and_no_failure() -> None:
    update = live("AAPL", end(1), 170.0, 3)
    found = report(("live", update, 300), ("live", update, 350), ("bars", bar("AAPL", end(1)), 4_000))
    assert (found.live.duplicates, found.final_duplicates, found.failures) == (1, 0, ())
    assert found.warnings == ("duplicates on the live topic, which is at-least-once: 1",)


def test_a_duplicate_is_seen_within_ten_minutes_and_memory_does_not_grow_after_twenty() -> None:
    assert report(("bars", bar(), 0), ("bars", bar(), REMEMBER_MS), until=REMEMBER_MS).bars.duplicates == 1
    later = (("bars", bar("MSFT", end(n)), n * REMEMBER_MS) for n in (1, 2))
    assert report(("bars", bar(), 0), *later, ("bars", bar(), 2 * REMEMBER_MS + 1)).bars.duplicates == 0


def test_a_signal_whose_bar_does_not_follow_within_the_grace_is_a_gap() -> None:
    found = report(
        ("signals", signal("AAPL", end(1)), 5_000),
        ("signals", signal("MSFT", end(1)), 5_000),
        ("bars", bar("MSFT", end(1)), 5_000 + GRACE_MS),
        ("bars", bar("AAPL", end(1)), 5_001 + GRACE_MS),
    )
    assert (found.signals_without_bar.count, found.signals_without_bar.judged) == (1, 2)
    assert found.signals_without_bar.examples == (f"AAPL seq {end(1) // 1_000}",)


def test_a_signal_whose_bar_came_first_has_it() -> None:
    found = report(("bars", bar(), 5_000), ("signals", signal(), 5_010))
    assert (found.signals_without_bar.count, found.signals_without_bar.judged) == (0, 1)


def test_signals_of_the_first_moments_are_not_judged_because_their_bar_may_lie_before_the_start() -> None:
    assert report(("signals", signal(), GRACE_MS - 1)).signals_without_bar.judged == 0


def test_a_signal_that_has_just_come_is_not_judged_yet() -> None:
    assert report(("signals", signal(), 5_000), until=5_000 + GRACE_MS).signals_without_bar.judged == 0


def test_a_one_minute_signal_needs_no_bar() -> None:
    assert report(("signals", signal(size="PT1M"), 5_000)).signals_without_bar.judged == 0


def test_a_final_signal_behind_a_newer_one_of_its_symbol_is_out_of_order() -> None:
    found = report(
        ("signals", signal("AAPL", end(5)), 9_000),
        ("signals", signal("MSFT", end(4)), 9_001),
        ("signals", signal("AAPL", end(4)), 9_002),
        ("signals", signal("AAPL", end(0), size="PT1M"), 9_003),
        ("signals", signal("AAPL", end(0), size="PT1M", revision=1), 9_004),
    )
    assert (found.out_of_order.count, found.out_of_order.judged) == (1, 5)
    assert found.out_of_order.examples == (f"AAPL PT1S seq {end(4) // 1_000} after {end(5) // 1_000}",)


def test_a_late_bar_of_an_older_second_is_in_order() -> None:
    assert report(("bars", bar("AAPL", end(5)), 9_000), ("bars", bar("AAPL", end(2)), 9_001)).out_of_order.count == 0


def test_a_live_second_that_got_nothing_final_in_time_is_a_gap() -> None:
    found = report(
        ("live", live("AAPL", end(1), 170.0, 1), 500),
        ("live", live("AAPL", end(1), 170.0, 2), 900),
        ("live", live("MSFT", end(1), 400.0, 1), 500),
        ("live", live("AMD", end(1), 150.0, 1), 500),
        ("signals", signal("MSFT", end(1)), 11_000),
        ("bars", bar("AMD", end(1)), 11_000),
    )
    assert (found.live_without_final.count, found.live_without_final.judged) == (1, 3)
    assert found.live_without_final.examples == (f"AAPL seq {end(1) // 1_000}",)


def test_a_gap_that_a_job_closes_when_it_has_restarted_is_told_as_closed_and_counted_once() -> None:
    update = live("AAPL", end(1), 170.0, 1)
    late = 500 + WITHIN_MS + 10_000
    found = report(
        ("live", update, 500),
        ("live", live("MSFT", end(1), 400.0, 1), 500),
        # It repeats what was live.
        ("live", update, late),
        ("bars", bar("AAPL", end(1)), late + 10_000),
        ("signals", signal("AAPL", end(1)), late + 10_000),
    )
    gaps = found.live_without_final
    assert (gaps.count, gaps.judged, gaps.closed, gaps.open) == (2, 2, 1, 1)
    (line,) = [line for line in found.warnings if "nothing final" in line]
    assert "2 of 2 (1 came later), AAPL" in line


def test_a_gap_is_found_once_though_its_second_was_live_again() -> None:
    update = live("AAPL", end(1), 170.0, 1)
    found = report(("live", update, 500), ("live", update, 30_000), until=60_000)
    assert (found.live_without_final.count, found.live_without_final.judged) == (1, 1)


@pytest.mark.parametrize(("until", "judged"), [(900 + WITHIN_MS, 0), (901 + WITHIN_MS, 1)])
def test_a_live_second_is_judged_only_when_its_time_since_the_last_update_is_over(until: int, judged: int) -> None:
    updates = [("live", live("AAPL", end(1), 170.0, n), 100 * n) for n in range(1, 10)]
    assert report(*updates, until=until).live_without_final.judged == judged


def test_a_live_update_that_comes_behind_its_final_record_waits_for_nothing() -> None:
    found = report(("signals", signal("AAPL", end(1)), 5_000), ("live", live("AAPL", end(1), 170.0, 9), 5_001))
    assert found.live_without_final.judged == 0


def test_the_time_for_a_final_record_is_close_timeout_checkpoint_interval_and_margin() -> None:
    settings = load_settings(bar_close_timeout_ms=7_000, checkpoint_interval_ms=3_000)
    assert Probe.of(settings, START_MS).report(START_MS).final_within_ms == 1_000 + 7_000 + 3_000 + MARGIN_MS


def test_staleness_is_now_minus_the_newest_event_of_each_symbol_on_any_topic() -> None:
    found = report(
        ("live", live("AAPL", end(3), 170.0, 5, last_ms=end(3) - 500), 2_600),
        ("bars", bar("AAPL", end(1)), 4_000),
        ("bars", bar("MSFT", end(1)), 4_000),
        until=10_000,
    )
    assert found.staleness_ms == {"AAPL": 7_500, "MSFT": 9_050}


@pytest.mark.parametrize("seconds", [1, 60])
def test_a_probe_that_received_nothing_has_failed(seconds: int) -> None:
    (failure,) = report(until=seconds * SECOND_MS).failures
    assert failure.startswith("nothing was received")


def test_live_signals_alone_are_a_failure_once_final_ones_were_due() -> None:
    arrival: tuple[Channel, Record, int] = ("live", live("AAPL", end(1), 170.0, 1), 500)
    assert report(arrival, until=WITHIN_MS).failures == ()
    (failure,) = report(arrival, until=WITHIN_MS + 1_000).failures
    assert failure.startswith("nothing final was received")


def test_final_records_without_live_ones_are_a_failure_of_a_probe_that_is_long_enough() -> None:
    assert report(("bars", bar(), 3_000), until=WITHIN_MS).failures == ()
    (failure,) = report(("bars", bar(), 3_000)).failures
    assert failure.startswith("no live signal")


def test_a_record_with_an_unreadable_time_changes_nothing() -> None:
    taken = probe()
    with pytest.raises(BadRecordError, match="not_an_instant"):
        taken.take("bars", {**bar(), "last_event_ts": "soon"}, START_MS)
    assert taken.report(START_MS + 1) == probe().report(START_MS + 1)


def test_other_channels_are_left_out() -> None:
    assert report(("late", {"reason": "beyond_horizon"}, 1_000)) == report()


def test_the_report_is_json_and_says_all_that_was_found() -> None:
    taken = probe()
    taken.take("live", live("AAPL", end(1), 170.0, 1), START_MS + 500)
    taken.take("bars", bar("AAPL", end(1)), START_MS + 5_000)
    taken.undecodable("not_json")
    found = orjson.loads(orjson.dumps(taken.report(START_MS + 10_000).to_dict()))
    assert found["live"]["latency"]["p99_ms"] == 400
    assert found["live"]["per_second"] == 0.1
    assert found["bars"]["symbols"] == 1
    assert found["undecodable"] == {"not_json": 1}
    assert found["warnings"] == ["records that could not be read, not_json: 1"]
    assert found["failures"] == []


def test_the_printed_report_fits_80_columns_and_names_every_problem() -> None:
    found = report(
        *[("live", live(f"SYM{n}", end(1), 170.0, 1), 500 + n) for n in range(30)],
        ("signals", signal(), 5_000),
        ("signals", signal(), 5_001),
    )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(render(found))
    lines = captured.get().splitlines()
    assert max(len(line) for line in lines) <= 80
    text = " ".join(captured.get().split())
    assert "duplicates on the final topics, which are exactly-once: 1" in text
    assert "live seconds with nothing final within 21 s: 30 of 30, SYM0" in text
    assert "and 11 fresher ones" in text
