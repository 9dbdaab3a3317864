"""A real Prometheus with the platform's rules beside the stack: what is ended is told, and over when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass

import pytest
import requests

from ta_pipeline.feed import send as feed
from ta_pipeline.metrics.catalog import METRICS
from ta_pipeline.metrics.selectors import Scope
from ta_pipeline.monitoring.judge import QUESTIONS
from ta_pipeline.probe_server import ProbeServer
from ta_pipeline.settings import Settings
from tests.jobs import beside, on_time, running_job, running_table_job, simulated
from tests.outages import held_down
from tests.prometheus import RunningPrometheus, running_prometheus
from tests.proofs import Say
from tests.stack import RunningStack

pytestmark = [pytest.mark.more, pytest.mark.timeout(900, func_only=True)]

SETTINGS = {
    "checkpoint_interval_ms": 2_000, "clickhouse_flush_ms": 250, "clickhouse_max_retries": 1,
    "clickhouse_breaker_wait_seconds": 2, "clickhouse_conn_timeout_seconds": 2,
}  # fmt: skip
SLOW = {
    "TaLiveLatency", "TaFinalLatency", "TaGaps", "TaWatermarkLag", "TaBackpressure", "TaFinalDuplicates",
    "TaSinkTransactionsFailed",
}  # fmt: skip
"""What a busy machine makes true, and what is remembered for minutes: after a restart Flink commits once more what is
committed already, is refused, and counts that."""
NOT_HAPPENED = ("ta_rejected", "ta_late", "ta_late_published", "ta_revisions", "ta_probe_undecodable_total")
"""What a market without faults has no reason to count."""
WELL_SECONDS, TOLD_SECONDS = 240.0, 300.0


@dataclass(frozen=True)
class Watched:
    """The stack with both jobs under a market, and Prometheus."""

    stack: RunningStack
    settings: Settings
    prometheus: RunningPrometheus

    def await_firing(self, what: str, holds: Callable[[Set[str]], bool], seconds: float = TOLD_SECONDS) -> float:
        """Wait for a state of the alerts; returns how long that took."""
        begin = time.monotonic()
        while not holds(firing := self.prometheus.firing()):
            assert time.monotonic() - begin < seconds, f"not within {seconds:g} s: {what}; firing: {sorted(firing)}"
            time.sleep(0.5)
        return time.monotonic() - begin

    def await_well(self) -> float:
        return self.await_firing("nothing is wrong", lambda firing: not firing - SLOW, WELL_SECONDS)


@pytest.fixture(scope="module")
def watched(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    settings = stack.own_settings(**SETTINGS)
    server = ProbeServer(settings, "127.0.0.1:0")
    market = simulated(symbols=5, rate=200, seconds=900, seed=7, start=time.time() + 20)

    def send(stop: threading.Event) -> None:
        feed(settings, on_time(market, settings), stop=stop)

    def tick(stop: threading.Event) -> None:
        # As Dagster's sensor does, which is not a part of the stack.
        body = {"verdicts": dict.fromkeys(QUESTIONS, False), "job_wanted": True}
        while not stop.wait(5):
            with suppress(requests.RequestException):
                requests.post(f"{server.url}/heartbeat", json=body, timeout=10)

    scope = Scope(job=settings.k8s_deployment)
    with (
        beside(server.run),
        beside(tick),
        running_job(stack, settings),
        running_table_job(stack, settings),
        beside(send),
        running_prometheus(tmp_path_factory.mktemp("prometheus"), stack.local, scope, server.url) as prometheus,
    ):
        yield Watched(stack, settings, prometheus)
    stack.await_ready()


def test_of_a_platform_that_runs_every_metric_is_there_and_nothing_is_told(watched: Watched, say: Say) -> None:
    wanted = {one for one in METRICS if not one.name.endswith(NOT_HAPPENED)}

    def missing() -> set[str]:
        query = watched.prometheus.query
        return {one.name for one in wanted if not query(one.name + ("_bucket" if one.kind == "histogram" else ""))}

    deadline = time.monotonic() + WELL_SECONDS
    while left := missing():
        assert time.monotonic() < deadline, left
        time.sleep(2)
    # By now Prometheus has looked at everything: that nothing fires means something.
    say(f"Prometheus: nothing fires {watched.await_well():.0f} s after every metric was there")


@pytest.mark.parametrize(
    ("component", "alert"), [("clickhouse", "TaClickHouseBreakerOpen"), ("taskmanager", "TaTaskManagerMissing")]
)
def test_a_component_that_is_ended_is_told_and_over_when_it_is_back(
    watched: Watched, say: Say, component: str, alert: str
) -> None:
    watched.await_well()
    with held_down(watched.stack, component):
        told = watched.await_firing(f"{alert} fires", lambda firing: alert in firing)
    watched.stack.await_ready(120, only=component)
    over = watched.await_firing(f"{alert} is over", lambda firing: alert not in firing)
    say(f"{component} ended: {alert} fired after {told:.0f} s, and was over {over:.0f} s after it was ready")
    watched.await_well()
