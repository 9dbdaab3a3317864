from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from ta_pipeline.errors import MonitoringError
from ta_pipeline.monitoring import channels
from ta_pipeline.monitoring.channels import Webhook, tell
from ta_pipeline.monitoring.incidents import IncidentState, advance
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.settings import load_settings
from tests.status import NOW_MS

TOKEN = "the-secret-part"  # noqa: S105 - of a server that lives for a second
LOG = logging.getLogger("ta.test")


@dataclass
class Receiver:
    """A server that takes alerts; `statuses` are answered first, in their order."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    delay_seconds: float = 0.0
    posted: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0


@contextmanager
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    hold = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.requests += 1
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if found.delay_seconds:
                hold.wait(found.delay_seconds)
            status = found.statuses.pop(0) if found.statuses else 200
            if status == 200:
                assert self.headers["Content-Type"] == "application/json"
                found.posted.append(orjson.loads(content))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/{TOKEN}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            hold.set()
            server.shutdown()
            thread.join()


def webhook(url: str) -> Webhook:
    return Webhook(load_settings(alert_webhook_url=url))


def incident(state: IncidentState | None = None, now_ms: int = NOW_MS) -> tuple[IncidentState, Any]:
    return advance(state or IncidentState(), [Verdict("job_state", "bad", "no job runs", ticks=1)], now_ms)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PAUSE_SECONDS", 0.0)


def test_an_alert_is_posted_as_json_and_leaves_the_outbox(caplog: pytest.LogCaptureFixture) -> None:
    state, alerts = incident()
    with receiver() as server, caplog.at_level(logging.INFO):
        assert tell(state, alerts, webhook(server.url), LOG).outbox == ()
    (posted,) = server.posted
    assert (posted["kind"], posted["name"], posted["text"]) == (
        "opened", "job_state", "[torghut-ta] job_state is bad: no job runs",
    )  # fmt: skip
    assert [record.getMessage() for record in caplog.records] == ["opened: job_state is bad: no job runs"]


def test_without_a_webhook_an_alert_is_logged_and_done(caplog: pytest.LogCaptureFixture) -> None:
    state, alerts = incident()
    with caplog.at_level(logging.INFO):
        assert tell(state, alerts, webhook(""), LOG).outbox == ()
    assert caplog.records[0].levelname == "ERROR"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_once_more_in_the_same_tick(status: int) -> None:
    state, alerts = incident()
    with receiver() as server:
        server.statuses = [status]
        assert tell(state, alerts, webhook(server.url), LOG).outbox == ()
    assert (server.requests, len(server.posted)) == (2, 1)


def test_a_refusal_is_not_repeated_in_the_same_tick() -> None:
    state, alerts = incident()
    with receiver() as server:
        server.statuses = [403]
        assert len(tell(state, alerts, webhook(server.url), LOG).outbox) == 1
    assert server.requests == 1


def test_an_alert_that_was_not_taken_is_sent_again_at_the_next_tick(caplog: pytest.LogCaptureFixture) -> None:
    state, alerts = incident()
    with receiver() as server, caplog.at_level(logging.INFO):
        server.statuses = [500, 500]
        state = tell(state, alerts, webhook(server.url), LOG)
        assert len(state.outbox) == 1
        assert any("did not take alert" in record.getMessage() for record in caplog.records)
        state, alerts = incident(state, NOW_MS + 30_000)
        assert alerts == []
        assert tell(state, alerts, webhook(server.url), LOG).outbox == ()
    assert [posted["kind"] for posted in server.posted] == ["opened"]


def test_alerts_arrive_in_their_order_or_wait_together() -> None:
    state, _ = incident()
    well = [Verdict("job_state", "ok", "it runs")]
    for number in (1, 2):
        state, alerts = advance(state, well, NOW_MS + number * 30_000)
    with receiver() as server:
        server.statuses = [500, 500]
        state = tell(state, alerts, webhook(server.url), LOG)
        assert server.posted == []
        assert tell(state, [], webhook(server.url), LOG).outbox == ()
    assert [posted["kind"] for posted in server.posted] == ["opened", "resolved"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/the-secret-part", "not a url/the-secret-part"])
def test_a_webhook_that_is_not_there_breaks_nothing_and_its_url_is_told_to_nobody(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    state, alerts = incident()
    with caplog.at_level(logging.INFO):
        assert len(tell(state, alerts, webhook(url), LOG).outbox) == 1
    assert TOKEN not in caplog.text
    with pytest.raises(MonitoringError) as raised:
        webhook(url).deliver(alerts[0])
    assert TOKEN not in str(raised.value)


def test_a_webhook_that_hangs_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.1)
    state, alerts = incident()
    with receiver() as server:
        server.delay_seconds = 5.0
        assert len(tell(state, alerts, webhook(server.url), LOG).outbox) == 1
