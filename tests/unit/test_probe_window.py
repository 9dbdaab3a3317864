from __future__ import annotations

from typing import Any

import orjson
import pytest

from ta_pipeline.errors import BadRecordError
from ta_pipeline.monitoring.store_sources import parse_probe
from ta_pipeline.probe_metrics import metrics_text
from ta_pipeline.probe_window import LONG_MS, SHORT_MS, ProbeWindow, WindowReport
from ta_pipeline.settings import load_settings
from tests.output_records import START_MS, bar, instant, live, signal

SECOND_MS = 1_000


def window() -> ProbeWindow:
    return ProbeWindow(load_settings(), START_MS)


def status(at_ms: int, lag_ms: int | None = 2_100, *, seconds: int = 10, trades: int = 4_000) -> dict[str, Any]:
    return {
        "status": "ok",
        "status_reason": None,
        "watermark_lag_ms": lag_ms,
        "window": {"start": instant(at_ms - seconds * SECOND_MS), "end": instant(at_ms)},
        "counts": {"trades": trades, "quotes": 100},
    }


def end(second: int) -> int:
    return START_MS + second * SECOND_MS


def test_each_window_holds_what_came_within_it() -> None:
    seen = window()
    seen.take("live", live("AAPL", end(1), 170.0, 5, last_ms=end(1)), end(1) + 900)
    later = end(1) + SHORT_MS + 30_000
    seen.take("live", live("AAPL", later, 170.0, 5, last_ms=later - 40), later)
    found = seen.report(later)
    assert (found.short["live"].count, found.short["live"].max_ms) == (1, 40)
    assert (found.long["live"].count, found.long["live"].max_ms) == (2, 900)
    assert found.short["final"].count == 0
    assert seen.report(later + 2 * LONG_MS).long["live"].count == 0


def test_each_path_has_its_own_latency_and_revisions_have_none() -> None:
    seen = window()
    seen.take("signals", signal("AAPL", end(1), last_ms=end(1) - 50), end(12))
    seen.take("signals", signal("AAPL", START_MS, size="PT1M", last_ms=START_MS), end(3))
    seen.take("bars", bar("AAPL", end(1)), end(12))
    seen.take("bars", bar("AAPL", end(1), revision=1), end(40))
    found = seen.report(end(41)).short
    assert {path: summary.max_ms for path, summary in found.items()} == {
        "live": None, "final": 11_050, "final_1m": 3_000, "bars": 11_050,
    }  # fmt: skip


