from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.metrics.limits import (
    BEAT_MARGIN_MS,
    FINAL_BUDGET_MS,
    LAG_BUDGET_MS,
    LIVE_P99_MS,
    SILENT_BAD_MS,
    SILENT_WARN_MS,
)
from ta_pipeline.monitoring.freshness_verdicts import (
    REST_AGE_MS,
    TABLES_BEHIND_MS,
    final_latency,
    input_flow,
    live_and_final,
    live_latency,
    tables_behind,
    watermark_lag,
)
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.store_sources import ClickHouseStatus, Seen
from ta_pipeline.monitoring.verdicts import LASTING, Verdict
from ta_pipeline.probe_window import LONG_MS, Counts
from tests.status import (
    INTERVAL_MS,
    NOW_MS,
    TABLE_JOB,
    beat,
    breaker,
    down,
    flink,
    job,
    kafka,
    latency,
    no_job,
    probe,
    quiet,
    revision,
    seen,
    settings,
    snapshot,
    store,
)

NONE = History()
OUT_OF_ORDERNESS_MS, CLOSE_MS = 2_000, 5_000
STOPPED = {"flink": no_job(), "store": store(revision(outcome="stopped"))}
EVERY = [watermark_lag, live_latency, final_latency, live_and_final, tables_behind]


def paths(**changed: Any) -> dict[str, Any]:
    return {**seen().short, **changed}


def live(what: Seen | None = None, **changes: Any) -> Verdict:
    return live_latency(snapshot(probe=probe(what), **changes), NONE)


@pytest.mark.parametrize(("p99_ms", "state"), [(LIVE_P99_MS - 1, "ok"), (LIVE_P99_MS, "ok"), (LIVE_P99_MS + 1, "bad")])
def test_live_signals_have_to_come_within_half_a_second(p99_ms: float, state: str) -> None:
    found = live(seen(short=paths(live=latency(p99_ms))))
    assert (found.state, found.ticks) == (state, LASTING)
    assert f"99th percentile {p99_ms:.0f} ms, allowed are 500 ms" in found.message


def test_latency_is_judged_at_any_hour_at_which_data_comes() -> None:
    assert live(seen(short=paths(live=latency(900))), session_open=False).state == "bad"


FINAL_MS = 1_000 + OUT_OF_ORDERNESS_MS + INTERVAL_MS + FINAL_BUDGET_MS


@pytest.mark.parametrize(("p99_ms", "state"), [(FINAL_MS - 1, "ok"), (FINAL_MS, "ok"), (FINAL_MS + 1, "bad")])
def test_final_signals_have_to_come_within_watermark_delay_interval_and_budget(p99_ms: float, state: str) -> None:
    found = final_latency(snapshot(probe=probe(seen(short=paths(final=latency(p99_ms))))), NONE)
    assert (found.state, found.figures["limit_ms"]) == (state, FINAL_MS)


def test_in_a_thin_market_finals_may_wait_for_the_clock_that_closes_bars() -> None:
    thin = seen(short=paths(final=latency(FINAL_MS + 1)), job_beat=beat(trades_per_second=0.5))
    found = final_latency(snapshot(probe=probe(thin)), NONE)
    assert (found.state, found.figures["limit_ms"]) == ("ok", FINAL_MS - OUT_OF_ORDERNESS_MS + CLOSE_MS)


def test_with_a_long_interval_finals_are_judged_over_five_minutes() -> None:
    slow = flink(job(checkpoint_interval_ms=60_000))
    found = final_latency(snapshot(flink=slow, probe=probe(seen(short=paths(final=latency(None))))), NONE)
    assert found.state == "ok"
    assert found.message.endswith("of 600 in 300 s")


@pytest.mark.parametrize("judged", [live_latency, final_latency])
def test_trades_without_signals_are_bad(judged: Any) -> None:
    for session_open in (True, False):
        found = judged(snapshot(probe=probe(quiet()), session_open=session_open), NONE)
        assert (found.state, found.calls) == ("bad", True)
        assert found.message.startswith("trades come, but no ")


@pytest.mark.parametrize("judged", [live_latency, final_latency])
def test_a_probe_that_has_just_begun_does_not_know_yet(judged: Any) -> None:
    found = judged(snapshot(probe=probe(quiet(since_ms=NOW_MS - 30_000))), NONE)
    assert (found.state, found.ticks) == ("unknown", LASTING)


@pytest.mark.parametrize("judged", [live_latency, final_latency])
def test_signals_that_are_missing_because_the_job_restarts_are_explained_by_it(judged: Any) -> None:
    found = judged(snapshot(probe=probe(quiet()), flink=flink(job(state="RESTARTING"))), NONE)
    assert (found.state, found.caused_by) == ("bad", "job_state")


