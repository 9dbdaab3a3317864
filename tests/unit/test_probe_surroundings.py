"""What the probe tells Prometheus beside the records: limits, session, transactions, backlog, Dagster's verdicts."""

from __future__ import annotations

from ta_pipeline.histogram import Histogram
from ta_pipeline.metrics.catalog import METRICS, metric
from ta_pipeline.monitoring.kafka_source import KafkaStatus, PartitionEnd, Unread
from ta_pipeline.probe_around import KEPT_MS, TICK_KEPT_MS, WANTED_KEPT_MS, Around, Tick, parse_tick
from ta_pipeline.probe_metrics import Surroundings, metrics_text
from ta_pipeline.probe_window import ProbeWindow
from ta_pipeline.settings import load_settings
from ta_pipeline.transactions.age import ages_of
from tests.output_records import START_MS, bar, instant, live

SETTINGS = load_settings(clickhouse_url="http://127.0.0.1:1", status_topic="ta.status.v1")
KAFKA = KafkaStatus(
    missing=(),
    ends=(PartitionEnd("ta.bars.1s.v1", 0, 50, 40, False), PartitionEnd("ta.bars.1s.v1", 1, 5, 5, False)),
    open_limit_ms=30_000,
    newest_trade_ms=START_MS,
    unread=(Unread("ta.bars.1s.v1", 0, committed=10, earliest=12, end=40, expiring=20),),
)
AROUND = Around(START_MS, session_open=True, kafka=KAFKA, kafka_asked=True, open_ages={"ta.bars.1s.v1": 4.5})


def told(around: Around = AROUND, tick: Tick | None = None, now_ms: int = START_MS) -> list[str]:
    return metrics_text(None, START_MS, None, Surroundings(SETTINGS, around, tick, now_ms)).splitlines()


def test_what_the_broker_says_and_whether_the_exchange_trades_are_told() -> None:
    lines = told()
    assert "ta_session_open 1" in lines
    assert "ta_kafka_reachable 1" in lines
    assert "ta_table_path_enabled 1" in lines
    assert f"ta_newest_trade_timestamp_seconds {START_MS / 1_000:.15g}" in lines
    assert 'ta_uncommitted_records{topic="ta.bars.1s.v1"} 10' in lines
    assert 'ta_open_transaction_age_seconds{topic="ta.bars.1s.v1"} 4.5' in lines
    assert 'ta_table_backlog_records{topic="ta.bars.1s.v1"} 28' in lines
    assert 'ta_table_lost_records{topic="ta.bars.1s.v1"} 2' in lines
    assert 'ta_table_expiring{topic="ta.bars.1s.v1"} 1' in lines
    # A thin market until a heartbeat says otherwise.
    assert 'ta_limit_seconds{limit="final_latency"} 16.5' in lines
    assert 'ta_limit_seconds{limit="job_heartbeat"} 30' in lines


def test_a_broker_that_is_away_is_told_and_what_it_would_say_is_absent() -> None:
    lines = told(Around(START_MS, session_open=False, kafka=None, kafka_asked=True))
    assert "ta_session_open 0" in lines
    assert "ta_kafka_reachable 0" in lines
    assert not [
        line for line in lines if line.startswith(("ta_newest_trade", "ta_open_transaction", "ta_table_backlog"))
    ]


def test_what_was_seen_too_long_ago_is_absent() -> None:
    assert [line for line in told(now_ms=START_MS + KEPT_MS) if line.startswith("ta_session_open")]
    assert not [line for line in told(now_ms=START_MS + KEPT_MS + 1) if line.startswith(("ta_session", "ta_kafka"))]


def test_dagsters_verdicts_are_told_for_ten_minutes() -> None:
    tick = parse_tick({"verdicts": {"settings_drift": True, "job_state": False}, "job_wanted": True}, START_MS)
    lines = told(tick=tick, now_ms=START_MS + 1)
    assert 'ta_verdict_bad{verdict="settings_drift"} 1' in lines
    assert 'ta_verdict_bad{verdict="job_state"} 0' in lines
    assert "ta_job_wanted 1" in lines
    later = told(tick=tick, now_ms=START_MS + TICK_KEPT_MS + 1)
    assert not [line for line in later if line.startswith(("ta_verdict_bad", "ta_job_wanted"))]


def test_while_s3_is_away_the_job_is_as_wanted_as_it_was() -> None:
    stopped = parse_tick({"verdicts": {}, "job_wanted": False}, START_MS)
    unknown = parse_tick({"verdicts": {"s3_reachable": True}, "job_wanted": None}, START_MS + 30_000).after(stopped)
    lines = told(tick=unknown, now_ms=START_MS + 31_000)
    assert "ta_job_wanted 0" in lines
    assert 'ta_verdict_bad{verdict="s3_reachable"} 1' in lines
    later = parse_tick({"job_wanted": None}, START_MS + WANTED_KEPT_MS).after(unknown)
    assert later.job_wanted is False
    assert parse_tick({"job_wanted": None}, START_MS + WANTED_KEPT_MS + 1).after(later).job_wanted is None
    assert parse_tick({"job_wanted": True}, START_MS + 60_000).after(unknown).job_wanted is True
    assert parse_tick({"job_wanted": None}, START_MS).after(None).job_wanted is None