def test_a_gap_that_was_closed_is_none_and_hides_none_that_comes_after() -> None:
    seen = window()
    due = load_settings().bar_close_timeout_ms // 1_000 + 60

    def missing(at: int) -> int:
        return seen.report(end(at)).recent.live_without_final

    for second in range(1, 6):
        seen.take("live", live("AAPL", end(second), 170.0, 1), end(second))
    assert [missing(at) for at in (5, 15, due, due + 10)] == [0, 0, 5, 5]
    for second in range(1, 6):
        seen.take("bars", bar("AAPL", end(second)), end(due + 20))
    assert missing(due + 20) == 0
    for second in (100, 101, 102):
        seen.take("live", live("AAPL", end(second), 170.0, 1), end(due + 30))
    assert missing(2 * due + 40) == 3
    assert missing(2 * due + 40 + LONG_MS // 1_000 + 20) == 0


def test_a_duplicate_is_recent_for_five_minutes() -> None:
    seen = window()
    for _ in range(2):
        seen.take("bars", bar("AAPL", end(1)), end(5))
    duplicates = {
        second: seen.report(end(second)).recent.final_duplicates for second in range(6, 6 + 2 * LONG_MS // 1_000, 5)
    }
    assert {second for second, number in duplicates.items() if number} == set(range(6, 310, 5))
    assert seen.report(end(700)).total.final_duplicates == 1


def test_the_newest_event_of_each_channel_leaves_minutes_out() -> None:
    seen = window()
    seen.take("signals", signal("AAPL", end(3)), end(9))
    seen.take("signals", signal("AAPL", end(2)), end(9))
    seen.take("signals", signal("AAPL", end(600), size="PT1M"), end(9))
    assert seen.report(end(10)).newest_event_ms == {"signals": end(3)}


def test_a_heartbeat_tells_rates_and_how_far_the_watermark_was_behind_in_the_last_minute() -> None:
    seen = window()
    for number, lag_ms in enumerate((9_000, 2_100, 2_900, 2_200)):
        seen.take("status", status(end(10 * number), lag_ms), end(30 * number))
    beat = seen.report(end(91)).job_beat
    assert beat is not None
    assert (beat.came_ms, beat.status, beat.watermark_lag_ms) == (end(90), "ok", 2_200)
    assert beat.watermark_lag_p99_ms == 2_900
    assert (beat.trades_per_second, beat.quotes_per_second) == (400, 10)


def test_a_job_without_a_watermark_beats_without_a_lag() -> None:
    seen = window()
    seen.take("status", status(end(10), None), end(10))
    beat = seen.report(end(11)).job_beat
    assert beat is not None
    assert (beat.watermark_lag_ms, beat.watermark_lag_p99_ms) == (None, None)


@pytest.mark.parametrize("broken", [{"window": None}, {"watermark_lag_ms": "much"}])
def test_a_heartbeat_that_cannot_be_read_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(BadRecordError):
        window().take("status", {**status(end(1)), **broken}, end(1))


def test_memory_does_not_grow_with_time() -> None:
    seen = window()
    for second in range(0, 3_600, 5):
        seen.take("bars", bar("AAPL", end(second)), end(second))
        seen.report(end(second))
    assert len(seen._counts) <= LONG_MS // 10_000 + 2


def busy() -> WindowReport:
    seen = window()
    seen.take("live", live('A"B', end(1), 170.0, 5, last_ms=end(1) - 140), end(1))
    seen.take("signals", signal("AAPL", end(1), last_ms=end(1)), end(12))
    seen.take("status", status(end(10)), end(12))
    seen.undecodable("not_json")
    return seen.report(end(13))


def test_the_report_is_json_and_what_monitoring_reads_back_is_the_same() -> None:
    report = busy()
    answer = {"reading": True, "trouble": None, "alive_ms": end(13), "seen": report.to_dict()}
    found = parse_probe(orjson.loads(orjson.dumps(answer)))
    assert found.seen is not None
    assert found.seen.short == report.short
    assert found.seen.recent == report.recent
    assert found.seen.job_beat == report.job_beat
    assert found.seen.newest_event_ms == report.newest_event_ms
    assert found.seen.final_within_ms == report.total.final_within_ms
    assert parse_probe({**answer, "seen": None}).seen is None


def test_figures_are_in_prometheus_text_with_labels_escaped() -> None:
    text = metrics_text(busy(), alive_ms=end(13), dagster_ms=end(2))
    lines = text.splitlines()
    assert 'ta_event_to_signal_window_seconds{path="live",quantile="0.99",window="60s"} 0.14' in lines
    assert 'ta_event_to_signal_window_seconds{path="final",quantile="0.5",window="300s"} 11' in lines
    assert 'ta_probe_records_total{path="live"} 1' in lines
    assert 'ta_probe_duplicates_total{path="bars"} 0' in lines
    assert 'ta_probe_gaps_total{kind="live_without_final"} 0' in lines
    assert 'ta_probe_undecodable_total{reason="not_json"} 1' in lines
    assert 'ta_symbol_staleness_seconds{symbol="A\\"B"} 12.14' in lines
    assert "ta_watermark_lag_seconds 2.1" in lines
    assert f"ta_dagster_heartbeat_timestamp_seconds {end(2) / 1_000:.15g}" in lines
    assert "ta_probe_reading 1" in lines
    assert text.endswith("\n")


def test_every_family_has_its_help_and_type_once_and_before_its_samples() -> None:
    seen: set[str] = set()
    current = ""
    for line in metrics_text(busy(), end(13), None).splitlines():
        if line.startswith("# HELP"):
            current = line.split()[2]
            assert current not in seen
            seen.add(current)
        elif not line.startswith("#"):
            assert line.startswith(current)
    assert "ta_dagster_heartbeat_timestamp_seconds" not in seen


def test_what_is_not_known_is_absent_and_not_zero() -> None:
    text = metrics_text(None, alive_ms=end(13), dagster_ms=None)
    assert "ta_probe_reading 0" in text
    assert {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")} == {
        "ta_probe_heartbeat_timestamp_seconds", "ta_probe_reading",
    }  # fmt: skip
    empty = metrics_text(window().report(START_MS + 1), START_MS, None)
    assert "ta_event_to_signal_window_seconds" not in empty
    # A counter that has counted nothing is zero.
    assert 'ta_event_to_signal_seconds_count{path="live"} 0' in empty
