"""The probe's server where no broker is: it answers, says why it does not read, and ends when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from ta_pipeline.errors import SettingsError
from ta_pipeline.probe_server import ProbeServer
from ta_pipeline.settings import load_settings
from tests.stack import wait_for

SETTINGS = load_settings(kafka_bootstrap="127.0.0.1:9")


@contextmanager
def serving() -> Iterator[str]:
    server = ProbeServer(SETTINGS, "127.0.0.1:0")
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield server.url
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_without_a_broker_it_answers_and_says_why_it_does_not_read() -> None:
    with serving() as url:
        wait_for("it has tried", lambda: "127.0.0.1:9" in str(requests.get(f"{url}/report", timeout=2).json()))
        found = requests.get(f"{url}/report", timeout=2).json()
        assert (found["reading"], found["seen"], found["dagster_heartbeat_ms"]) == (False, None, None)
        metrics = requests.get(f"{url}/metrics", timeout=2)
        assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "ta_probe_reading 0\n" in metrics.text


def test_dagsters_heartbeat_is_told_to_prometheus() -> None:
    with serving() as url:
        assert "ta_dagster_heartbeat" not in requests.get(f"{url}/metrics", timeout=2).text
        body = {"verdicts": {"s3_reachable": True}, "job_wanted": None}
        assert requests.post(f"{url}/heartbeat", json=body, timeout=2).status_code == 204
        told = requests.get(f"{url}/metrics", timeout=2).text
        assert 'ta_verdict_bad{verdict="s3_reachable"} 1\n' in told
        assert "ta_job_wanted" not in told
        for nothing in (b"{", b""):
            assert requests.post(f"{url}/heartbeat", data=nothing, timeout=2).status_code == 204
        assert "ta_verdict_bad" not in requests.get(f"{url}/metrics", timeout=2).text
        (line,) = [
            line
            for line in requests.get(f"{url}/metrics", timeout=2).text.splitlines()
            if line.startswith("ta_dagster_heartbeat_timestamp_seconds ")
        ]
        assert float(line.split()[1]) == pytest.approx(time.time(), abs=5)


def test_a_broker_that_does_not_answer_is_told_to_prometheus() -> None:
    with serving() as url:
        wait_for(
            "the probe has asked", lambda: "\nta_kafka_reachable 0\n" in requests.get(f"{url}/metrics", timeout=5).text
        )


def test_a_probe_that_waits_for_the_broker_goes_round_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ta_pipeline.probe_server.RETRY_SECONDS", 0.1)

    def beat(url: str) -> float:
        name = "ta_probe_heartbeat_timestamp_seconds "
        lines = requests.get(f"{url}/metrics", timeout=2).text.splitlines()
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    with serving() as url:
        wait_for("it has tried", lambda: "127.0.0.1:9" in str(requests.get(f"{url}/report", timeout=2).json()))
        first = beat(url)
        wait_for("its heartbeat moves", lambda: beat(url) > first)


def test_other_paths_are_refused_with_those_there_are() -> None:
    with serving() as url:
        for answer in (requests.get(f"{url}/", timeout=2), requests.post(f"{url}/report", timeout=2)):
            assert answer.status_code == 404
            assert "/heartbeat" in answer.text


@pytest.mark.parametrize("listen", ["19251", "localhost", ":19251", "127.0.0.1:port", "127.0.0.1:99999"])
def test_a_place_where_nothing_can_listen_is_refused(listen: str) -> None:
    with pytest.raises(SettingsError, match="the probe"):
        ProbeServer(SETTINGS, listen)


def test_a_taken_port_is_refused() -> None:
    with serving() as url, pytest.raises(SettingsError, match=r"cannot listen at 127\.0\.0\.1:\d+"):
        ProbeServer(SETTINGS, url.removeprefix("http://"))
