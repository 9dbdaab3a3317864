from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ta_pipeline.kubernetes.pods import RECENT, pod_problems, recent_events

NOW = datetime(2026, 1, 2, 15, 0, 0, 250_000, UTC)


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "torghut-ta-7f"}, "status": {"containerStatuses": list(containers), **status}}


def event(minutes_ago: float, name: str = "torghut-ta", message: str = "no", **more: Any) -> dict[str, Any]:
    at = (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Warning", "reason": "Failed", "message": message, "lastTimestamp": at, "metadata": {},
        "involvedObject": {"kind": "Pod", "name": name}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"state": {"running": {}}}, []),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, []),
        ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, []),
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "ta:1"'}}},
            ['pod torghut-ta-7f, container main: ImagePullBackOff: Back-off pulling image "ta:1"'],
        ),
        (
            {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
             "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": "Could not\nstart"}}},
            ["pod torghut-ta-7f, container main: CrashLoopBackOff: back-off 40s; it ended as Error with exit code 1: "
             "Could not start"],
        ),
        (
            {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            ["pod torghut-ta-7f, container main ended as OOMKilled with exit code 137"],
        ),
        (
            {"state": {"running": {}}, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            ["pod torghut-ta-7f, container main ended as OOMKilled with exit code 137"],
        ),
    ],
)  # fmt: skip
def test_a_container_that_does_not_run_says_why(container: dict[str, Any], expected: list[str]) -> None:
    assert pod_problems([pod({"name": "main", **container})]) == expected


def test_a_pod_that_finds_no_node_or_is_evicted_says_so() -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes available"}
    assert pod_problems([pod(conditions=[unplaced])]) == ["pod torghut-ta-7f: Unschedulable: 0/3 nodes available"]
    evicted = pod(phase="Failed", reason="Evicted", message="low on memory")
    assert pod_problems([evicted]) == ["pod torghut-ta-7f: Evicted: low on memory"]


def test_an_init_container_counts() -> None:
    waiting = {"name": "init", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    assert pod_problems([pod(initContainerStatuses=[waiting])]) == [
        "pod torghut-ta-7f, container init: ErrImagePull: not found"
    ]


def test_events_of_the_last_hour_are_told_the_newest_first_and_others_are_not() -> None:
    events = [
        event(59.9, message="an older one"), event(1, message="the newest"), event(61, message="too old"),
        event(2, message="of another", name="other"), event(2, message="fine", type="Normal"),
        event(5, message="of a pod", name="torghut-ta-taskmanager-1-1", count=7),
    ]  # fmt: skip
    found = recent_events(events, "torghut-ta", NOW - RECENT)
    assert found == [
        "14:59:00 Pod torghut-ta: Failed: the newest",
        "14:55:00 Pod torghut-ta-taskmanager-1-1: Failed: of a pod (x7)",
        "14:00:06 Pod torghut-ta: Failed: an older one",
    ]


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("torghut-ta", True), ("torghut-ta-6c8d4f7b9", True), ("torghut-ta-6c8d4f7b9-x2x7q", True),
        ("torghut-ta-taskmanager-1-12", True), ("torghut-ta-table", False), ("torghut-ta-table-6c8d4f7b9-x2x7q", False),
        ("torghut-ta-table-taskmanager-1-1", False), ("torghut-ta-dagster-daemon-6c8d4f7b9-x2x7q", False),
        ("other-torghut-ta", False),
    ],
)  # fmt: skip
def test_events_of_what_was_made_for_a_job_are_its_own_and_those_of_its_neighbours_are_not(
    name: str, is_ours: bool
) -> None:
    assert bool(recent_events([event(1, name=name)], "torghut-ta", NOW - RECENT)) == is_ours


def test_events_that_say_the_same_are_told_once_and_five_at_most() -> None:
    assert len(recent_events([event(number) for number in range(3)], "torghut-ta", NOW - RECENT)) == 1
    many = [event(number, message=str(number)) for number in range(9)]
    assert [line[-1] for line in recent_events(many, "torghut-ta", NOW - RECENT)] == list("01234")


def test_an_event_of_the_second_in_which_something_was_asked_for_counts() -> None:
    assert len(recent_events([event(0)], "torghut-ta", NOW)) == 1


def test_an_event_of_the_newer_api_says_its_time_elsewhere() -> None:
    newer = {**event(0), "lastTimestamp": None, "eventTime": "2026-01-02T14:30:00.123456Z"}
    assert recent_events([newer], "torghut-ta", NOW - RECENT)[0].startswith("14:30:00 ")