@pytest.mark.parametrize("judged", [live_latency, final_latency])
def test_without_trades_latency_sleeps_and_without_kafka_nobody_knows(judged: Any) -> None:
    silent = kafka(newest_trade_ms=NOW_MS - 61_000)
    assert judged(snapshot(probe=probe(quiet()), kafka=silent), NONE).state == "asleep"
    found = judged(snapshot(probe=probe(quiet()), kafka=down("kafka")), NONE)
    assert (found.state, found.caused_by) == ("unknown", "kafka_reachable")


@pytest.mark.parametrize(
    ("age_ms", "session_open", "state"),
    [
        (100, True, "ok"), (100, False, "ok"), (SILENT_WARN_MS, True, "ok"), (SILENT_WARN_MS + 1, True, "warn"),
        (SILENT_BAD_MS, True, "warn"), (SILENT_BAD_MS + 1, True, "bad"), (SILENT_BAD_MS + 1, False, "asleep"),
        (SILENT_WARN_MS + 1, False, "asleep"),
    ],
)  # fmt: skip
def test_no_trades_are_a_fault_while_the_exchange_is_open(age_ms: int, session_open: bool, state: str) -> None:
    found = input_flow(snapshot(kafka=kafka(newest_trade_ms=NOW_MS - age_ms), session_open=session_open), NONE)
    assert found.state == state


def test_at_the_open_the_first_trade_has_as_long_as_every_other_one() -> None:
    yesterday = kafka(newest_trade_ms=NOW_MS - 60_000_000)
    assert input_flow(snapshot(kafka=yesterday, opened_ms=NOW_MS - SILENT_BAD_MS + 1), NONE).state == "warn"
    assert input_flow(snapshot(kafka=yesterday, opened_ms=NOW_MS - SILENT_BAD_MS), NONE).state == "bad"


def test_a_topic_that_never_had_a_trade_is_as_silent_as_can_be() -> None:
    assert input_flow(snapshot(kafka=kafka(newest_trade_ms=None)), NONE).state == "bad"
    assert input_flow(snapshot(kafka=kafka(newest_trade_ms=None), session_open=False), NONE).state == "asleep"
    assert input_flow(snapshot(kafka=down("kafka")), NONE).caused_by == "kafka_reachable"
    assert input_flow(snapshot(**STOPPED, kafka=kafka(newest_trade_ms=None)), NONE).state == "asleep"


ALLOWED_MS = OUT_OF_ORDERNESS_MS + LAG_BUDGET_MS


@pytest.mark.parametrize(("lag_ms", "state"), [(ALLOWED_MS - 1, "ok"), (ALLOWED_MS, "ok"), (ALLOWED_MS + 1, "bad")])
def test_the_watermark_may_be_a_second_behind_the_out_of_orderness(lag_ms: float, state: str) -> None:
    found = watermark_lag(snapshot(probe=probe(seen(job_beat=beat(watermark_lag_p99_ms=lag_ms)))), NONE)
    assert (found.state, found.ticks) == (state, LASTING)


@pytest.mark.parametrize(("lag_ms", "state"), [(CLOSE_MS + LAG_BUDGET_MS, "ok"), (CLOSE_MS + LAG_BUDGET_MS + 1, "bad")])
@pytest.mark.parametrize("thin", [{"trades_per_second": 9.9}, {"quotes_per_second": 9.9}])
def test_in_a_thin_market_the_watermark_may_wait_for_the_clock(
    thin: dict[str, float], lag_ms: float, state: str
) -> None:
    found = watermark_lag(snapshot(probe=probe(seen(job_beat=beat(watermark_lag_p99_ms=lag_ms, **thin)))), NONE)
    assert found.state == state


SILENT_MS = 2 * INTERVAL_MS + BEAT_MARGIN_MS


@pytest.mark.parametrize(("silent_ms", "state"), [(SILENT_MS, "ok"), (SILENT_MS + 1, "bad")])
def test_a_heartbeat_that_stays_away_is_bad(silent_ms: int, state: str) -> None:
    found = watermark_lag(snapshot(probe=probe(seen(job_beat=beat(came_ms=NOW_MS - silent_ms)))), NONE)
    assert (found.state, found.caused_by) == (state, "")


def test_a_heartbeat_that_never_came_is_unknown_first_and_bad_when_it_was_due() -> None:
    just_begun = seen(job_beat=None, since_ms=NOW_MS - 5_000)
    assert watermark_lag(snapshot(probe=probe(just_begun)), NONE).state == "unknown"
    assert watermark_lag(snapshot(probe=probe(seen(job_beat=None))), NONE).state == "bad"
    restarting = snapshot(probe=probe(seen(job_beat=None)), flink=flink(job(state="RESTARTING")))
    assert watermark_lag(restarting, NONE).caused_by == "job_state"


@pytest.mark.parametrize(("beyond_ms", "state"), [(0, "ok"), (1, "bad")])
def test_without_heartbeats_flinks_metric_is_judged_with_its_age(beyond_ms: int, state: str) -> None:
    lag_ms = ALLOWED_MS + REST_AGE_MS + beyond_ms
    found = watermark_lag(
        snapshot(settings=settings(status_topic=""), flink=flink(job(watermark_ms=NOW_MS - lag_ms))), NONE
    )
    assert found.state == state
    absent = snapshot(settings=settings(status_topic=""), flink=flink(job(watermark_ms=None)))
    assert watermark_lag(absent, NONE).state == "unknown"


