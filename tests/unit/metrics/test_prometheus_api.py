"""What a person is told when Prometheus does not answer, or something else does."""

from __future__ import annotations

import re

import pytest

from ta_pipeline.errors import PrometheusError, PrometheusNoAnswerError
from ta_pipeline.local.ports import free_port
from ta_pipeline.metrics.prometheus import Prometheus
from ta_pipeline.metrics.span import Span
from tests.answers import answering_by_path

SPAN = Span(0.0, 10.0, 5.0)


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
    with (
        answering_by_path(status, body) as url,
        pytest.raises(PrometheusError, match=r"is not Prometheus, .*: --url takes"),
    ):
        Prometheus(url).names(SPAN)


def test_a_refused_query_says_why() -> None:
    body = '{"status":"error","errorType":"bad_data","error":"parse error: unexpected end of input"}'
    with answering_by_path(400, body) as url, pytest.raises(PrometheusError, match=r"refused .*max\(.*parse error"):
        Prometheus(url).range("max(", SPAN)


def test_series_come_with_labels_and_numbers() -> None:
    body = '{"status":"success","data":{"result":[{"metric":{"a":"b"},"values":[[1.5,"2"],[2.5,"NaN"],[3.5,"+Inf"]]}]}}'
    with answering_by_path(200, body) as url:
        (series,) = Prometheus(url).range("a", SPAN)
    assert series.labels == {"a": "b"}
    assert [str(value) for _, value in series.points] == ["2.0", "nan", "inf"]


def test_what_scrapes_nothing_itself_says_so() -> None:
    with (
        answering_by_path(404, "404 page not found") as url,
        pytest.raises(PrometheusError, match=r"targets \(status 404\)"),
    ):
        Prometheus(url).targets()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://bob:s3c/ret@host", "https://host"),
        ("https://bob:s3c?ret@host/prom", "https://host/prom"),
        ("https://bob:s3c#ret@host", "https://host"),
        ("https://bob:s3c@ret@host:9090/x", "https://host:9090/x"),
        ("bob:s3c/ret@host", "host"),
        ("https://bob:s3c%2Fret@host/", "https://host"),
        ("http://u:s3cret@[::1", "http://[::1"),
        ("https://host/prom?token=s3cret", "https://host/prom"),
        ("https://host/prom#s3cret", "https://host/prom"),
    ],
)
def test_no_error_shows_a_password_however_it_is_written(url: str, place: str) -> None:
    with pytest.raises(PrometheusError) as caught:
        Prometheus(url, timeout_seconds=0.01).names(SPAN)
    assert f" {place} " in str(caught.value)
    assert not [part for part in ("s3c", "ret", "bob") if part in str(caught.value)]
    assert "--url" in str(caught.value) or "did not answer" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://bob:s3c/ret@host", "write / as %2F"),
        ("https://host/prom?x=1", "takes http:// or https://, a host, and the path"),
        ("http://u:p@[::1", "as this is no URL .*: --url takes http:// or https://"),
        ("nonsense", "as this is no URL .*: --url takes http:// or https://"),
    ],
)
def test_a_url_that_cannot_be_one_of_prometheus_says_what_is_allowed(url: str, wanted: str) -> None:
    with pytest.raises(PrometheusError, match=wanted):
        Prometheus(url).names(SPAN)


@pytest.mark.parametrize(
    "data", ["null", "[]", "{}", "7", '{"result":null}', '{"result":[7]}', '{"result":[{"metric":{},"values":null}]}']
)
def test_a_success_without_what_was_asked_for_is_told_with_what_came(data: str) -> None:
    wanted = re.escape(f"says success, but its data is not what Prometheus' is: {data[:20]}").replace(":", ": ?")
    with (
        answering_by_path(200, f'{{"status":"success","data":{data}}}') as url,
        pytest.raises(PrometheusError) as caught,
    ):
        Prometheus(url).range("a", SPAN)
    assert re.search(wanted, str(caught.value).replace('": ', '":')), str(caught.value)


@pytest.mark.parametrize("data", ["null", '{"activeTargets":null}', '{"activeTargets":[{"labels":null}]}'])
def test_neither_names_nor_targets_are_made_of_nothing(data: str) -> None:
    with answering_by_path(200, f'{{"status":"success","data":{data}}}') as url:
        with pytest.raises(PrometheusError, match="says success, but"):
            Prometheus(url).targets()
        if data == "null":
            with pytest.raises(PrometheusError, match=r"says success, but its data .*: null"):
                Prometheus(url).names(SPAN)
