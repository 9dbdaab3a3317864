"""The benchmark's picture: rates of the drains, latencies of the steady markets; greys, so that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ta_pipeline.bench.results import Results, Run, Spread, rate, rounds_of
from ta_pipeline.bench.samples import Drain
from ta_pipeline.bench.shapes import DENSE, FEW_SYMBOLS, FLOOR, MANY_SYMBOLS, PER_TICK, SHIPPED, SPARSE
from ta_pipeline.figures import duration

_SHAPES = (DENSE, SPARSE, FEW_SYMBOLS, MANY_SYMBOLS)
_GREYS = {SHIPPED: "#303030", FLOOR: "#8c8c8c", PER_TICK: "#cfcfcf"}
_MARKERS = (("p50", "o"), ("p99", "D"), ("max", "|"))
_BAR = 0.27
_LEGEND: dict[str, Any] = {
    "frameon": False, "fontsize": 8, "ncols": 3, "loc": "upper left", "bbox_to_anchor": (0.0, -0.08),
}  # fmt: skip
_MIDDLE_MS = 600.0
"""Of the axis: what begins left of it has its figures to the right, and the other way round."""
_TICKS_MS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)


def draw(results: Results, path: Path) -> bool:
    """Write the picture as PNG; False when there is nothing to draw."""
    drains = [*results.drains, *results.symbols]
    runs = [run for run in results.runs if run.seen.live.latency.count or run.seen.final.latency.count]
    panels = bool(drains) + bool(runs)
    if not panels:
        return False
    figure = Figure(figsize=(5.6 * panels, 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    if drains:
        _rates(next(axes), drains)
    if runs:
        _latencies(next(axes), runs)
    figure.savefig(path, metadata={"Software": None})
    return True


def _rates(axes: Axes, drains: Sequence[Drain]) -> None:
    shapes = [shape for shape in _SHAPES if any(drain.shape == shape for drain in drains)]
    labelled: set[str] = set()
    for place, shape in enumerate(shapes):
        found = [(variant, Spread.of(map(rate, rounds_of(drains, shape, variant)))) for variant in _GREYS]
        bars = [(variant, spread) for variant, spread in found if spread]
        for number, (variant, spread) in enumerate(bars):
            x = place + (number - (len(bars) - 1) / 2) * _BAR
            whiskers = [[spread.median - spread.low], [spread.high - spread.median]]
            label = "_" if variant in labelled else variant
            labelled.add(variant)
            axes.bar(x, spread.median, 0.9 * _BAR, color=_GREYS[variant], label=label)
            axes.errorbar(x, spread.median, whiskers, fmt="none", ecolor="black", elinewidth=1, capsize=3)
            text = f"{spread.median / 1_000:.0f}k"
            axes.annotate(text, (x, spread.high), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xticks(range(len(shapes)), [shape.name for shape in shapes])
    axes.set_title("Drain: events/s, median with lowest and highest", fontsize=10, loc="left")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1_000:.0f}k"))
    axes.margins(y=0.08)
    axes.legend(**_LEGEND)
    _plain(axes)


def _latencies(axes: Axes, runs: Sequence[Run]) -> None:
    names: list[str] = []
    for run in runs:
        for path, seen in (("live", run.seen.live.latency), ("final", run.seen.final.latency)):
            values = (seen.p50_ms, seen.p99_ms, seen.max_ms)
            row = len(names)
            names.append(f"{path}, {run.steady.name}\n{run.steady.rate:,.0f} messages/s")
            # A logarithmic axis has no place for what a clock difference makes 0 or less.
            shown = [None if value is None else max(value, 1.0) for value in values]
            known = [value for value in shown if value is not None]
            if not known:
                continue
            axes.plot([known[0], known[-1]], [row, row], color="#b0b0b0", linewidth=1, zorder=1)
            for (name, marker), value in zip(_MARKERS, shown, strict=True):
                if value is not None:
                    label = "_" if row else name
                    axes.plot(value, row, marker, color="#303030", markersize=6 if marker != "|" else 9, label=label)
            text = " / ".join(duration(value) for value in values)
            x, side = (known[0], "left") if known[0] < _MIDDLE_MS else (known[-1], "right")
            axes.annotate(text, (x, row), (0, 7), textcoords="offset points", ha=side, fontsize=8)
    axes.set_xscale("log")
    axes.set_xticks(_TICKS_MS, [f"{ms} ms" if ms < 1_000 else f"{ms // 1_000} s" for ms in _TICKS_MS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(y=0.12)
    axes.set_title("Latency: p50 / p99 / max", fontsize=10, loc="left")
    axes.legend(**_LEGEND)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, labelsize=8)
