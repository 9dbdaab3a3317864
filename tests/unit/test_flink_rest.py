from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ta_pipeline import flink_rest
from ta_pipeline.errors import FlinkError, FlinkNoAnswerError
from ta_pipeline.flink_answers import (
    Backpressure,
    Failure,
    JobSummary,
    parse_backpressure,
    parse_checkpoints,
    parse_exception,
    parse_failures,
    parse_jobs,
    parse_vertices,
    root_cause,
)
from ta_pipeline.flink_rest import FlinkRest
from tests.answers import answering_always

# Answers of a Flink 2.2.1 cluster, shortened.
JOBS = {
    "jobs": [
        {"jid": "5da94e", "name": "torghut-ta", "start-time": 1795521696023, "end-time": -1, "state": "RUNNING"},
        {"jid": "f9657d", "name": "torghut-ta-table", "start-time": 1795521724427, "end-time": -1, "state": "FAILED"},
    ]
}
CHECKPOINTS = {
    "counts": {"restored": 0, "total": 25, "in_progress": 1, "completed": 24, "failed": 0},
    "summary": {"end_to_end_duration": {"min": 25, "max": 160, "avg": 70, "p50": 61.5, "p99": 160.0}},
    "latest": {
        "completed": {
            "id": 24,
            "trigger_timestamp": 1795521964523,
            "latest_ack_timestamp": 1795521964564,
            "state_size": 562,
            "end_to_end_duration": 41,
            "external_path": "s3a://flink-checkpoints/checkpoints/f9657d/chk-24",
        },
        "savepoint": None,
        "failed": None,
        "restored": None,
    },
}
NO_CHECKPOINTS = {
    "counts": {"restored": 0, "total": 0, "in_progress": 0, "completed": 0, "failed": 0},
    "summary": {"end_to_end_duration": {"min": 0, "max": 0, "avg": 0, "p50": "NaN", "p99": "NaN"}},
    "latest": {"completed": None, "savepoint": None, "failed": None, "restored": None},
}
VERTEX = {
    "id": "fdf17b",
    "name": "Source: bars_topic.source -> ta_microbars.row -> Sink: ta_microbars.sink",
    "parallelism": 1,
    "status": "RUNNING",
    "metrics": {
        "read-records": 3,
        "write-records": 2,
        "accumulated-backpressured-time": 0,
        "accumulated-idle-time": 547,
        "accumulated-busy-time": "NaN",
    },
}
TRACE = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handle(Handler.java:219)
Caused by: java.lang.RuntimeException: java.util.concurrent.ExecutionException: boom
\tat some.Where(Where.java:1)
Caused by: java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.UnknownTopicOrPartitionException
\tat some.Where(Where.java:2)
Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic.
"""
NOT_FOUND = "org.apache.flink.runtime.rest.NotFoundException: Job 00 not found\n\tat some.Where(Where.java:1)\n"


def test_jobs_come_newest_first() -> None:
    assert parse_jobs(JOBS) == [
        JobSummary("f9657d", "torghut-ta-table", "FAILED", 1795521724427),
        JobSummary("5da94e", "torghut-ta", "RUNNING", 1795521696023),
    ]
    assert [job.is_ended for job in parse_jobs(JOBS)] == [True, False]


def test_the_latest_checkpoint_has_path_size_duration_and_age() -> None:
    found = parse_checkpoints(CHECKPOINTS)
    assert (found.completed, found.failed, found.in_progress) == (24, 0, 1)
    assert found.latest_path == "s3a://flink-checkpoints/checkpoints/f9657d/chk-24"
    assert (found.latest_bytes, found.latest_duration_ms) == (562, 41)
    assert (found.duration_p50_ms, found.duration_p99_ms) == (61.5, 160.0)
    assert found.age_seconds(1795521964523 + 1_500) == 1.5


def test_before_the_first_checkpoint_there_is_no_age_and_no_duration() -> None:
    found = parse_checkpoints(NO_CHECKPOINTS)
    assert found.completed == 0
    assert found.age_seconds(1e12) is None
    assert (found.latest_path, found.duration_p50_ms, found.duration_p99_ms) == (None, None, None)


def test_a_task_that_has_not_reported_yet_counts_as_zero() -> None:
    (vertex,) = parse_vertices({"vertices": [VERTEX]})
    assert (vertex.read_records, vertex.written_records, vertex.busy_ms) == (3, 2, 0)
    assert (vertex.state, vertex.parallelism) == ("RUNNING", 1)


def test_backpressure_is_that_of_the_busiest_subtask() -> None:
    answer = {
        "status": "ok",
        "subtasks": [
            {"subtask": 0, "ratio": 0.1, "idleRatio": 0.8, "busyRatio": 0.1},
            {"subtask": 1, "ratio": 0.7, "idleRatio": 0.0, "busyRatio": 0.3},
            {"subtask": 2, "ratio": "NaN", "idleRatio": "NaN", "busyRatio": "NaN"},
        ],
    }
    assert parse_backpressure("windows", answer) == Backpressure("windows", 0.7, 0.3)
    assert parse_backpressure("windows", {"status": "deprecated", "subtasks": []}) is None


def test_the_reason_of_a_failure_is_its_innermost_cause() -> None:
    answer = {"exceptionHistory": {"entries": [{"stacktrace": TRACE}, {"stacktrace": "older"}], "truncated": False}}
    assert parse_exception(answer) == (
        "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic."
    )


def test_every_failure_flink_remembers_has_its_time_and_cause() -> None:
    entries = [{"stacktrace": TRACE, "timestamp": 1795521964523}, {"stacktrace": "older", "timestamp": 1795521696023}]
    assert parse_failures({"exceptionHistory": {"entries": entries, "truncated": False}}) == [
        Failure(
            1795521964523,
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: This server does not host this topic.",
        ),
        Failure(1795521696023, "older"),
    ]
    assert parse_failures({}) == []


def test_a_job_that_never_failed_has_no_reason() -> None:
    assert parse_exception({"exceptionHistory": {"entries": [], "truncated": False}}) is None


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        ("", "no reason was given"),
        ("java.lang.IllegalStateException: alone\n\tat x", "java.lang.IllegalStateException: alone"),
        ("outer\nCaused by: java.util.concurrent.TimeoutException: only a wrapper", "outer"),
        (
            "outer\nCaused by: java.lang.RuntimeException: java.io.IOException: x\nCaused by: java.io.IOException: x",
            "java.io.IOException: x",
        ),
    ],
)
def test_wrappers_are_not_causes(trace: str, cause: str) -> None:
    assert root_cause(trace) == cause


@contextmanager
def answering(status: int, body: Any) -> Iterator[str]:
    """The URL of a server that gives every request the same answer; the client under test is the real one."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with answering_always(head.encode() + content) as address:
        yield f"http://{address}"


