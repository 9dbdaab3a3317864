from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.monitoring.snapshot import FIRST_SECONDS, THEN_SECONDS, StatusSnapshot, Unreachable, take_snapshot
from ta_pipeline.platform import Platform
from ta_pipeline.settings import load_settings
from tests.answers import answering_always
from tests.status import NOW_MS


def asked(**where: str) -> StatusSnapshot:
    """A snapshot of a platform that is nowhere, but for `where`."""
    nowhere = {
        "kafka_bootstrap": "127.0.0.1:9",
        "flink_rest_url": "http://127.0.0.1:9",
        "s3_endpoint": "http://127.0.0.1:9",
        "clickhouse_url": "http://127.0.0.1:9",
        "probe_url": "http://127.0.0.1:9",
    }
    return take_snapshot(Platform.of(load_settings(**{**nowhere, **where}), load_local_settings()), NOW_MS)


def reasons(snapshot: StatusSnapshot) -> dict[str, str]:
    answers = (snapshot.flink, snapshot.kafka, snapshot.store, snapshot.clickhouse, snapshot.probe)
    return {answer.component: answer.reason for answer in answers if isinstance(answer, Unreachable)}


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never answers, as a process that stands still does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nonsense() -> Iterator[str]:
    """Answers everything with what nobody expects."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n<>"
    with answering_always(answer) as address:
        yield address


def test_where_nothing_listens_each_component_is_unreachable_by_its_own_name() -> None:
    found = reasons(asked())
    assert found.keys() == {"flink", "kafka", "s3", "clickhouse", "probe"}
    for setting in ("TA_FLINK_REST_URL", "TA_KAFKA_BOOTSTRAP", "TA_CLICKHOUSE_URL", "TA_PROBE_URL"):
        assert any(setting in reason for reason in found.values()), setting


def test_where_everything_hangs_a_snapshot_is_there_all_the_same(silent: str) -> None:
    url = f"http://{silent}"
    snapshot = asked(kafka_bootstrap=silent, flink_rest_url=url, s3_endpoint=url, clickhouse_url=url, probe_url=url)
    assert reasons(snapshot).keys() == {"flink", "kafka", "s3", "clickhouse", "probe"}
    # Nobody's own time limit was waited for; the rest is what a busy machine may add.
    assert snapshot.seconds <= 2 * (FIRST_SECONDS + THEN_SECONDS)


def test_an_answer_nobody_can_read_is_none(nonsense: str) -> None:
    url = f"http://{nonsense}"
    found = reasons(asked(flink_rest_url=url, probe_url=url))
    assert "the answer of flink cannot be used" in found["flink"]
    assert "the answer of probe cannot be used" in found["probe"]


def test_without_a_table_path_clickhouse_is_not_asked() -> None:
    assert asked(clickhouse_url="").clickhouse is None
