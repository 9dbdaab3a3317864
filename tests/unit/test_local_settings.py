from __future__ import annotations

from pathlib import Path

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.flink import _configuration
from ta_pipeline.local.settings import COMPONENTS, load_local_settings, parse_components, variables
from ta_pipeline.local.stack import Stack, local_settings
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


def test_what_the_stack_does_not_run_is_where_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "TA_KAFKA_BOOTSTRAP": "broker.example:9093", "TA_S3_ENDPOINT": "https://s3.example", "TA_S3_SECURE": "true",
        "TA_SCHEMA_REGISTRY_URL": "https://registry.example", "TA_CLICKHOUSE_URL": "https://clickhouse.example:8443",
    }  # fmt: skip
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    local, settings = load_local_settings(components="flink,clock,probe"), load_settings()
    assert theirs.items() <= variables(local_settings()).items()
    assert not theirs.keys() & Stack(local, settings).environment().keys() - {"TA_CLICKHOUSE_URL"}
    flink = _configuration(local, settings)
    assert (flink["fs.s3a.endpoint"], flink["fs.s3a.connection.ssl.enabled"]) == ("https://s3.example", True)
    # A stack that runs them is its own.
    here = Stack(load_local_settings(), settings).environment()
    assert here["TA_KAFKA_BOOTSTRAP"] == "127.0.0.1:19092"
    assert here["TA_S3_ENDPOINT"] == "http://127.0.0.1:19000"
    assert here["TA_SCHEMA_REGISTRY_URL"] == "http://127.0.0.1:18081/apis/ccompat/v7"


def test_the_status_is_of_the_components_that_the_stack_has(tmp_path: Path) -> None:
    stack = Stack(load_local_settings(components="flink,clock", dir=tmp_path), load_settings())
    assert {line.name: line.state for line in stack.status()} == dict.fromkeys(
        ("zookeeper", "jobmanager", "taskmanager", "clock"), "stopped"
    )


def test_a_process_gets_only_the_settings_that_were_asked_for() -> None:
    assert variables(load_settings(dedup=False), ("dedup", "parallelism")) == {
        "TA_DEDUP": "false",
        "TA_PARALLELISM": "1",
    }
