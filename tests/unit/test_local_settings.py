from __future__ import annotations

from pathlib import Path

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.settings import COMPONENTS, load_local_settings, parse_components, variables
from ta_pipeline.settings import load_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kafka", ("kafka",)),
        ("flink", ("zookeeper", "jobmanager", "taskmanager")),
        (" probe,clock , s3,kafka ", ("kafka", "s3", "clock", "probe")),
        ("flink,taskmanager", ("zookeeper", "jobmanager", "taskmanager")),
        ("", ()),
        (("s3", "kafka"), ("kafka", "s3")),
        (",".join(reversed(COMPONENTS)), COMPONENTS),
    ],
)
def test_components_come_in_the_order_in_which_they_start(text: str, expected: tuple[str, ...]) -> None:
    assert parse_components(text) == expected


def test_a_component_that_is_none_is_refused_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TA_LOCAL_COMPONENTS", "kafka,minio")
    with pytest.raises(SettingsError, match=r"TA_LOCAL_COMPONENTS='kafka,minio' is not allowed: .*minio; there"):
        load_local_settings()


def test_ports_are_all_different() -> None:
    ports = load_local_settings().ports()
    assert len(set(ports.values())) == len(ports) == 19


def test_two_equal_ports_are_refused_by_naming_both_variables() -> None:
    with pytest.raises(SettingsError, match=r"TA_LOCAL_KAFKA_PORT and TA_LOCAL_S3_PORT are both 20000"):
        load_local_settings(kafka_port=20_000, s3_port=20_000)


def test_a_port_for_the_administrator_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"TA_LOCAL_KAFKA_PORT=80 is not allowed.*Kafka broker"):
        load_local_settings(kafka_port=80)


def test_a_shifted_stack_shares_jars_and_neither_ports_nor_data() -> None:
    local = load_local_settings()
    shifted = local.shifted(2_000, Path("/somewhere/else"))
    assert not set(local.ports().values()) & set(shifted.ports().values())
    assert {name: port - 2_000 for name, port in shifted.ports().items()} == local.ports()
    assert shifted.dir == Path("/somewhere/else")
    assert shifted.jars_dir == local.jars_dir


def test_settings_given_to_a_process_are_read_back_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(kafka_password="secret", dedup=False, symbols="AAA,BBB", live_slice_ms=50)  # noqa: S106
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_process_gets_only_the_settings_that_were_asked_for() -> None:
    assert variables(load_settings(dedup=False), ("dedup", "parallelism")) == {
        "TA_DEDUP": "false",
        "TA_PARALLELISM": "1",
    }
