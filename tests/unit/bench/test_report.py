from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ta_pipeline.bench.machine import machine
from ta_pipeline.bench.picture import draw
from ta_pipeline.bench.report import render
from ta_pipeline.bench.results import Results
from ta_pipeline.bench.shapes import (
    FAST_FINALS,
    FEW_SYMBOLS,
    FLOOR,
    MANY_SYMBOLS,
    PER_TICK,
    SHIPPED,
    SPARSE,
    SUSTAINED,
)
from ta_pipeline.bench.steady import held_back
from ta_pipeline.compute import ComputeReport
from ta_pipeline.flink_answers import Vertex
from ta_pipeline.settings import Settings, load_settings
from tests.unit.bench.test_results import drain, run

WHEN = datetime(2026, 11, 25, 9, 5, tzinfo=UTC)


def made_up() -> Results:
    """All there can be in a report."""
    rates = {
        SHIPPED: (61_000.0, 58_000.0, 64_000.0),
        FLOOR: (103_000.0, 99_000.0, 104_000.0),
        PER_TICK: (12_000.0,) * 3,
    }
    drains = [
        drain(variant=variant, number=number, per_second=rate, us=1.3e6 / rate)
        for variant, found in rates.items()
        for number, rate in enumerate(found, 1)
    ]
    drains += [
        drain(SPARSE, variant, number, per_second=0.4 * rate, us=3e6 / rate)
        for variant, found in rates.items()
        for number, rate in enumerate(found, 1)
    ]
    symbols = [
        drain(shape, number=number, per_second=rate)
        for shape, rate in ((FEW_SYMBOLS, 66_000.0), (MANY_SYMBOLS, 55_000.0))
        for number in (1, 2)
    ]
    runs = [
        run(),
        run(FAST_FINALS, final=(520.0, 890.0, 1_400.0)),
        run(SUSTAINED, live=(110.0, 420.0, 2_300.0), final=(6_800.0, 12_400.0, 14_100.0)),
    ]
    days = [
        ComputeReport({"trades": 6_127, "quotes": 99_873}, {"bars": 3_000}, seconds) for seconds in (38.2, 36.9, 41.0)
    ]
    return Results(drains, symbols, runs, days)


def rendered(results: Results, settings: Settings | None = None, picture: str | None = None) -> str:
    return render(results, settings or load_settings(), {"processor": "a made-up one"}, WHEN, picture)


def test_the_aims_come_first_and_say_met_or_not_met() -> None:
    report = rendered(made_up())
    assert report.index("## Aims") < report.index("## Machine") < report.index("## Drain")
    assert "| live p99 at 1,000 messages/s, 10 symbols: at most 300 ms | 240 ms | met |" in report
    assert "| dense drain: at least 100,000 events/s | 61,000 events/s (58,000 to 64,000) | not met |" in report


def test_a_drain_has_medians_with_their_spread_and_its_share_of_the_floor() -> None:
    report = rendered(made_up())
    assert "### dense: 2,000,000 trades, 50 symbols, 100 trades a bar, after 3,000,000 as warm-up" in report
    assert "| job as shipped | 3 | 61,000 (58,000 to 64,000) | 21.3 (20.3 to 22.4) | 0.59 (0.59 to 0.62) | " in report
    assert "| Python for each tick | 3 | 12,000 (12,000 to 12,000) |" in report


def test_the_report_says_how_drains_warm_up_and_where_the_live_path_is_measured() -> None:
    report = rendered(made_up())
    assert "60 s have passed" in report
    assert "the live path is in the steady markets" in report


def test_symbols_are_compared_by_their_cpu() -> None:
    report = rendered(made_up())
    assert (
        "| 1,000 symbols: 1,000,000 trades, 1,000 symbols, 100 trades a bar, after 2,000,000 as warm-up | 2 |" in report
    )


def test_a_market_has_latency_load_checkpoints_and_its_own_settings() -> None:
    report = rendered(made_up())
    assert "| latency | live | 600 | 90 | 240 | 410 | 0 |" in report
    assert "| latency | 0.50 | 500 | 1.00 | 1.2 (trades_log.source) | 0 / 3 / 12 |" in report
    assert "| latency | 9 | 0 | 210 | 380 | 240 | 3.0 |" in report
    assert "`TA_MAX_OUT_OF_ORDERNESS_MS`=250, `TA_CHECKPOINT_INTERVAL_MS`=250, checkpoints in a local folder" in report


def test_a_recorded_day_has_messages_read_and_written() -> None:
    assert "| 106,000: 6,127 trades, 99,873 quotes | 3,000 bars | 3 | 38.2 (36.9 to 41.0) |" in rendered(made_up())


def test_what_was_left_out_is_said_to_be_left_out() -> None:
    report = rendered(Results())
    assert report.count("Left out.") == 5
    assert "`ta bench --day FILE`" in report


def test_a_benchmark_that_was_stopped_says_by_what() -> None:
    report = rendered(Results(drains=[drain()], stopped_by="the job was restarted"))
    assert "the job was restarted" in report
    assert "| job as shipped | 1 | 100,000 (100,000 to 100,000) | 15.0 (15.0 to 15.0) | - |" in report


def test_the_report_names_machine_settings_and_versions_and_shows_no_secret() -> None:
    report = render(
        made_up(), load_settings(s3_secret_key="hidden-away"), machine("2.2.1"), WHEN  # noqa: S106
    )  # fmt: skip
    assert "| Flink | 2.2.1 |" in report
    assert "| cores | " in report
    assert "| revision | " in report
    assert "| `TA_DEDUP` | True |" in report
    assert "hidden-away" not in report


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    for table in rendered(made_up(), picture="made-up.png").split("\n\n"):
        rows = [line.count(" | ") for line in table.splitlines() if line.startswith("| ")]
        assert len(set(rows)) <= 1, table


def test_the_picture_is_beside_the_report_and_named_in_it(tmp_path: Path) -> None:
    picture = tmp_path / "made-up.png"
    assert draw(made_up(), picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "](made-up.png)" in rendered(made_up(), picture=picture.name)


def test_there_is_no_picture_of_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "made-up.png"
    assert not draw(Results(), picture)
    assert not picture.exists()
    assert "![" not in rendered(Results())


def test_backpressure_is_that_of_the_most_held_back_task_over_its_subtasks() -> None:
    before = [Vertex("a", "source -> row", 1, "RUNNING", 0, 0, 0, 500), Vertex("b", "window", 2, "RUNNING", 0, 0, 0, 0)]
    after = [
        Vertex("a", "source -> row", 1, "RUNNING", 0, 0, 0, 1_500),
        Vertex("b", "window", 2, "RUNNING", 0, 0, 0, 900),
    ]
    assert held_back(before, after, 10.0) == (0.1, "source")
