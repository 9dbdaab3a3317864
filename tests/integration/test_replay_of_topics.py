"""A day replayed from the retained input topics when they do not hold it; when they do: test_job_end_to_end.py."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ta_pipeline.errors import KafkaSetupError, RecordingError
from ta_pipeline.replay.days import replay_day
from ta_pipeline.settings import Settings, load_settings
from tests.stack import RunningStack


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
