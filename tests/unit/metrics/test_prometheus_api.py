"""What a person is told when Prometheus does not answer, or something else does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ta_pipeline.errors import PrometheusError, PrometheusNoAnswerError
from ta_pipeline.local.ports import free_port
from ta_pipeline.metrics.prometheus import Prometheus
from ta_pipeline.metrics.span import Span

SPAN = Span(0.0, 10.0, 5.0)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """The URL of a server that gives the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_where_nothing_answers_the_url_is_named_and_what_to_do_but_no_password() -> None:
    port = free_port()
    with pytest.raises(PrometheusNoAnswerError) as caught:
        Prometheus(f"http://user:secret@127.0.0.1:{port}/prometheus").names(SPAN)
    assert f"http://127.0.0.1:{port}/prometheus cannot be reached (Connection refused)" in str(caught.value)
    assert "`ta prometheus`" in str(caught.value)
    assert "--url" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(PrometheusNoAnswerError, match="Prometheus at nonsense cannot be reached"):
        Prometheus("nonsense").names(SPAN)


@pytest.mark.parametrize(("status", "body"), [(200, "<html>Grafana</html>"), (404, "not found"), (200, "[]")])
def test_what_is_not_prometheus_is_told_from_it(status: int, body: str) -> None:
    with answering(status, body) as url, pytest.raises(PrometheusError, match="is not Prometheus: --url takes"):
        Prometheus(url).names(SPAN)


def test_a_refused_query_says_why() -> None:
    body = '{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}'
    with answering(400, body) as url, pytest.raises(PrometheusError, match=r"refused .*max\(.*parse error"):
        Prometheus(url).range("max(", SPAN)


def test_series_come_with_labels_and_numbers() -> None:
    body = '{"status":"success","data":{"result":[{"metric":{"a":"b"},"values":[[1.5,"2"],[2.5,"NaN"],[3.5,"+Inf"]]}]}}'
    with answering(200, body) as url:
        (series,) = Prometheus(url).range("a", SPAN)
    assert series.labels == {"a": "b"}
    assert [str(value) for _, value in series.points] == ["2.0", "nan", "inf"]


def test_what_scrapes_nothing_itself_has_no_targets() -> None:
    with answering(404, "404 page not found") as url:
        assert Prometheus(url).targets() == []
