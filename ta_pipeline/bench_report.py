"""The benchmark's report: Markdown with machine and settings, medians and their spread."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ta_pipeline.bench import VARIANTS, Drain, Run, Shape
from ta_pipeline.latency import LatencySummary
from ta_pipeline.settings import Settings

_SHOWN = (
    "parallelism", "dedup", "live_slice_ms", "max_out_of_orderness_ms", "checkpoint_interval_ms", "checkpoint_dir",
    "delivery_guarantee", "input_format", "output_format",
)  # fmt: skip


def render(settings: Settings, drains: Sequence[tuple[Shape, Sequence[Drain]]], runs: Sequence[Run]) -> str:
    """The whole report."""
    parts = [f"# Benchmark, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", _machine(), _settings(settings)]
    parts += [_drains(shape, found) for shape, found in drains]
    if runs:
        parts.append(_runs(runs))
    return "\n\n".join(parts) + "\n"


def _machine() -> str:
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = ", ".join(f"{value:.1f}" for value in psutil.getloadavg())
    return (
        f"Machine: {model}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()}, Python {platform.python_version()}. Everything (broker, Flink, generator, reader) runs "
        f"on it; load average when this was written: {load}."
    )


def _settings(settings: Settings) -> str:
    return "Settings: " + ", ".join(f"`TA_{name.upper()}`={getattr(settings, name)}" for name in _SHOWN) + "."


def _drains(shape: Shape, found: Sequence[Drain]) -> str:
    lines = [
        f"## Drain, {shape.name}: {shape.trades:,} trades, {shape.symbols} symbols, {shape.per_bar} trades a bar",
        "",
        "| | events/s, median (lowest to highest) | of the floor | CPU, µs an event | TaskManager |",
        "| --- | --- | --- | --- | --- |",
    ]
    floor = _median(found, "windows without Python")
    for variant in VARIANTS:
        rounds = [drain for drain in found if drain.variant == variant]
        if not rounds:
            continue
        rates = [drain.events_per_second for drain in rounds]
        middle = statistics.median(rates)
        share = f"{middle / floor:.2f}" if floor else "-"
        cpu = statistics.median(drain.cpu_us_per_event for drain in rounds)
        memory = max(drain.memory_bytes for drain in rounds) / 2**30
        lines.append(
            f"| {variant} | {middle:,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | {share} | {cpu:.1f} | "
            f"{memory:.2f} GiB |"
        )
    return "\n".join(lines)


def _runs(runs: Sequence[Run]) -> str:
    lines = [
        "## A steady market",
        "",
        "| messages/s, symbols | s | live p50 / p99 / max | final p50 / p99 / max | twice | generator behind p99 | "
        "checkpoints: done, failed, newest | TaskManager: cores, memory | backpressured |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        seen, checkpoints = run.seen, run.checkpoints
        newest = f"{checkpoints.latest_duration_ms} ms, {(checkpoints.latest_bytes or 0) / 2**20:.1f} MiB"
        lines.append(
            f"| {run.rate:,.0f}, {run.symbols} | {seen.seconds:.0f} | {_ms(seen.live.latency)} | "
            f"{_ms(seen.final.latency)} | {seen.final_duplicates} | {run.fed.delay_p99_ms:.0f} ms | "
            f"{checkpoints.completed}, {checkpoints.failed}, {newest} | {run.cpu_cores:.2f}, "
            f"{run.memory_bytes / 2**30:.2f} GiB | {run.backpressured:.0%} |"
        )
    return "\n".join(lines)


def _ms(latency: LatencySummary) -> str:
    found = latency.to_dict()
    return " / ".join(f"{found[name]:,.0f}" if found.get(name) is not None else "-" for name in _LATENCY) + " ms"


_LATENCY = ("p50_ms", "p99_ms", "max_ms")


def _median(found: Sequence[Drain], variant: str) -> float:
    rates = [drain.events_per_second for drain in found if drain.variant == variant]
    return statistics.median(rates) if rates else 0.0
