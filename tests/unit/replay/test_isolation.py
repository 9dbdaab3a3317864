"""A replay that shares anything with production is refused; one made by `replay_settings` is not."""

from __future__ import annotations

from typing import Any

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.replay.isolation import isolation_problems, replay_settings, require_isolation
from ta_pipeline.settings import Settings, load_settings

PRODUCTION = load_settings(
    status_topic="ta.status.v1",
    clickhouse_url="http://127.0.0.1:8123",
    kafka_password="s",  # noqa: S106
)
REPLAY = replay_settings(PRODUCTION, "2018-01-02-xxx")


def _with(**changes: Any) -> Settings:
    return load_settings(**{**REPLAY.model_dump(), **changes})


def test_replay_settings_are_apart_from_production_and_compute_the_same() -> None:
    assert isolation_problems(PRODUCTION, REPLAY) == []
    assert REPLAY.bars_topic == "ta.bars.1s.v1.replay.2018-01-02-xxx"
    assert REPLAY.status_topic == "ta.status.v1.replay.2018-01-02-xxx"
    assert REPLAY.checkpoint_dir == (
        "s3a://flink-checkpoints/torghut/technical-analysis/replays/2018-01-02-xxx/checkpoints"
    )
    assert (REPLAY.startup_mode, REPLAY.clickhouse_url) == ("earliest", "")
    assert REPLAY.kafka_password.get_secret_value() == "s"
    same = ("trades_topic", "session", "bar_rules", "max_out_of_orderness_ms", "vwap_window_seconds", "dedup_ttl_ms")
    assert [getattr(REPLAY, name) for name in same] == [getattr(PRODUCTION, name) for name in same]


def test_two_replays_are_apart_from_each_other() -> None:
    assert isolation_problems(REPLAY, replay_settings(PRODUCTION, "another")) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"signals_topic": PRODUCTION.signals_topic}, "TA_SIGNALS_TOPIC is ta.signals.v1"),
        ({"late_topic": PRODUCTION.trades_topic}, "which is TA_TRADES_TOPIC of production"),
        ({"rejects_topic": PRODUCTION.clock_topic}, "which is TA_CLOCK_TOPIC of production"),
        ({"status_topic": PRODUCTION.status_topic}, "TA_STATUS_TOPIC is ta.status.v1"),
        ({"group_id": "flink-ta"}, "TA_GROUP_ID is 'flink-ta'"),
        ({"group_id": "flink-ta-replay"}, "TA_GROUP_ID is 'flink-ta-replay'"),
        ({"transactional_id_prefix": "ta-replay"}, "one must not begin with the other"),
        ({"transactional_id_prefix": "t"}, "TA_TRANSACTIONAL_ID_PREFIX is 't'"),
        ({"k8s_deployment": "torghut-ta"}, "the name of production's job"),
        ({"checkpoint_dir": PRODUCTION.checkpoint_dir + "/replay"}, "one must not lie in the other"),
        ({"savepoint_dir": PRODUCTION.checkpoint_dir}, "TA_CHECKPOINT_DIR is"),
        ({"checkpoint_dir": "s3://flink-checkpoints/torghut"}, "one must not lie in the other"),
        ({"clickhouse_url": "http://127.0.0.1:8123"}, "TA_CLICKHOUSE_URL is set"),
        ({"startup_mode": "latest"}, "TA_STARTUP_MODE is 'latest'"),
    ],
)
def test_whatever_is_shared_is_named(changes: dict[str, str], named: str) -> None:
    problems = isolation_problems(PRODUCTION, _with(**changes))
    assert any(named in problem for problem in problems), problems
    with pytest.raises(SettingsError, match="not apart from production"):
        require_isolation(PRODUCTION, _with(**changes))


def test_a_folder_whose_name_only_begins_alike_is_another_folder() -> None:
    assert isolation_problems(PRODUCTION, _with(checkpoint_dir=PRODUCTION.checkpoint_dir + "-replay")) == []


def test_a_replay_that_would_restore_state_is_refused() -> None:
    (problem,) = isolation_problems(PRODUCTION, REPLAY, restore_from="s3a://b/savepoint-1")
    assert "s3a://b/savepoint-1" in problem


@pytest.mark.parametrize("replay_id", ["", "A", "a/b", "-a", "a" * 81, "a b"])
def test_an_id_that_cannot_be_part_of_a_name_is_refused(replay_id: str) -> None:
    with pytest.raises(SettingsError, match="replay id"):
        replay_settings(PRODUCTION, replay_id)
