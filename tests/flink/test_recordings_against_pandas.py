"""`ta compute` on recorded days equals the pandas computation (ta_pipeline/replay/reference.py), value by value."""

from __future__ import annotations

from pathlib import Path

import pytest

from ta_pipeline.compute import compute
from ta_pipeline.replay.compare import compare
from ta_pipeline.replay.frames import job_frames, reference_frames
from ta_pipeline.replay.reference import compute_reference
from ta_pipeline.replay.reference_rules import Rules
from ta_pipeline.replay.verdict import Comparison
from ta_pipeline.settings import load_settings
from tests.shared_data import shared_file

CRYPTO = {"bar_rules": "all", "session": "utc_day"}


def _compared(names: list[str], out: Path, overrides: dict[str, str]) -> Comparison:
    files = [shared_file(name) for name in names]
    settings = load_settings(**overrides)
    compute(files, out, settings, overrides)
    # The table as Alpaca publishes it, not the one the job is built with.
    rules = Rules(shared_file("alpaca_bar_rules.csv"), **overrides)
    return compare(reference_frames(compute_reference(files, rules)), job_frames(out, settings))


@pytest.fixture(scope="module")
def stock_day(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    names = ["xxx_20180102_trades.jsonl.gz", "xxx_20180102_quotes.jsonl.gz"]
    return _compared(names, tmp_path_factory.mktemp("stock"), {})


@pytest.fixture(scope="module")
def three_symbols(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return _compared(["multi3_20140917_trades.jsonl.gz"], tmp_path_factory.mktemp("three"), {})


@pytest.fixture(scope="module")
def crypto(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return _compared(["crypto_btcusdt_20240808_arrival.jsonl.gz"], tmp_path_factory.mktemp("crypto"), CRYPTO)


@pytest.fixture(params=["stock_day", "three_symbols", "crypto"])
def day(request: pytest.FixtureRequest) -> Comparison:
    found: Comparison = request.getfixturevalue(request.param)
    return found


def test_the_job_gives_every_bar_and_signal_that_pandas_gives_and_no_other_value(day: Comparison) -> None:
    assert day.problems() == []
    assert day.is_green


def test_nothing_is_late_and_nothing_is_rejected_in_a_clean_recording(
    stock_day: Comparison, three_symbols: Comparison
) -> None:
    for day in (stock_day, three_symbols):
        assert [day.table(name).found for name in ("late", "rejects")] == [0, 0]


def test_a_day_has_the_bars_it_is_known_to_have(
    stock_day: Comparison, three_symbols: Comparison, crypto: Comparison
) -> None:
    assert [day.table("signals").found for day in (stock_day, three_symbols, crypto)] == [6_426, 19_899, 344]
