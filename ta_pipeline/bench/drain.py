"""One round of a drain: submit, sample until enough was measured, cancel."""

from __future__ import annotations

import time

import psutil

from ta_pipeline.bench.rest import BenchRest, Source
from ta_pipeline.bench.samples import Drain, Sample, described, drain_of, window
from ta_pipeline.bench.shapes import Report, Shape
from ta_pipeline.errors import FlinkError
from ta_pipeline.local.runtime import LocalRuntime

POLL_SECONDS = 0.5
"""Of the JobManager only: it asks the TaskManager every 2 s, and the change is seen at most this much later."""
STALLED_SECONDS = 120.0
"""A drain that reads nothing for so long is given up."""


def drain(
    runtime: LocalRuntime,
    rest: BenchRest,
    task_manager: psutil.Process,
    *,
    shape: Shape,
    variant: str,
    number: int,
    report: Report,
) -> Drain:
    """Run the job of `runtime`, which reads a backlog of this shape from the start, and measure it.

    Args:
        runtime: the job.
        rest: Flink.
        task_manager: the process whose CPU and memory count.
        shape: the backlog's.
        variant: the name of what runs.
        number: of the round.
        report: told how far it is.

    Raises:
        FlinkError: the job failed, was restarted or read nothing, or the backlog is too small to be measured.
    """
    report("submitting")
    samples: list[Sample] = []
    try:
        job_id = runtime.submit()
        source: Source | None = None
        changed = time.monotonic()
        while True:
            time.sleep(POLL_SECONDS)
            source = source or rest.source(job_id)
            read = rest.records_read(source) if source else 0.0
            before = samples[-1].read if samples else 0.0
            if read < before:
                raise FlinkError(f"{shape.name}, {variant}: the job was restarted: {_reason(rest, job_id)}")
            if read > before:
                # The time of a figure is when it changes, not when it is read.
                sample = _sample(rest, task_manager, read)
                changed = sample.at
                samples.append(sample)
                report(described(samples, shape))
                if measured := window(samples, shape):
                    return drain_of(shape, variant, number, samples, measured)
            elif time.monotonic() - changed > STALLED_SECONDS:
                raise FlinkError(
                    f"{shape.name}, {variant}: nothing was read for {STALLED_SECONDS:g} s, the job is "
                    f"{rest.job(job_id).state}: {_reason(rest, job_id)}"
                )
    except ValueError as error:
        raise FlinkError(f"{variant}: {error}") from None
    finally:
        runtime.cancel()


def _sample(rest: BenchRest, task_manager: psutil.Process, read: float) -> Sample:
    at, times = time.monotonic(), task_manager.cpu_times()
    return Sample(at, read, times.user + times.system, rest.gc_seconds(), task_manager.memory_info().rss)


def _reason(rest: BenchRest, job_id: str) -> str:
    return rest.exception(job_id) or "Flink reports no exception"