def test_the_watermark_sleeps_with_the_market() -> None:
    late = probe(seen(job_beat=beat(watermark_lag_p99_ms=1e7)))
    closed = snapshot(probe=late, kafka=kafka(newest_trade_ms=NOW_MS - 3_600_000), session_open=False)
    assert watermark_lag(closed, NONE).state == "asleep"


def both(**counts: int) -> Verdict:
    usual = {"live": 30_000, "finals": 6_000, "live_judged": 3_000, "signals_judged": 3_000}
    return live_and_final(snapshot(probe=probe(seen(recent=Counts(**{**usual, **counts})))), NONE)


def test_one_duplicate_on_a_final_topic_is_bad_at_once() -> None:
    assert both().state == "ok"
    found = both(final_duplicates=1)
    assert (found.state, found.ticks) == ("bad", 1)
    assert both(live_duplicates=50).state == "ok"


@pytest.mark.parametrize("what", ["live_without_final", "signals_without_bar"])
@pytest.mark.parametrize(("count", "state"), [(0, "ok"), (1, "warn"), (30, "warn"), (31, "bad")])
def test_gaps_are_bad_when_they_are_more_than_one_in_a_hundred(what: str, count: int, state: str) -> None:
    assert both(**{what: count}).state == state


def test_a_few_gaps_among_few_records_are_no_fault_yet() -> None:
    assert both(live_without_final=2, live_judged=4).state == "warn"
    assert both(live_without_final=3, live_judged=4).state == "bad"


@pytest.mark.parametrize("what", ["out_of_order", "undecodable"])
def test_what_is_odd_is_worth_a_look(what: str) -> None:
    assert both(**{what: 1}).state == "warn"


def test_live_without_anything_final_is_bad_once_it_was_due() -> None:
    assert both(finals=0).state == "bad"
    young = seen(recent=Counts(live=10), since_ms=NOW_MS - LONG_MS)
    assert live_and_final(snapshot(probe=probe(young)), NONE).state == "ok"


def test_when_nothing_comes_there_is_nothing_to_compare() -> None:
    assert live_and_final(snapshot(probe=probe(quiet())), NONE).state == "asleep"


def tables(behind_ms: int | None, **changes: Any) -> Verdict:
    newest = seen().newest_event_ms["bars"]
    stored = {"ta_microbars": newest - 1_000, "ta_signals": None if behind_ms is None else newest - behind_ms}
    return tables_behind(snapshot(**{"clickhouse": ClickHouseStatus(stored), **changes}), NONE)


@pytest.mark.parametrize(
    ("behind_ms", "state"), [(-1_000, "ok"), (TABLES_BEHIND_MS, "ok"), (TABLES_BEHIND_MS + 1, "bad"), (None, "bad")]
)
def test_clickhouse_may_be_a_minute_behind_kafka(behind_ms: int | None, state: str) -> None:
    found = tables(behind_ms)
    assert (found.state, found.ticks if state == "bad" else LASTING) == (state, LASTING)
    assert "at most 12 records are not committed by the table job" in found.message


def test_tables_are_compared_at_any_hour_as_long_as_a_final_was_seen() -> None:
    assert tables(None, session_open=False, kafka=kafka(newest_trade_ms=None)).state == "bad"
    assert tables(None, probe=probe(seen(newest_event_ms={}))).state == "asleep"


def test_tables_that_are_behind_because_their_job_is_away_are_explained_by_it() -> None:
    assert tables(None, flink=flink(table_job=None)).caused_by == "table_job_state"


def test_tables_that_are_behind_because_the_breaker_is_open_are_explained_by_it() -> None:
    parked = job(TABLE_JOB, breakers=(breaker("ta_microbars"), breaker("ta_signals", state="open")))
    assert tables(None, flink=flink(table_job=parked)).caused_by == "clickhouse_breaker"


def test_an_unreachable_clickhouse_is_not_an_empty_one() -> None:
    found = tables(None, clickhouse=down("clickhouse"))
    assert (found.state, found.caused_by) == ("unknown", "clickhouse_reachable")
    assert tables(None, clickhouse=None).state == "ok"


@pytest.mark.parametrize("judged", EVERY)
def test_what_the_probe_does_not_say_is_unknown_and_never_well(judged: Any) -> None:
    for silent in (down("probe"), probe(trouble="no such topic")):
        blind = silent if not hasattr(silent, "seen") else type(silent)(NOW_MS, "no such topic", None)
        found = judged(snapshot(probe=blind), NONE)
        assert (found.state, found.caused_by) == ("unknown", "probe_reachable")


@pytest.mark.parametrize("judged", [*EVERY, input_flow])
def test_freshness_sleeps_when_no_job_should_run(judged: Any) -> None:
    assert judged(snapshot(**STOPPED), NONE).state == "asleep"
