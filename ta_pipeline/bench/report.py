"""The benchmark's report: Markdown tables of figures with their spread, with machine and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ta_pipeline.bench.aims import aims
from ta_pipeline.bench.reading import render_readings
from ta_pipeline.bench.results import Results, Run, Spread, cpu, rate, ratio, rounds_of
from ta_pipeline.bench.samples import LEAST_SECONDS, MOST_SECONDS, SHORTEST_SECONDS, WARM_UP_SECONDS, Drain
from ta_pipeline.bench.shapes import (
    BARE,
    DENSE,
    FEW_SYMBOLS,
    FLOOR,
    MANY_SYMBOLS,
    SHIPPED,
    SPARSE,
    VARIANTS,
    Shape,
)
from ta_pipeline.bench.steady import SETTLE_SECONDS
from ta_pipeline.compute import ComputeReport
from ta_pipeline.probe_report import PathReport
from ta_pipeline.settings import Settings

_SHOWN = (
    "parallelism", "dedup", "live_slice_ms", "max_out_of_orderness_ms", "checkpoint_interval_ms", "checkpoint_dir",
    "delivery_guarantee", "input_format", "output_format",
)  # fmt: skip
_LEFT_OUT = "Left out."
_SPREAD = "Figures are medians over the rounds, with the lowest and the highest in brackets."


def render(
    results: Results, settings: Settings, machine: Mapping[str, str], when: datetime, picture: str | None = None
) -> str:
    """The whole report.

    Args:
        results: what was measured.
        settings: of the jobs, but for what a section names.
        machine: name to value.
        when: the benchmark ended, UTC.
        picture: file name of the picture, beside the report.
    """
    parts = [f"# Benchmark, {when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"]
    if results.stopped_by:
        parts.append(f"Stopped by an error, what follows was not measured: {results.stopped_by}")
    rows = [(aim.text, aim.figure, aim.verdict) for aim in aims(results)]
    parts += ["## Aims", _table(("aim", "figure", ""), rows)]
    if picture:
        parts.append(f"![Events a second by variant and shape, and latency by market]({picture})")
    parts += ["## Machine", _MACHINE, _table(("", ""), machine.items())]
    parts += ["## Settings", _table(("", ""), [(f"`TA_{n.upper()}`", str(getattr(settings, n))) for n in _SHOWN])]
    parts += ["## Drain", *(_drain(results.drains) if results.drains else [_LEFT_OUT])]
    parts += ["## Cost per event by number of symbols", _symbols(results.symbols) if results.symbols else _LEFT_OUT]
    parts += ["## Steady markets", *(_runs(results.runs) if results.runs else [_LEFT_OUT])]
    parts += ["## A reader", render_readings(results.readings) if results.readings else _LEFT_OUT]
    parts += ["## A recorded day", _computes(results.computes) if results.computes else _NO_DAY]
    return "\n\n".join(parts) + "\n"


_MACHINE = "Everything ran on it at once: broker, S3, registry, ClickHouse, Flink, generator, reader."
_NO_DAY = f"{_LEFT_OUT} `ta bench --day FILE` measures `ta compute` of a recording."
_HOW = (
    "A backlog is read from the start, by each variant in turn (A B C A B C), after one drain that does not count. "
    "Trade ids run over all symbols. Flink "
    "generates a job's code anew, so each drain has to be compiled again by the JIT; it is measured from the sample at "
    f"which its warm-up is over (the trades named below were read, or {WARM_UP_SECONDS:g} s have passed) until the "
    f"shape's trades were read and at least {LEAST_SECONDS:g} s have passed, for {MOST_SECONDS:g} s at most; where the "
    f"backlog ends sooner, until its end, warm-up included if that leaves less than {SHORTEST_SECONDS:g} s. CPU and "
    "memory are those of the TaskManager's process; memory is the highest. The share of the floor is taken round by "
    "round. The backlog is older than what the live path previews: this is the final path; the live path is in the "
    f"steady markets. {BARE[0].upper()}{BARE[1:]} has no deduplication, validation, quotes or live path: it says how "
    f"fast the machine is. {_SPREAD}"
)


def _drain(drains: Sequence[Drain]) -> list[str]:
    parts = [_HOW]
    for shape in (DENSE, SPARSE):
        floor = rounds_of(drains, shape, FLOOR)
        rows = []
        for variant in VARIANTS:
            rounds = rounds_of(drains, shape, variant)
            if rounds:
                share = ratio(rounds, floor, rate)
                rows.append((variant, str(len(rounds)), *_figures(rounds), _spread(share, ".2f"), *_times(rounds)))
        if rows:
            parts += [f"### {_title(shape)}", _table(("", "rounds", *_FIGURES, "of the floor", *_TIMES), rows)]
    return parts


def _symbols(drains: Sequence[Drain]) -> str:
    few, many = (rounds_of(drains, shape, SHIPPED) for shape in (FEW_SYMBOLS, MANY_SYMBOLS))
    rows = [
        (_title(rounds[0].shape), str(len(rounds)), *_figures(rounds), _spread(ratio(rounds, few, cpu), ".2f"),
         *_times(rounds))
        for rounds in (few, many) if rounds
    ]  # fmt: skip
    header = ("", "rounds", *_FIGURES, f"CPU over that of {FEW_SYMBOLS.name}", *_TIMES)
    return f"The job as shipped, measured as the drains are.\n\n{_table(header, rows)}"


_FIGURES = ("events/s", "CPU, µs an event")
_TIMES = ("garbage collection, % of the time", "TaskManager, GiB", "warm-up, s", "measured, s")


def _figures(rounds: Sequence[Drain]) -> tuple[str, str]:
    return _spread(Spread.of(map(rate, rounds)), ",.0f"), _spread(Spread.of(map(cpu, rounds)), ".1f")


def _times(rounds: Sequence[Drain]) -> tuple[str, str, str, str]:
    memory = max(drain.memory_bytes for drain in rounds) / 2**30
    gc, warm_up, seconds = (
        Spread.of(values)
        for values in (
            [100 * drain.gc_share for drain in rounds],
            [drain.warm_up_seconds for drain in rounds],
            [drain.seconds for drain in rounds],
        )
    )
    return _spread(gc, ".1f"), f"{memory:.2f}", _spread(warm_up, ".0f"), _spread(seconds, ".0f")


def _title(shape: Shape) -> str:
    return (
        f"{shape.name}: {shape.trades:,} trades, {shape.symbols:,} symbols, {shape.per_bar} trades a bar, after "
        f"{shape.warm_up:,} as warm-up"
    )


def _runs(runs: Sequence[Run]) -> list[str]:
    how = (
        "The job as shipped under a simulated market, trades 1 : quotes 4, measured after "
        f"{SETTLE_SECONDS:g} s. Latency is the reader's clock minus the event's time, stamped when it is sent; final "
        "records are read when they are committed. One run each."
    )
    markets = _table(
        ("market", "messages/s sent", "symbols", "s", "settings"),
        [(run.steady.name, f"{run.sent_per_second:,.0f}", f"{run.steady.symbols}", f"{run.seen.seconds:.0f}",
          _own(run)) for run in runs],
    )  # fmt: skip
    paths = [
        (run.steady.name, name, f"{path.records:,}", *_percentiles(path), str(path.duplicates))
        for run in runs
        for name, path in (("live", run.seen.live), ("final", run.seen.final), ("final bars", run.seen.bars))
    ]
    latency = _table(("market", "path", "records", "p50, ms", "p99, ms", "max, ms", "twice"), paths)
    load = _table(
        ("market", "TaskManager, cores", "CPU, µs a message", "TaskManager, GiB", "backpressured, % of the time",
         "generator behind p50 / p99 / max, ms"),
        [(run.steady.name, f"{run.cpu_cores:.2f}", f"{run.cpu_us_per_message:.0f}", f"{run.memory_bytes / 2**30:.2f}",
          f"{100 * run.backpressured:.1f} ({run.backpressured_task})" if run.backpressured else "0.0",
          f"{run.fed.delay_p50_ms:.0f} / {run.fed.delay_p99_ms:.0f} / {run.fed.delay_max_ms:.0f}") for run in runs],
    )  # fmt: skip
    checkpoints = _table(
        ("market", "checkpoints done", "failed", "duration p50, ms", "p99, ms", "newest, ms", "newest, MiB"),
        [(run.steady.name, str(found.completed), str(found.failed), _number(found.duration_p50_ms),
          _number(found.duration_p99_ms), _number(found.latest_duration_ms),
          f"{(found.latest_bytes or 0) / 2**20:.1f}") for run in runs for found in (run.checkpoints,)],
    )  # fmt: skip
    return [how, markets, latency, load, checkpoints]


def _own(run: Run) -> str:
    own = [f"`TA_{name.upper()}`={value}" for name, value in run.steady.overrides.items()]
    return ", ".join([*own, *(["checkpoints in a local folder"] if run.steady.local_checkpoints else [])])


def _percentiles(path: PathReport) -> tuple[str, str, str]:
    found = path.latency
    return _number(found.p50_ms), _number(found.p99_ms), _number(found.max_ms)


def _computes(computes: Sequence[ComputeReport]) -> str:
    read, written = ({name: n for name, n in found.items() if n} for found in (computes[0].read, computes[0].written))
    row = (
        f"{sum(read.values()):,}: {_counts(read)}", _counts(written), str(len(computes)),
        _spread(Spread.of(found.seconds for found in computes), ".1f"),
    )  # fmt: skip
    table = _table(("messages read", "written", "repeats", "s"), [row])
    return f"`ta compute`, wall time with start-up, beside the idle stack. {_SPREAD}\n\n{table}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _spread(found: Spread | None, form: str) -> str:
    return found.text(form) if found else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
