from __future__ import annotations

from ta_pipeline.bench import DENSE, Drain
from ta_pipeline.bench_report import render
from ta_pipeline.settings import load_settings


def test_the_report_gives_medians_with_their_spread_and_the_share_of_the_floor() -> None:
    drains = [
        Drain("job as shipped", 60_000.0, 16.0, 2**30),
        Drain("job as shipped", 40_000.0, 18.0, 2**30),
        Drain("windows without Python", 100_000.0, 9.0, 2**30),
    ]
    report = render(load_settings(), [(DENSE, drains)], [])
    assert "| job as shipped | 50,000 (40,000 to 60,000) | 0.50 | 17.0 | 1.00 GiB |" in report
    assert "| windows without Python | 100,000 (100,000 to 100,000) | 1.00 | 9.0 | 1.00 GiB |" in report
    assert "Python for each tick" not in report


def test_the_report_says_on_what_machine_and_with_which_settings_and_shows_no_secret() -> None:
    settings = load_settings(s3_secret_key="hidden-away")  # noqa: S106
    report = render(settings, [], [])
    assert "cores" in report
    assert "`TA_DEDUP`=True" in report
    assert "hidden-away" not in report
