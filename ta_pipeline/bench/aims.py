"""The aims of the project on 2 cores, and whether a benchmark met them; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ta_pipeline.bench.read_costs import FORMATS, LEAST_SHARE, MOST_CORES, RATE, Reading
from ta_pipeline.bench.results import Results, Spread, cpu, rate, ratio, rounds_of
from ta_pipeline.bench.shapes import (
    DENSE,
    FAST_FINALS,
    FEW_SYMBOLS,
    FLOOR,
    LATENCY,
    MANY_SYMBOLS,
    SHIPPED,
    SPARSE,
    Shape,
    Steady,
)

LIVE_P99_MS = 300.0
DENSE_RATE, SPARSE_RATE = 100_000.0, 40_000.0
FLOOR_SHARE = 0.6
MEMORY_GIB = 2.0
COMPUTE_SECONDS = 60.0
SYMBOLS_RATIO = 1.5
FAST_FINAL_P99_MS = 1_000.0


@dataclass(frozen=True)
class Aim:
    """One aim, the figure it is judged by, and the verdict."""

    text: str
    figure: str
    is_met: bool | None
    """None: not measured."""

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "met", False: "not met", None: "not measured"}[self.is_met]


def aims(results: Results) -> list[Aim]:
    """Every aim, in the order of the report. Of a figure with a spread, the median counts."""
    shipped, floor = rounds_of(results.drains, DENSE, SHIPPED), rounds_of(results.drains, DENSE, FLOOR)
    few, many = (rounds_of(results.symbols, shape, SHIPPED) for shape in (FEW_SYMBOLS, MANY_SYMBOLS))
    seconds = Spread.of(found.seconds for found in results.computes)
    messages = sum(results.computes[0].read.values()) if results.computes else 0
    read = f", {messages:,} messages" if messages else ""
    memory = Spread.of([results.memory_bytes / 2**30] if results.memory_bytes else [])
    return [
        _latency(results, LATENCY, "live", LIVE_P99_MS),
        _rate(results, DENSE, DENSE_RATE),
        _at_least("dense drain: at least {:g} of the windows without Python", FLOOR_SHARE, ratio(shipped, floor, rate)),
        _rate(results, SPARSE, SPARSE_RATE),
        _at_most("TaskManager: at most {:g} GiB", MEMORY_GIB, memory, ".2f", " GiB", spread=False),
        _at_most(f"`ta compute` of a recorded day{read}: at most {{:g}} s", COMPUTE_SECONDS, seconds, ".1f", " s"),
        _at_most(
            f"CPU per event, {MANY_SYMBOLS.name} over {FEW_SYMBOLS.name}: at most {{:g}}", SYMBOLS_RATIO,
            ratio(many, few, cpu), ".2f",
        ),
        _latency(results, FAST_FINALS, "final", FAST_FINAL_P99_MS),
        *reading_aims(results.readings),
    ]  # fmt: skip


def reading_aims(readings: Sequence[Reading]) -> list[Aim]:
    """Whether the reader is cheap enough; not measured where the market did not reach its rate."""
    found = []
    for form in FORMATS:
        rounds = [reading for reading in readings if reading.form == form]
        cores = Spread.of(reading.cores for reading in rounds)
        is_met = None
        if cores and all(reading.rate >= LEAST_SHARE * RATE for reading in rounds):
            is_met = cores.median <= MOST_CORES
        text = f"reader, {form}, {RATE:,} records/s: at most {MOST_CORES:g} cores"
        found.append(Aim(text, cores.text(".2f", " cores") if cores else "-", is_met))
    return found


def _rate(results: Results, shape: Shape, limit: float) -> Aim:
    found = Spread.of(map(rate, rounds_of(results.drains, shape, SHIPPED)))
    return _at_least(f"{shape.name} drain: at least {{:,.0f}} events/s", limit, found, ",.0f", " events/s")


def _latency(results: Results, steady: Steady, path: str, limit: float) -> Aim:
    run = results.run(steady)
    p99 = None
    if run is not None:
        p99 = (run.seen.live if path == "live" else run.seen.final).latency.p99_ms
    found = Spread.of([] if p99 is None else [p99])
    settings = "".join(f", TA_{name.upper()}={value}" for name, value in steady.overrides.items())
    text = f"{path} p99 at {steady.rate:,.0f} messages/s, {steady.symbols} symbols{settings}: at most {{:,.0f}} ms"
    return _at_most(text, limit, found, ",.0f", " ms", spread=False)


def _at_least(text: str, limit: float, found: Spread | None, form: str = ".2f", unit: str = "") -> Aim:
    return Aim(text.format(limit), found.text(form, unit) if found else "-", found.median >= limit if found else None)


def _at_most(
    text: str, limit: float, found: Spread | None, form: str = ".2f", unit: str = "", *, spread: bool = True
) -> Aim:
    figure = "-" if found is None else found.text(form, unit) if spread else f"{found.median:{form}}{unit}"
    return Aim(text.format(limit), figure, found.median <= limit if found else None)