def test_a_refusal_names_url_and_cause() -> None:
    with answering(404, {"errors": [NOT_FOUND]}) as url, pytest.raises(FlinkError) as raised:
        FlinkRest(url).job("00")
    assert str(raised.value) == (
        f"Flink refused GET {url}/jobs/00 (status 404): "
        "org.apache.flink.runtime.rest.NotFoundException: Job 00 not found"
    )


def test_a_job_that_the_cluster_does_not_remember_is_none_and_not_an_error() -> None:
    with answering(404, {"errors": [NOT_FOUND]}) as url:
        assert FlinkRest(url).find("00") is None
    with answering(400, {"errors": ["x"]}) as url, pytest.raises(FlinkError):
        FlinkRest(url).find("00")


def test_a_cluster_that_has_no_leader_yet_has_not_answered() -> None:
    with answering(503, {"errors": ["Service temporarily unavailable"]}) as url, pytest.raises(FlinkNoAnswerError):
        FlinkRest(url).jobs()
    for status in (408, 500):
        with answering(status, {"errors": ["Internal server error."]}) as url, pytest.raises(FlinkNoAnswerError):
            FlinkRest(url).checkpoints("00")


def test_a_job_that_ended_before_it_was_cancelled_is_cancelled() -> None:
    with answering(404, {"errors": [NOT_FOUND]}) as url:
        FlinkRest(url).cancel("00")


def test_a_cluster_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(FlinkError, match=r"cannot be reached at http://127\.0\.0\.1:9 \(TA_FLINK_REST_URL\)"):
        FlinkRest("http://127.0.0.1:9/").jobs()


def test_a_cluster_that_does_not_answer_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flink_rest, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(FlinkError, match=rf"did not answer GET {url}/overview within 0\.1 s"):
            FlinkRest(url).overview()


def test_waiting_for_a_job_that_failed_ends_at_once() -> None:
    failed = {"jid": "00", "name": "torghut-ta", "state": "FAILED", "start-time": 1}
    with answering(200, failed) as url, pytest.raises(FlinkError, match=r"torghut-ta \(00\) at .* is FAILED, not RUNN"):
        FlinkRest(url).await_state("00", {"RUNNING"}, 60.0)


def test_topics_that_kafka_refuses_are_named() -> None:
    trace = (
        "org.apache.flink.util.FlinkException: Global failure triggered by OperatorCoordinator\n"
        "Caused by: org.apache.flink.util.FlinkRuntimeException: Failed to list subscribed topic partitions due to \n"
        "Caused by: java.lang.RuntimeException: Failed to get metadata for topics [ta.clock.v1, torghut.trades.v1].\n"
        "Caused by: java.util.concurrent.ExecutionException: "
        "org.apache.kafka.common.errors.TopicAuthorizationException: Topic authorization failed.\n"
        "Caused by: org.apache.kafka.common.errors.TopicAuthorizationException: Topic authorization failed.\n"
    )
    assert root_cause(trace) == (
        "org.apache.kafka.common.errors.TopicAuthorizationException: Topic authorization failed. Failed to get "
        "metadata for topics [ta.clock.v1, torghut.trades.v1]."
    )
