"""The dashboard's expressions on the running platform: a real Prometheus scrapes it, and each of them is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from ta_pipeline.feed import send as feed
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.prometheus import prometheus_command, prometheus_url
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics.catalog import job_label, metric
from ta_pipeline.metrics.panels import ROWS
from ta_pipeline.metrics.picture import verdict
from ta_pipeline.metrics.prometheus import Prometheus
from ta_pipeline.metrics.readings import Asked, Reading
from ta_pipeline.metrics.report import PAGE, PICTURE, write_report
from ta_pipeline.metrics.span import span_until
from ta_pipeline.settings import Settings
from tests.jobs import beside, on_time, running_job, running_table_job, simulated
from tests.promtool import tool
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.more, pytest.mark.timeout(600, func_only=True)]

MARKET_SECONDS = 900.0
SCRAPED_SECONDS = 240.0
OF_PROMETHEUS = {"up", "ALERTS"}
OF_DAGSTER = {"ta_dagster_heartbeat_timestamp_seconds", "ta_verdict_bad"}
"""Told by its sensor, which does not run here."""


@dataclass(frozen=True)
class Scraped:
    """A running platform, and the Prometheus that scrapes it."""

    settings: Settings
    prometheus: Prometheus

    def asked(self) -> Asked:
        return Asked(span_until(time.time(), 300), ".*", job_label(self.settings.k8s_deployment))


@pytest.fixture(scope="module")
def scraped(stack: RunningStack) -> Iterator[Scraped]:
    tool("prometheus")
    # The topics of the stack: its own probe reads them.
    settings = stack.settings.model_copy(update={"checkpoint_interval_ms": 2_000})
    market = simulated(symbols=5, rate=200, seconds=MARKET_SECONDS, seed=7, start=time.time() + 20)

    def send(stop: threading.Event) -> None:
        feed(settings, on_time(market, settings), stop=stop)

    with (
        subprocess.Popen(prometheus_command(stack.local)) as process,
        running_job(stack, settings),
        running_table_job(stack, settings),
        beside(send),
    ):
        try:
            url = prometheus_url(stack.local)
            wait_for("Prometheus is ready", lambda: _is_ready(url), 60)
            yield Scraped(settings, Prometheus(url))
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False


def _unexplained(readings: list[Reading]) -> dict[str, str]:
    """Panels that are empty, though their metrics should be there."""
    found = {}
    for reading in readings:
        names = reading.panel.names() - OF_PROMETHEUS
        waits = [name for name in names if name in OF_DAGSTER or metric(name).needs.startswith("the first one")]
        if reading.is_missing and not waits:
            found[reading.panel.title] = reading.why_empty
    return found


def test_every_panel_of_the_report_has_data_or_waits_for_its_first_event(scraped: Scraped, tmp_path: Path) -> None:
    readings: list[Reading] = []

    def all_there() -> bool:
        readings[:] = write_report(scraped.prometheus, scraped.asked(), tmp_path)
        return not _unexplained(readings)

    deadline = time.monotonic() + SCRAPED_SECONDS
    while not all_there():
        assert time.monotonic() < deadline, _unexplained(readings)
        time.sleep(5)
    by_title = {reading.panel.title: reading for reading in readings}
    assert verdict(by_title["Job"]) == "running"
    assert by_title["Jobs and TaskManagers"].values
    lines = {line.name for line in by_title["In: records that were used"].values}
    assert lines >= {"trades", "quotes"}
    assert (tmp_path / PICTURE).stat().st_size > 50_000
    assert "![All panels](report.png)" in (tmp_path / PAGE).read_text(encoding="utf-8")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started is told of Ctrl-C, although the tests may run in a shell's background, which is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_command_ends_with_ctrl_c_and_leaves_no_process(tmp_path: Path) -> None:
    tool("prometheus")
    port = free_port()
    own = {**os.environ, "TA_LOCAL_DIR": str(tmp_path), "TA_LOCAL_PROMETHEUS_PORT": str(port)}
    command = [sys.executable, "-c", "from ta_pipeline.cli import main; main()", "prometheus"]
    with subprocess.Popen(command, cwd=REPOSITORY, env=own, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for("Prometheus is ready", lambda: _is_ready(f"http://127.0.0.1:{port}"), 90)
            started = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            told, _ = process.communicate(timeout=60)
        finally:
            process.terminate()
    assert process.returncode == 0
    assert f"Prometheus: http://127.0.0.1:{port}" in told
    assert started
    assert not [one for one in started if one.is_running()]


def test_each_expression_is_taken_by_prometheus_and_gives_no_two_lines_of_one_name(scraped: Scraped) -> None:
    asked = scraped.asked()
    doubled = {}
    for query in (query for row in ROWS for panel in row.panels for query in panel.queries):
        series = scraped.prometheus.range(asked.filled(query.expr), asked.span)
        if "{{" not in query.legend and len(series) > 1:
            doubled[query.expr] = [dict(one.labels) for one in series]
    assert doubled == {}


def test_a_report_about_a_job_that_is_not_there_says_that_its_metrics_are_of_another(
    scraped: Scraped, tmp_path: Path
) -> None:
    asked = Asked(span_until(time.time(), 300), ".*", "no_such_job")
    readings = {one.panel.title: one for one in write_report(scraped.prometheus, asked, tmp_path)}
    age = readings["Checkpoint duration"]
    assert not age.values
    assert "job 'no_such_job'" in age.why_empty
