"""`ta bench`: drain rate, CPU per event and latency, side by side on the running stack.

Drains: a backlog is written to a topic of its own; then the variants read it from the start, one after the other on the
same TaskManager, interleaved over the rounds. Steady markets: the job as shipped under a generator, seen by a reader.
All of it fills `Bench.results`, so that an error leaves what was measured before it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from ta_pipeline.bench.drain import drain
from ta_pipeline.bench.reading import SECONDS, measured
from ta_pipeline.bench.rest import BenchRest
from ta_pipeline.bench.results import Results
from ta_pipeline.bench.samples import Drain
from ta_pipeline.bench.shapes import SHIPPED, VARIANTS, Report, Shape, Steady, write_backlog
from ta_pipeline.bench.steady import measure
from ta_pipeline.bench.topics import PREFIX, delete_topics, renamed
from ta_pipeline.compute import compute
from ta_pipeline.errors import FlinkError, StackError
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.local.settings import variables
from ta_pipeline.local.stack import Stack
from ta_pipeline.settings import Settings, load_settings

COMPUTE_REPEATS = 3
_NOT_COUNTED = 0


class Bench:
    """Measures on one running stack that does nothing else.

    Args:
        stack: the stack.
        report: told, often, what is being measured and how fast it is just now.
        done: told each figure as soon as it is there.

    Raises:
        FlinkError: another job runs on the stack.
    """

    def __init__(self, stack: Stack, report: Report, done: Report) -> None:
        self.results = Results()
        self._stack = stack
        self._report = report
        self._done = done
        self._is_warm = False
        self._base = load_settings(
            **{name.removeprefix("TA_").lower(): value for name, value in stack.environment().items()}
        )
        self._rest = BenchRest(self._base.flink_rest_url)
        if others := [job.name for job in self._rest.jobs() if not job.is_ended]:
            raise FlinkError(
                f"{', '.join(others)} runs on this stack and would be measured too; end it first (`ta job stop`)"
            )

    @property
    def flink_version(self) -> str:
        """As the cluster says."""
        return self._rest.version()

    def drains(self, shape: Shape, rounds: int) -> None:
        """Every variant on one backlog."""
        self._interleave([(shape, variant) for variant in VARIANTS], rounds, self.results.drains)

    def symbols(self, shapes: Sequence[Shape], rounds: int) -> None:
        """The job as shipped on each of several backlogs."""
        self._interleave([(shape, SHIPPED) for shape in shapes], rounds, self.results.symbols)

    def run(self, steady: Steady, seconds: float) -> None:
        """The job as shipped under a steady market, measured after it has settled."""
        overrides = dict(steady.overrides)
        with tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}-", dir=self._stack.local.dir, ignore_cleanup_errors=True
        ) as folder:
            if steady.local_checkpoints:
                overrides["checkpoint_dir"] = Path(folder).as_uri()
            settings = self._settings(f"{steady.rate:g}", overrides)
            runtime = self._runtime(settings, SHIPPED)
            try:
                job_id = runtime.deploy(report=lambda text: self._report(f"{steady.name}: {text}")).job_id
                run = measure(
                    steady, settings, seconds, rest=self._rest, job_id=job_id, task_manager=self._task_manager(),
                    report=self._report,
                )  # fmt: skip
            finally:
                runtime.cancel()
                delete_topics(settings)
        self.results.runs.append(run)
        live, final = run.seen.live.latency.p99_ms or 0.0, run.seen.final.latency.p99_ms or 0.0
        self._done(
            f"{steady.name}, {run.sent_per_second:,.0f} messages/s: p99 live {live:,.0f} ms, final {final:,.0f} ms"
        )

    def compute(self, recordings: Sequence[Path]) -> None:
        """`ta compute` of these recordings, start-up included, several times."""
        for number in range(1, COMPUTE_REPEATS + 1):
            what, begun = f"recorded day, repeat {number} of {COMPUTE_REPEATS}", time.monotonic()

            def show(step: str, done: int, everything: int, what: str = what, begun: float = begun) -> None:
                rate = done / max(time.monotonic() - begun, 1e-9)
                self._report(f"{what}: {step}, {done:,} of {everything:,}, {rate:,.0f} messages/s with start-up")

            with tempfile.TemporaryDirectory(prefix="ta-bench-") as out:
                found = compute(recordings, Path(out), load_settings(), {}, progress=show)
            self.results.computes.append(found)
            self._done(f"{what}: {sum(found.read.values()):,} messages in {found.seconds:.1f} s")

    def reading(self, rounds: int) -> None:
        """A reader at a steady rate of output records, JSON and Avro in turn."""
        self._report("reader")
        self.results.readings.extend(measured(self._base, rounds, SECONDS, self._done))

    def _interleave(self, cases: Sequence[tuple[Shape, str]], rounds: int, into: list[Drain]) -> None:
        """Each case `rounds` times, A B C A B C; the backlogs are written before and deleted after."""
        chosen = {
            shape: self._settings(shape.slug, {"startup_mode": "earliest"}, own_clock=True)
            for shape in dict.fromkeys(shape for shape, _ in cases)
        }
        try:
            for shape, settings in chosen.items():
                write_backlog(settings, shape, self._report)
            turns = [(number, *case) for number in range(1, rounds + 1) for case in cases]
            if not self._is_warm:
                # What the jobs of a TaskManager share is compiled for the first one, and takes longer than its warm-up.
                turns.insert(0, (_NOT_COUNTED, *cases[0]))
            for number, shape, variant in turns:
                what = f"{shape.name}, {variant}, round {number} of {rounds}"
                # It may restart the TaskManager, whose process is measured.
                runtime = self._runtime(chosen[shape], variant)
                runtime.use_release()
                found = drain(
                    runtime, self._rest, self._task_manager(),
                    shape=shape, variant=variant, number=number,
                    report=lambda text, what=what: self._report(f"{what}: {text}"),  # type: ignore[misc]
                )  # fmt: skip
                if number == _NOT_COUNTED:
                    self._is_warm = True
                    what = f"{shape.name}, {variant}, the TaskManager's first job, not counted"
                else:
                    into.append(found)
                self._done(f"{what}: {found.events_per_second:,.0f} events/s, {found.cpu_us_per_event:.1f} µs CPU")
        finally:
            for settings in chosen.values():
                delete_topics(settings)

    def _settings(self, name: str, overrides: dict[str, str], *, own_clock: bool = False) -> Settings:
        """Settings with topics of their own, which are made; the clock's is the stack's unless `own_clock`."""
        token = f"{PREFIX}-{name}-{time.time_ns()}"
        topics = renamed(self._base, token, shared=() if own_clock else ("clock_topic",))
        own = {"group_id": token, "transactional_id_prefix": token, "k8s_deployment": f"{PREFIX}-{name}"}
        settings = load_settings(**{**self._base.model_dump(), **topics, **own, **overrides})
        ensure_topics(settings)
        return settings

    def _runtime(self, settings: Settings, variant: str) -> LocalRuntime:
        program, arguments = VARIANTS[variant]
        return LocalRuntime(
            settings, variables(settings), program=program, arguments=arguments, local=self._stack.local
        )

    def _task_manager(self) -> psutil.Process:
        """The TaskManager's Java process.

        Raises:
            StackError: it does not run.
        """
        pid = next((line.pid for line in self._stack.status() if line.name == "taskmanager"), None)
        if pid is None:
            raise StackError("the TaskManager does not run; `ta logs taskmanager` says why")
        process = psutil.Process(pid)
        return max([process, *process.children(recursive=True)], key=lambda one: int(one.memory_info().rss))
