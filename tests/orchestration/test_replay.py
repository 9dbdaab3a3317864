"""Replay validation through Dagster: its partitions, and one of them materialised against the local stack."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import dagster as dg
import pytest

from orchestration.defs.replay import partitions
from orchestration.defs.replay.assets import ReplayConfig, replay_validation
from orchestration.resources import PLATFORM
from ta_pipeline.platform import Platform
from ta_pipeline.replay import validate as validation
from ta_pipeline.replay.inputs import ALL
from ta_pipeline.replay.record import blocking_verdicts, newest_verdict, newest_verdicts
from ta_pipeline.settings import load_settings
from tests.shared_data import shared_file
from tests.stack import RunningStack

PARTITION = f"2018-01-02|{ALL}"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """The first trades and quotes of a real day, under their names."""
    for name in ("xxx_20180102_trades.jsonl.gz", "xxx_20180102_quotes.jsonl.gz"):
        with gzip.open(shared_file(name), "rb") as lines, gzip.open(tmp_path / name, "wb") as cut:
            cut.writelines(islice(lines, 4_000))
    return tmp_path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def test_a_replay_is_of_a_market_day() -> None:
    days = partitions.days_of(load_settings()).get_partition_keys()
    assert days[0] == "2018-01-02"
    assert {"2018-07-03", "2018-11-23", "2024-02-29"} < set(days)
    for closed in ("2018-01-06", "2018-01-07", "2018-01-15", "2018-07-04", "2018-12-05", "2021-12-24"):
        assert closed not in days


def test_crypto_has_every_day() -> None:
    days = partitions.days_of(load_settings(session="utc_day")).get_partition_keys()
    assert days[:6] == [f"2018-01-0{day}" for day in range(2, 8)]


def test_a_replay_is_of_all_symbols_or_one_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "xxx_20180102_trades.jsonl.gz").touch()
    settings = load_settings(symbols="NVDA, AAPL", recordings_dir=str(tmp_path))
    assert partitions.symbols_of(settings).get_partition_keys() == ["all", "AAPL", "NVDA", "XXX"]


def test_a_replay_that_is_green_says_so_in_its_check_its_report_and_the_record(
    stack: RunningStack, recordings: Path, instance: dg.DagsterInstance
) -> None:
    settings = stack.own_settings(topics=False, recordings_dir=str(recordings))
    assert (newest_verdict(settings), blocking_verdicts(settings)) == (None, [])
    result = dg.materialize(
        [replay_validation],
        partition_key=PARTITION,
        instance=instance,
        resources={PLATFORM: Platform.of(settings, stack.local)},
    )
    (check,) = result.get_asset_check_evaluations()
    assert check.passed, check.description
    assert check.check_name == "replay_verdict"
    metadata = result.asset_materializations_for_node("replay_validation")[0].metadata
    report = str(metadata["report"].value)
    assert report.startswith("# Replay of all on 2018-01-02: green")
    assert report.count("](data:image/png;base64,") == 2
    assert metadata["verdict"].value == "green"
    recorded = newest_verdict(settings)
    assert recorded is not None
    assert (recorded.day, recorded.symbol, recorded.is_green) == ("2018-01-02", ALL, True)
    assert newest_verdicts(settings) == [recorded]
    assert blocking_verdicts(settings) == []


def test_a_replay_that_is_red_fails_its_check_with_the_field_and_blocks_the_next_rollout(
    stack: RunningStack, recordings: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = stack.own_settings(topics=False, recordings_dir=str(recordings))
    # One side only: the rules that pandas goes by have another window than the job.
    rules_of = validation.rules_of
    monkeypatch.setattr(
        validation, "rules_of", lambda used: rules_of(load_settings(**{**used.model_dump(), "session": "regular"}))
    )
    result = dg.materialize(
        [replay_validation],
        partition_key=PARTITION,
        instance=instance,
        resources={PLATFORM: Platform.of(settings, stack.local)},
        run_config=dg.RunConfig({"replay_validation": ReplayConfig(source="recordings", production=False)}),
    )
    assert result.success, "a red verdict is a result, not a crash"
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "signals: session differs in" in str(check.description)
    (line,) = blocking_verdicts(settings)
    assert line.startswith("replay 2018-01-02-all-")


def test_a_day_without_a_recording_fails_with_what_to_do(
    stack: RunningStack, recordings: Path, instance: dg.DagsterInstance
) -> None:
    settings = stack.own_settings(topics=False, recordings_dir=str(recordings))
    with pytest.raises(dg.Failure, match="no recording of all on 2018-01-03"):
        dg.materialize(
            [replay_validation],
            partition_key=f"2018-01-03|{ALL}",
            instance=instance,
            resources={PLATFORM: Platform.of(settings, stack.local)},
        )
