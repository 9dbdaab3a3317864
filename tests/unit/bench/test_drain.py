from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ta_pipeline.bench import drain as bench_drain
from ta_pipeline.bench import steady as bench_steady
from ta_pipeline.bench.drain import drain
from ta_pipeline.bench.rest import BenchRest, Source
from ta_pipeline.bench.samples import Drain
from ta_pipeline.bench.shapes import LATENCY, SHIPPED, Shape
from ta_pipeline.bench.steady import measure
from ta_pipeline.errors import FlinkError, KafkaSetupError
from ta_pipeline.feed import FeedReport
from ta_pipeline.flink_answers import Checkpoints, Vertex
from ta_pipeline.settings import load_settings
from tests.unit.bench.test_results import run

SHAPE = Shape("made up", trades=200_000, symbols=10, per_bar=10, warm_up=300_000)


class Cluster:
    """A cluster whose job reads 10,000 trades a second on one core; REST is 2 s behind, as Flink is."""

    def __init__(self, *, stalls_at: float = 1e9, restarts_at: float = 1e9) -> None:
        self.now = 0.0
        self.cancelled = False
        self._stalls_at = stalls_at
        self._restarts_at = restarts_at

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def submit(self) -> str:
        return "job"

    def cancel(self) -> None:
        self.cancelled = True

    def source(self, _job_id: str) -> Source | None:
        return Source("path", "metric") if self.now > 3 else None

    def records_read(self, _source: Source) -> float:
        if self.now > self._restarts_at:
            return 0.0
        return 10_000 * min(self.now - self.now % 2, self._stalls_at)

    def gc_seconds(self) -> float:
        return 0.01 * self.now

    def exception(self, _job_id: str) -> str:
        return "it broke"

    def job(self, _job_id: str) -> Any:
        return SimpleNamespace(state="RESTARTING")

    def cpu_times(self) -> Any:
        return SimpleNamespace(user=0.75 * self.now, system=0.25 * self.now)

    def memory_info(self) -> Any:
        return SimpleNamespace(rss=2**30)


def drained(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> tuple[Drain, list[str]]:
    monkeypatch.setattr(bench_drain, "time", SimpleNamespace(sleep=cluster.sleep, monotonic=lambda: cluster.now))
    told: list[str] = []
    everything = cast(Any, cluster)
    found = drain(everything, everything, everything, shape=SHAPE, variant=SHIPPED, number=2, report=told.append)
    return found, told


def test_a_drain_is_sampled_when_its_figure_changes_and_cancelled_when_enough_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    found, told = drained(cluster, monkeypatch)
    assert (found.number, found.events, found.seconds) == (2, 200_000, 20.0)
    assert found.events_per_second == pytest.approx(10_000)
    assert found.cpu_us_per_event == pytest.approx(100)
    assert found.gc_share == pytest.approx(0.01)
    assert cluster.cancelled
    assert told[0] == "submitting"
    assert "10,000 events/s" in told[-1]


def test_a_job_that_was_restarted_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(restarts_at=20.0)
    with pytest.raises(FlinkError, match="made up, job as shipped: the job was restarted: it broke"):
        drained(cluster, monkeypatch)
    assert cluster.cancelled


def test_a_job_that_stands_still_is_given_up_with_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(stalls_at=20.0)
    with pytest.raises(FlinkError, match="nothing was read for 120 s, the job is RESTARTING: it broke"):
        drained(cluster, monkeypatch)
    assert cluster.cancelled


def test_the_source_of_trades_is_found_by_its_name_whether_or_not_its_operators_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rest = BenchRest("http://nowhere")
    vertex = Vertex("7", "Source: trades_log[1] -> Calc[2]", 1, "RUNNING", 0, 0, 0, 0)
    monkeypatch.setattr(rest, "vertices", lambda _job_id: [vertex])
    for named in ("Source__trades_log[1].numRecordsIn", "Source__trades_log_source.numRecordsIn"):
        metrics = [
            "numRecordsIn",
            "trades_log_deduplicate.numRecordsIn",
            "Source__trades_log_x.numRecordsInErrors",
            named,
        ]
        monkeypatch.setattr(rest, "_get", lambda _path, metrics=metrics: [{"id": name} for name in metrics])
        assert rest.source("job") == Source("/jobs/job/vertices/7/subtasks/metrics", named)
    monkeypatch.setattr(rest, "_get", lambda _path: [])
    assert rest.source("job") is None


class Market:
    """A generator that sends 30 messages while the job is measured, or fails at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self._fails = fails
        monkeypatch.setattr(bench_steady, "SETTLE_SECONDS", 0.0)
        monkeypatch.setattr(bench_steady, "send", self.send)
        monkeypatch.setattr(bench_steady, "probe", self.probe)

    def send(self, _settings: Any, _messages: Any, *, stop: Any, progress: Any) -> FeedReport:
        self.progress = progress
        if self._fails:
            raise KafkaSetupError("the broker is gone")
        assert stop.wait(30)
        return FeedReport({}, 1.0, 0.0, 0.0, 0.0)

    def probe(self, _settings: Any, _seconds: float, *, stop: Any, progress: Any) -> Any:
        if self._fails:
            assert stop.wait(30)
        self.progress(30, 1.0)
        progress(1.0, 5)
        return run().seen


def steady(cluster: Cluster) -> Any:
    everything = cast(Any, cluster)
    everything.vertices = lambda _job_id: []
    everything.checkpoints = lambda _job_id: Checkpoints(1, 0, 0, None, None, None, None)
    return measure(
        LATENCY, load_settings(), 1.0, rest=everything, job_id="job", task_manager=everything, report=lambda _text: None
    )


def test_a_steady_market_is_ended_when_it_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    Market(monkeypatch)
    found = steady(Cluster())
    assert found.sent_per_second > 0
    assert (found.memory_bytes, found.backpressured) == (2**30, 0.0)


def test_a_generator_that_fails_ends_the_measurement_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Market(monkeypatch, fails=True)
    with pytest.raises(KafkaSetupError, match="the broker is gone"):
        steady(Cluster())
