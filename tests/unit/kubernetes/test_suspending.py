"""What becomes of the state of a job that is to end: an API server with one object, and an operator or none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes import client as official

from ta_pipeline.errors import KubernetesError
from ta_pipeline.kubernetes.client import KubernetesApi
from ta_pipeline.kubernetes.resource import FlinkResource
from ta_pipeline.kubernetes.status import NOTHING_KEPT
from ta_pipeline.kubernetes.suspending import end
from tests.operator_statuses import found

Answer = Callable[["OneObject"], None]
REFUSED = json.dumps({
    "type": "org.apache.flink.kubernetes.operator.exception.UpgradeFailureException",
    "message": f"JobManager deployment is missing and HA metadata is not available. {NOTHING_KEPT}.",
})  # fmt: skip


@dataclass
class OneObject:
    """A FlinkDeployment, the warnings about it, and whoever answers a change of it.

    Attributes:
        content: of the object.
        answer: called after each change of the spec.
        events: of the namespace; None: they may not be read.
        asked: `spec.job` as it was asked for, each time.
    """

    content: dict[str, Any]
    answer: Answer
    events: list[dict[str, Any]] | None = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.content["status"]
        return found

    def apply(self, job: dict[str, Any]) -> None:
        self.content["spec"]["job"].update(job)
        self.content["metadata"]["generation"] += 1
        self.asked.append((job["state"], job["upgradeMode"]))
        self.answer(self)

    def warn(self, version: int) -> None:
        """The operator says, maybe again, that it has no state to keep."""
        self.events = [{
            "metadata": {"uid": "e", "resourceVersion": str(version)}, "type": "Warning", "reason": "UpgradeFailed",
            "message": NOTHING_KEPT, "lastTimestamp": datetime.now(UTC).isoformat(),
            "involvedObject": {"kind": "FlinkDeployment", "name": "torghut-ta"},
        }]  # fmt: skip

    def suspend(self) -> None:
        """The operator does as it was told."""
        record = {"spec": {"job": dict(self.content["spec"]["job"])}}
        self.status["reconciliationStatus"]["lastReconciledSpec"] = json.dumps(record)
        self.status["observedGeneration"] = self.content["metadata"]["generation"]
        self.status.pop("error", None)


def silent(_object: OneObject) -> None:
    """There is no operator."""


def refusing(one: OneObject) -> None:
    """An operator that has no record of a last state: it says so, and leaves the generation of its status as it is."""
    if one.asked[-1][1] == "stateless":
        one.suspend()
    else:
        one.status["error"] = REFUSED
        one.warn(9)


def troubled(one: OneObject) -> None:
    """An operator that could not do it this time, and will try again."""
    one.status["error"] = "Connection refused: torghut-ta-rest"


@contextmanager
def served(one: OneObject) -> Iterator[FlinkResource]:
    """The object on an API server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            lists = {"events": one.events, "pods": []}
            plural = self.path.partition("?")[0].rpartition("/")[2]
            if plural not in lists:
                self._answer(one.content)
            elif (items := lists[plural]) is None:
                self._answer({"kind": "Status", "message": "events is forbidden"}, 403)
            else:
                self._answer({"items": items})

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            one.apply(body["spec"]["job"])
            self._answer(one.content)

        def _answer(self, content: object, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        configuration = official.Configuration(host=f"http://127.0.0.1:{server.server_address[1]}")
        configuration.retries = False
        api = KubernetesApi(official.ApiClient(configuration), "torghut", refused_seconds=0.0)
        yield FlinkResource(api, "torghut-ta", 0.02)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ended(one: OneObject, seconds: float = 5.0) -> list[tuple[str, str]]:
    """End the job; what was asked for."""
    with served(one) as resource:
        end(resource, seconds, 0.0, lambda _text: None)
    return one.asked


KEPT, NOT_KEPT = ("suspended", "last-state"), ("suspended", "stateless")


@pytest.mark.parametrize("error", ["ImagePullBackOff: Back-off pulling image", REFUSED])
def test_an_error_of_last_week_and_a_silent_operator_are_no_reason_to_give_the_state_up(error: str) -> None:
    one = OneObject(found(error=error), silent)
    one.warn(1)
    with pytest.raises(KubernetesError, match=r"has not carried out generation 4 .* does it run.*: UpgradeFailed: "):
        ended(one, seconds=0.3)
    assert one.asked == [KEPT]


def test_an_operator_that_fails_otherwise_is_waited_for_and_the_state_is_kept() -> None:
    one = OneObject(found(), troubled)
    with pytest.raises(KubernetesError, match="Connection refused"):
        ended(one, seconds=0.3)
    assert one.asked == [KEPT]


@pytest.mark.parametrize("before", [None, "ImagePullBackOff: Back-off pulling image", REFUSED])
def test_an_operator_that_has_no_state_to_keep_is_asked_to_end_the_job_without(before: str | None) -> None:
    one = OneObject(found(error=before), refusing)
    one.warn(1)
    assert ended(one) == [KEPT, NOT_KEPT]


def events_that_cannot_be_read_any_more(one: OneObject) -> None:
    one.events = None


def events_that_can_be_read_again(one: OneObject) -> None:
    one.warn(1)


@pytest.mark.parametrize("answer", [events_that_cannot_be_read_any_more, events_that_can_be_read_again])
def test_events_that_cannot_be_read_at_times_cost_no_state(answer: Answer) -> None:
    one = OneObject(found(error=REFUSED), answer, events=None)
    if answer is events_that_cannot_be_read_any_more:
        one.warn(1)
    with pytest.raises(KubernetesError, match="does it run"):
        ended(one, seconds=0.3)
    assert one.asked == [KEPT]


def test_without_the_right_to_read_events_an_error_that_is_new_is_an_answer() -> None:
    def refusing_silently(one: OneObject) -> None:
        refusing(one)
        one.events = None

    assert ended(OneObject(found(), refusing_silently, events=None)) == [KEPT, NOT_KEPT]


def test_an_operator_that_does_it_is_asked_once() -> None:
    assert ended(OneObject(found(error=REFUSED), OneObject.suspend)) == [KEPT]