def test_a_heartbeat_of_another_form_is_a_heartbeat() -> None:
    assert parse_tick(None, 5) == parse_tick([1], 5) == parse_tick({"verdicts": [1], "job_wanted": "yes"}, 5) == Tick(5)
    assert parse_tick({"verdicts": {"a": 1, "b": True}}, 5).verdicts == {"b": True}


def test_event_to_signal_is_a_histogram_that_only_grows() -> None:
    seen = ProbeWindow(SETTINGS, START_MS)
    for took_ms in (140, 480, 700):
        seen.take("live", live("AAPL", START_MS + took_ms, 170.0, 5, last_ms=START_MS), START_MS + took_ms)
    seen.take("bars", bar("AAPL", START_MS + 1_000, revision=1), START_MS + 9_000)
    lines = metrics_text(seen.report(START_MS + 600_000), START_MS, None).splitlines()
    name = "ta_event_to_signal_seconds"
    assert f'{name}_bucket{{path="live",le="0.1"}} 0' in lines
    assert f'{name}_bucket{{path="live",le="0.15"}} 1' in lines
    assert f'{name}_bucket{{path="live",le="0.5"}} 2' in lines
    assert f'{name}_bucket{{path="live",le="+Inf"}} 3' in lines
    assert f'{name}_count{{path="live"}} 3' in lines
    assert f'{name}_sum{{path="live"}} 1.32' in lines
    # A revision has no latency.
    assert f'{name}_count{{path="bars"}} 0' in lines
    assert f"# TYPE {name} histogram" in lines


def test_what_the_jobs_heartbeats_count_is_added_up() -> None:
    seen = ProbeWindow(SETTINGS, START_MS)
    for number in (1, 2):
        at_ms = START_MS + number * 10_000
        window = {"start": instant(at_ms - 10_000), "end": instant(at_ms)}
        beat = {"status": "ok", "watermark_lag_ms": 2_000, "window": window, "counts": {"trades": 70, "rejects": 1}}
        seen.take("status", beat, at_ms)
    lines = metrics_text(seen.report(START_MS + 21_000), START_MS, None).splitlines()
    assert 'ta_job_records_total{kind="trades"} 140' in lines
    assert 'ta_job_records_total{kind="rejects"} 2' in lines


def test_a_histogram_counts_an_edge_below_it_and_a_negative_value_first() -> None:
    histogram = Histogram((0.1, 0.5))
    for value in (-1.0, 0.1, 0.2, 9.0):
        histogram.add(value)
    assert list(histogram.cumulative()) == [("0.1", 2), ("0.5", 3), ("+Inf", 4)]
    assert histogram.count == 4
    assert histogram.sum == 9.3


def test_the_oldest_transaction_of_a_topic_counts_and_what_did_not_come_is_not_told() -> None:
    ends = [
        PartitionEnd("a", 0, 10, 5, False), PartitionEnd("a", 1, 10, 7, False), PartitionEnd("b", 0, 9, 9, False),
        PartitionEnd("c", 0, 9, 3, False), PartitionEnd("c", 1, 9, 9, False),
    ]  # fmt: skip
    assert ages_of(ends, {("a", 0): 1_000, ("a", 1): 4_000}, 6_000) == {"a": 5.0, "b": 0.0}


def test_everything_the_probe_tells_is_in_the_catalog_with_its_type_and_labels() -> None:
    seen = ProbeWindow(SETTINGS, START_MS)
    seen.take("live", live("AAPL", START_MS + 90, 170.0, 5, last_ms=START_MS), START_MS + 90)
    seen.undecodable("not_json")
    window = {"start": instant(START_MS), "end": instant(START_MS + 1_000)}
    seen.take(
        "status", {"status": "ok", "watermark_lag_ms": 1, "window": window, "counts": {"late": 1}}, START_MS + 100
    )
    tick = Tick(START_MS, {"job_state": False}, job_wanted=True)
    known = Surroundings(SETTINGS, AROUND, tick, START_MS + 100)
    text = metrics_text(seen.report(START_MS + 100), START_MS, START_MS, known)
    kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert kinds == {one.name: one.kind for one in METRICS if one.source == "probe"}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.rpartition(" ")[0].partition("{")
            found = {part.partition("=")[0] for part in labels.rstrip("}").split(",") if part} - {"le"}
            assert found == set(metric(name).labels), line
