"""Monitoring in Dagster while nothing else is there: a tick never fails, and what it says is said once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from orchestration.defs.monitoring.checks import platform_verdicts
from orchestration.defs.monitoring.events import check_result, evaluation, observation, summary
from orchestration.defs.monitoring.sensors import PERIOD_SECONDS, platform_health
from orchestration.keys import JOB
from orchestration.resources import NOW, PLATFORM
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.monitoring.judge import QUESTIONS, judge
from ta_pipeline.monitoring.memory import Memory
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.platform import Platform
from ta_pipeline.settings import load_settings
from tests.status import NOW_MS, snapshot

REACHABLE = {"flink_reachable", "kafka_reachable", "s3_reachable", "clickhouse_reachable", "probe_reachable"}
NOBODY = "127.0.0.1:9"


class Sensor:
    """The sensor on an injected clock, its cursor kept as the daemon keeps it."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._platform = platform
        self._instance = instance
        self.now_ms = NOW_MS
        self.cursor: str | None = None
        self.seconds = 0.0

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self.cursor,
            resources={PLATFORM: self._platform, NOW: lambda: self.now_ms},
        )
        begin = time.monotonic()
        with context:
            result = platform_health(context)
        self.seconds = time.monotonic() - begin
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        self.now_ms += PERIOD_SECONDS * 1_000
        return result

    @property
    def memory(self) -> Memory:
        return Memory.of_text(self.cursor)


@pytest.fixture
def sensor() -> Iterator[Sensor]:
    nothing = load_settings(
        kafka_bootstrap=NOBODY,
        flink_rest_url=f"http://{NOBODY}",
        s3_endpoint=f"http://{NOBODY}",
        clickhouse_url=f"http://{NOBODY}",
        probe_url=f"http://{NOBODY}",
    )
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(Platform.of(nothing, load_local_settings()), instance)


def evaluations(result: dg.SensorResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        event.check_name: event for event in result.asset_events or () if isinstance(event, dg.AssetCheckEvaluation)
    }


def test_with_everything_down_a_tick_is_a_verdict_and_takes_at_most_two_seconds(sensor: Sensor) -> None:
    result = sensor.tick()
    print(f"a tick with everything down took {sensor.seconds:.2f} s")  # noqa: T201 - a bar, for whoever reads the log
    assert sensor.seconds <= 2.0
    told = evaluations(result)
    assert told.keys() == QUESTIONS.keys()
    assert not any(one.passed for one in told.values())
    errors = {name for name, one in told.items() if one.severity is dg.AssetCheckSeverity.ERROR}
    assert errors == REACHABLE
    (observed,) = [event for event in result.asset_events or () if isinstance(event, dg.AssetObservation)]
    assert observed.asset_key == JOB
    assert str(result.skip_reason and result.skip_reason.skip_message).startswith("5 bad, 18 unknown: flink_reachable")


def test_one_tick_calls_nobody_the_second_does_and_the_third_is_silent(sensor: Sensor) -> None:
    sensor.tick()
    assert sensor.memory.incidents.open == {}
    sensor.tick()
    assert sensor.memory.incidents.open.keys() == REACHABLE
    opened = sensor.memory.incidents
    sensor.tick()
    assert sensor.memory.incidents.open == opened.open
    assert sensor.memory.incidents.outbox == ()


def test_what_has_not_changed_is_told_once_a_minute(sensor: Sensor) -> None:
    counts = [len(sensor.tick().asset_events or ()) for _ in range(4)]
    assert counts == [len(QUESTIONS) + 1, 0, len(QUESTIONS) + 1, 0]


def test_a_cursor_that_cannot_be_read_is_begun_anew(sensor: Sensor) -> None:
    sensor.cursor = "what another version wrote"
    assert len(evaluations(sensor.tick())) == len(QUESTIONS)
    assert sensor.memory.told.keys() == QUESTIONS.keys()


def test_the_sensor_runs_by_default_every_thirty_seconds() -> None:
    assert platform_health.default_status is dg.DefaultSensorStatus.RUNNING
    assert platform_health.minimum_interval_seconds == 30


def test_the_same_verdicts_can_be_asked_for_as_checks(sensor: Sensor) -> None:
    asset = dg.AssetSpec(JOB)
    found = dg.materialize(
        [asset, platform_verdicts],
        resources={PLATFORM: sensor._platform, NOW: lambda: NOW_MS},
        selection=dg.AssetSelection.checks(platform_verdicts),
    )
    told = {one.check_name: one for one in found.get_asset_check_evaluations()}
    assert told.keys() == QUESTIONS.keys()
    assert {one.asset_key for one in told.values()} == {JOB}
    assert not any(one.passed for one in told.values())


def test_the_code_location_has_the_checks_on_the_job_and_the_sensor() -> None:
    from orchestration.definitions import defs  # noqa: PLC0415 - reads the environment

    loaded = defs().get_repository_def()
    keys = {key.name for key in loaded.asset_graph.asset_check_keys if key.asset_key == JOB}
    assert keys >= QUESTIONS.keys()
    assert loaded.has_sensor_def("platform_health")


@pytest.mark.parametrize(
    ("state", "caused_by", "passed", "severity"),
    [
        ("ok", "", True, None), ("asleep", "", True, None), ("warn", "", False, "WARN"), ("bad", "", False, "ERROR"),
        ("unknown", "", False, "ERROR"), ("unknown", "flink_reachable", False, "WARN"),
        ("bad", "job_state", False, "WARN"),
    ],
)  # fmt: skip
def test_only_what_is_well_passes_and_what_another_explains_is_a_warning(
    state: Any, caused_by: str, passed: bool, severity: str | None
) -> None:
    verdict = Verdict("checkpoint_age", state, "text", {"age_s": 3.5, "path": None}, caused_by)
    told = evaluation(verdict)
    assert told.passed is check_result(verdict).passed is passed
    if severity is not None:
        assert told.severity.value == check_result(verdict).severity.value == severity
    assert told.metadata["state"].value == state
    assert told.metadata["age_s"].value == 3.5


def test_the_observation_has_every_number_by_itself_so_that_dagster_draws_it() -> None:
    verdicts = judge(snapshot())
    found = observation(verdicts, 0.8).metadata
    assert found["checkpoint_age/age_s"].value == 4.0
    assert found["live_latency/p99_ms"].value == 140
    assert summary(verdicts) == f"{len(QUESTIONS)} ok"
