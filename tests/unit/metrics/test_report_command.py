"""`ta report` beside what a person, or Prometheus, may say: text is shown as it is, and a refusal is no traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ta_pipeline.cli import app
from tests.answers import answering_by_path

NAMES = '{"status":"success","data":["up","ta_session_open"]}'
NOTHING = '{"status":"success","data":{"result":[]}}'


def targets(error: str) -> str:
    one = {"labels": {"job": "probe"}, "scrapeUrl": "http://probe/metrics", "lastError": error}
    return json.dumps({"status": "success", "data": {"activeTargets": [one]}})


def report(url: str, out: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["report", "--url", url, "--out", str(out), *more], env={"COLUMNS": "400"})


@pytest.fixture
def empty() -> Iterator[str]:
    """A Prometheus that has a name and no values."""
    with answering_by_path(200, NOTHING, {"values": (200, NAMES), "targets": (200, targets(""))}) as url:
        yield url


@pytest.mark.parametrize("namespace", ["[/x]", "[a-z]+", "[red]", "^a$|^b$", r"^a\q$|^b\q$", r"[a\\]"])
def test_a_namespace_is_shown_as_it_was_given(empty: str, tmp_path: Path, namespace: str) -> None:
    done = report(empty, tmp_path, "--namespace", namespace)
    assert done.exception is None
    assert f"for namespace {namespace!r} and job" in done.stdout
    page = (tmp_path / "report.md").read_text(encoding="utf-8").replace("\\|", "|")
    assert f"for namespace {namespace!r} and job" in page


def test_what_an_endpoint_says_is_shown_as_it_is(tmp_path: Path) -> None:
    said = "dial [::1]:80 [/red] failed"
    with answering_by_path(200, NOTHING, {"values": (200, NAMES), "targets": (200, targets(said))}) as url:
        done = report(url, tmp_path)
    assert done.exception is None
    assert f"is not scraped: {said}" in done.stdout


def test_what_prometheus_refuses_is_shown_as_it_is(tmp_path: Path) -> None:
    said = '{"status":"error","errorType":"bad_data","error":"no [/x] here"}'
    with answering_by_path(400, said, {"values": (200, NAMES), "targets": (200, targets(""))}) as url:
        done = report(url, tmp_path, "--namespace", "[/x]")
    assert done.exit_code == 1
    assert "bad_data: no [/x] here" in done.stderr


@pytest.mark.parametrize(("status", "body"), [(400, "no"), (403, "<html>"), (404, "404 page not found"), (200, "{}")])
def test_a_report_is_made_also_where_nobody_says_what_is_scraped(tmp_path: Path, status: int, body: str) -> None:
    with answering_by_path(200, NOTHING, {"values": (200, NAMES), "targets": (status, body)}) as url:
        done = report(url, tmp_path)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Which endpoints are scraped is not known" in page
    assert f"/api/v1/targets (status {status})" in page


def test_a_page_says_nothing_of_endpoints_where_they_are_known(empty: str, tmp_path: Path) -> None:
    report(empty, tmp_path)
    assert "Which endpoints" not in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_folder_that_is_a_file_is_refused_with_what_to_give(empty: str, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    done = report(empty, tmp_path / out)
    assert done.exit_code == 1
    assert f"--out '{tmp_path / out}' is not allowed: nothing can be written there" in done.stderr
    assert "give a folder" in done.stderr


def test_a_url_without_its_end_is_refused_without_its_password(tmp_path: Path) -> None:
    done = report("http://u:s3cret@[::1", tmp_path)
    assert done.exit_code == 1
    assert "http://[::1 cannot be reached" in done.stderr
    assert "s3cret" not in done.output
