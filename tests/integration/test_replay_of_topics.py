"""A day replayed from the retained input topics, against pandas and against what the running job has committed."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ta_pipeline.errors import KafkaSetupError, RecordingError
from ta_pipeline.replay.days import replay_day
from ta_pipeline.replay.inputs import ALL
from ta_pipeline.replay.report import write_report
from ta_pipeline.sessions import NEW_YORK
from ta_pipeline.settings import Settings, load_settings
from tests.jobs import FAST, committed, expected, running_clock, running_job, send, simulated
from tests.stack import RunningStack

SYMBOLS, SECONDS = 3, 40
HORIZON = {"revision_horizon_ms": 5_000}


def _today(epoch: float) -> date:
    """The day that begins at 04:00 in New York."""
    return datetime.fromtimestamp(epoch - 4 * 3_600, UTC).astimezone(NEW_YORK).date()


@pytest.mark.parametrize("form", ["json", "avro-confluent"])
def test_what_production_committed_equals_its_replay(stack: RunningStack, tmp_path: Path, form: str) -> None:
    settings = stack.own_settings(
        schemas=True, startup_mode="earliest", input_format=form, output_format=form,
        clock_topic=f"ta.clock.replay.{form}", **FAST, **HORIZON,
    )  # fmt: skip
    start = int(time.time()) - SECONDS - 5
    messages = simulated(SYMBOLS, 100, SECONDS, seed=5, start=start)
    bars = len(expected(tmp_path, settings, messages)["bars"])
    send(stack, settings, messages)
    with running_clock(settings), running_job(stack, settings):
        for topic in (settings.bars_topic, settings.signals_topic):
            committed(stack, settings, topic, lambda records: len(records) >= bars)
    replay = replay_day(
        settings, _today(start), ALL, tmp_path / "scratch", source="topics", with_production=True, local=stack.local
    )
    against_pandas, against_production = replay.verdict.comparisons
    assert replay.verdict.is_green, replay.verdict.problems()
    assert against_pandas.table("bars").expected == bars
    assert bars - SYMBOLS * 8 < against_production.table("bars").expected < bars
    assert against_production.table("signals").expected == against_production.table("bars").expected
    assert replay.latency is not None
    report = write_report(replay, tmp_path / "report").read_text(encoding="utf-8")
    assert "## Production against replay" in report
    assert "(latency.png)" in report


def test_a_day_that_the_topics_do_not_hold_and_topics_that_are_missing_are_told_apart(
    stack: RunningStack, tmp_path: Path
) -> None:
    def replay(settings: Settings) -> None:
        replay_day(settings, date(2018, 1, 2), "XXX", tmp_path, source="topics", with_production=False)

    settings = stack.own_settings()
    with pytest.raises(RecordingError, match="hold no message of XXX"):
        replay(settings)
    with pytest.raises(KafkaSetupError, match="no such topic"):
        replay(load_settings(**{**settings.model_dump(), "quotes_topic": "nobody.made.it"}))
