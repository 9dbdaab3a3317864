"""The job under a steady market: latency as a reader sees it, CPU, checkpoints, backpressure.

The market has no end, so its rate is the same all the time once the burst at its open is over.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from ta_pipeline.bench.rest import BenchRest
from ta_pipeline.bench.results import Run
from ta_pipeline.bench.shapes import Report, Steady
from ta_pipeline.feed import send, simulated
from ta_pipeline.flink_answers import Vertex
from ta_pipeline.probe import probe
from ta_pipeline.settings import Settings
from ta_pipeline.simulator import Market

SETTLE_SECONDS = 30.0
_TELL_SECONDS = 1.0


class _Watched:
    """What is looked at while the reader reads: messages sent, and the TaskManager's highest memory."""

    def __init__(self, steady: Steady, process: psutil.Process, report: Report) -> None:
        self.sent = 0
        self.memory_bytes = 0
        self._steady = steady
        self._process = process
        self._report = report
        self._told, self._told_sent = time.monotonic(), 0

    def feeding(self, sent: int, _seconds: float) -> None:
        """The generator's progress; comes from its thread."""
        self.sent = sent

    def tell(self, phase: str, passed: float, everything: float) -> None:
        """Look, and report; does nothing within a second of the last time."""
        now, sent = time.monotonic(), self.sent
        if now - self._told < _TELL_SECONDS:
            return
        rate = (sent - self._told_sent) / (now - self._told)
        self._told, self._told_sent = now, sent
        self.memory_bytes = max(self.memory_bytes, int(self._process.memory_info().rss))
        self._report(f"{self._steady.name}: {phase}, {passed:.0f} of {everything:.0f} s, {rate:,.0f} messages/s")


def measure(
    steady: Steady,
    settings: Settings,
    seconds: float,
    *,
    rest: BenchRest,
    job_id: str,
    task_manager: psutil.Process,
    report: Report,
) -> Run:
    """Feed a running job, let it settle, and measure for `seconds`.

    Raises:
        KafkaSetupError: the broker did not take the market.
        FlinkError: Flink did not answer.
    """
    watched = _Watched(steady, task_manager, report)
    market = simulated(Market(steady.symbols, steady.rate, None), settings)
    stop, ended = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(send, settings, market, stop=stop, progress=watched.feeding)
        feeding.add_done_callback(lambda _feeding: ended.set())
        try:
            settling = time.monotonic()
            while not ended.is_set() and (passed := time.monotonic() - settling) < SETTLE_SECONDS:
                watched.tell("settling", passed, SETTLE_SECONDS)
                ended.wait(_TELL_SECONDS / 4)
            before, cpu, sent, begun = rest.vertices(job_id), _cpu_seconds(task_manager), watched.sent, time.monotonic()
            # A generator that fails ends the reading too; its error comes with its result.
            seen = probe(
                settings, seconds, stop=ended, progress=lambda passed, _: watched.tell("measuring", passed, seconds)
            )
            passed = time.monotonic() - begun
            cpu_cores, rate = (_cpu_seconds(task_manager) - cpu) / passed, (watched.sent - sent) / passed
            share, task = held_back(before, rest.vertices(job_id), passed)
        finally:
            stop.set()
        fed = feeding.result()
    memory = max(watched.memory_bytes, int(task_manager.memory_info().rss))
    return Run(steady, rate, fed, seen, rest.checkpoints(job_id), cpu_cores, memory, share, task)


def held_back(before: list[Vertex], after: list[Vertex], seconds: float) -> tuple[float, str]:
    """Share of the time that the most backpressured task was held back by the next, and its name."""
    known = {vertex.id: vertex.backpressured_ms for vertex in before}
    shares = [
        ((vertex.backpressured_ms - known.get(vertex.id, 0)) / (seconds * 1_000 * vertex.parallelism), vertex.name)
        for vertex in after
    ]
    share, name = max(shares, default=(0.0, ""))
    return share, name.split(" -> ")[0]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
