"""`ta bench`: drain rate, CPU per event and latency, side by side on the running stack.

Drain: a backlog is written to a topic of its own, then each variant reads it from the start, on the same TaskManager,
one after the other, several rounds; the first round warms up and is not reported. The rate is taken from the first
sample to the last record of the source; CPU is that of the TaskManager's process over the same time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson
import psutil
import requests
from confluent_kafka import Producer

from ta_pipeline.envelope import rfc3339, wrap
from ta_pipeline.errors import FlinkError
from ta_pipeline.feed import FeedReport, send, simulated
from ta_pipeline.flink_answers import Checkpoints
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.settings import variables
from ta_pipeline.local.stack import Stack
from ta_pipeline.probe import probe
from ta_pipeline.probe_report import ProbeReport
from ta_pipeline.settings import Settings, load_settings
from ta_pipeline.simulator import Market

PREFIX = "bench"
SAMPLE_SECONDS = 1.0
DRAIN_TIMEOUT_SECONDS = 600.0
SETTLE_SECONDS = 30.0
Report = Callable[[str], None]


@dataclass(frozen=True)
class Shape:
    """A backlog: trades in all, symbols, trades of one symbol in one second."""

    name: str
    trades: int
    symbols: int
    per_bar: int


DENSE = Shape("dense", 2_000_000, 50, 100)
SPARSE = Shape("sparse", 200_000, 50, 10)
VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "job as shipped": ("flink/job.py", ()),
    "windows without Python": ("flink/benchmarks.py", ("floor",)),
    "Python for each tick": ("flink/benchmarks.py", ("per_tick",)),
}


@dataclass(frozen=True)
class Drain:
    """One round of one variant."""

    variant: str
    events_per_second: float
    cpu_us_per_event: float
    memory_bytes: int


@dataclass(frozen=True)
class Run:
    """The job under a steady market."""

    rate: float
    symbols: int
    fed: FeedReport
    seen: ProbeReport
    checkpoints: Checkpoints
    cpu_cores: float
    """Of the TaskManager, average."""
    memory_bytes: int
    backpressured: float
    """Share of the time that the most backpressured task was held back."""


class Bench:
    """Measures on one running stack."""

    def __init__(self, stack: Stack, report: Report) -> None:
        self._stack = stack
        self._report = report
        self._base = load_settings(
            **{name.removeprefix("TA_").lower(): value for name, value in stack.environment().items()}
        )
        self._rest = FlinkRest(self._base.flink_rest_url)

    def drain(self, shape: Shape, rounds: int) -> list[Drain]:
        """Every variant on one backlog, `rounds` times each after one to warm up."""
        settings = self._settings(shape.name, startup_mode="earliest", clock_topic=f"{PREFIX}.{shape.name}.clock")
        self._report(f"{shape.name}: writing {shape.trades:,} trades")
        write_backlog(settings, shape)
        found: list[Drain] = []
        for number in range(rounds + 1):
            for variant in VARIANTS:
                self._report(f"{shape.name}: {variant}, {f'round {number}' if number else 'warming up'}")
                drained = self._drain(settings, shape, variant)
                if number:
                    found.append(drained)
        return found

    def run(self, rate: float, symbols: int, seconds: float) -> Run:
        """The job under a simulated market, measured after it has settled."""
        settings = self._settings(f"{rate:g}")
        runtime = self._runtime(settings, "flink/job.py", ())
        self._report(f"{rate:g} messages a second: starting the job")
        deployment = runtime.deploy()
        try:
            market = Market(symbols, rate, SETTLE_SECONDS + seconds)
            with ThreadPoolExecutor() as pool:
                fed = pool.submit(send, settings, simulated(market, settings))
                self._report(f"{rate:g} messages a second: settling for {SETTLE_SECONDS:g} s")
                time.sleep(SETTLE_SECONDS)
                self._report(f"{rate:g} messages a second: measuring for {seconds:g} s")
                process, before = self._task_manager(), self._busy(deployment.job_id)
                cpu, begun = _cpu_seconds(process), time.monotonic()
                seen = probe(settings, seconds)
                passed = time.monotonic() - begun
                after = self._busy(deployment.job_id)
                share = max(((after[name] - before.get(name, 0)) / (passed * 1_000) for name in after), default=0.0)
                return Run(
                    rate, symbols, fed.result(), seen, self._rest.checkpoints(deployment.job_id),
                    (_cpu_seconds(process) - cpu) / passed, process.memory_info().rss, share,
                )  # fmt: skip
        finally:
            runtime.cancel()

    def _drain(self, settings: Settings, shape: Shape, variant: str) -> Drain:
        program, arguments = VARIANTS[variant]
        # A group of its own each time: every round starts at the beginning.
        runtime = self._runtime(settings, program, arguments)
        process = self._task_manager()
        job_id = runtime.submit()
        samples: list[tuple[float, float, float]] = []
        deadline = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        try:
            while not samples or samples[-1][1] < shape.trades:
                if time.monotonic() > deadline:
                    raise FlinkError(f"{variant} did not drain {shape.name} in {DRAIN_TIMEOUT_SECONDS:g} s")
                time.sleep(SAMPLE_SECONDS)
                read = self._records_read(job_id)
                if read > 0:
                    samples.append((time.monotonic(), read, _cpu_seconds(process)))
        finally:
            runtime.cancel()
        (begun, first, cpu_first), (ended, last, cpu_last) = samples[0], samples[-1]
        if len(samples) < 2:
            raise FlinkError(f"{shape.name} was drained within one sample of {SAMPLE_SECONDS:g} s; take a larger one")
        events = last - first
        return Drain(
            variant, events / (ended - begun), (cpu_last - cpu_first) / events * 1e6, process.memory_info().rss
        )

    def _settings(self, name: str, **overrides: str) -> Settings:
        token = f"{PREFIX}-{name}-{time.time_ns()}"
        renamed = {
            field: f"{token}.{value}"
            for field, value in self._base.model_dump().items()
            if field.endswith("_topic") and value and field != "clock_topic"
        }
        settings = load_settings(
            **{
                **self._base.model_dump(),
                **renamed,
                "group_id": token,
                "transactional_id_prefix": token,
                "k8s_deployment": f"{PREFIX}-{name}",
                **overrides,
            }
        )
        ensure_topics(settings)
        return settings

    def _runtime(self, settings: Settings, program: str, arguments: tuple[str, ...]) -> LocalRuntime:
        return LocalRuntime(
            settings, variables(settings), program=program, arguments=arguments, local=self._stack.local
        )

    def _task_manager(self) -> psutil.Process:
        (status,) = [line for line in self._stack.status() if line.name == "taskmanager"]
        process = psutil.Process(status.pid or 0)
        return max([process, *process.children(recursive=True)], key=lambda one: int(one.memory_info().rss))

    def _records_read(self, job_id: str) -> float:
        text = requests.get(f"http://{LOOPBACK}:{self._stack.local.taskmanager_metrics_port}/metrics", timeout=10).text
        pattern = re.compile(
            r"^flink_taskmanager_job_task_operator_numRecordsIn\{.*operator_name=\"Source:[^\"]*trades"
        )
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if job_id in line and pattern.match(line)
        )

    def _busy(self, job_id: str) -> dict[str, int]:
        return {vertex.name: vertex.backpressured_ms for vertex in self._rest.vertices(job_id)}


def write_backlog(settings: Settings, shape: Shape) -> None:
    """The shape's trades on the trades topic, evenly spread, ending now."""
    options: dict[str, ConfigValue] = {"linger.ms": 50, "compression.type": "lz4", "log_level": 0}
    producer = Producer(client_config(settings, **options))
    each_second = shape.symbols * shape.per_bar
    start = time.time() - shape.trades / each_second
    for number in range(shape.trades):
        at = rfc3339(start + number / each_second)
        symbol = f"S{number % shape.symbols:03d}"
        price = 100 + (number * 7919 % 101 - 50) / 100
        trade = {
            "T": "t", "S": symbol, "i": number, "x": "V", "p": price, "s": 100, "c": ["@"], "z": "C", "t": at,
        }  # fmt: skip
        value = orjson.dumps(wrap(trade, seq=number, ingest_ts=at))
        while True:
            try:
                producer.produce(settings.trades_topic, value, key=symbol)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
