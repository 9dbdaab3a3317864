"""The pictures of a replay: price with bars and bands, differences field by field, latency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ta_pipeline.figures import duration
from ta_pipeline.latency import LatencySummary
from ta_pipeline.replay.compare import Frames
from ta_pipeline.replay.reference import SECOND
from ta_pipeline.replay.verdict import Comparison, FieldVerdict

_INK, _GREY, _LIGHT, _RED = "#303030", "#8c8c8c", "#d9d9d9", "#c0392b"
_DPI = 110
_CLOSE_UP = timedelta(minutes=5)
_GAP = timedelta(minutes=10)
_SECONDS_SHOWN_BELOW = timedelta(minutes=10)
_TICKS_MS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_EQUAL, _LEFT, _RIGHT, _EXACT, _NULL = 1e-10, 1e-9, 1e6, 5e7, 2e9
"""Places on the logarithmic axis of shares of a tolerance: equal to the last bit, where numbers begin and end, a
difference where none is allowed, and a null beside a value."""
_MOST_PERCENT = 99.9


def draw_price(frames: Frames, path: Path) -> bool:
    """Close and Bollinger bands over the day, and each bar of its busiest minutes; False when there is no bar.

    Of several symbols the one with the most bars is drawn.
    """
    bars, signals = frames["bars"], frames["signals"]
    if bars.empty:
        return False
    symbol = bars["symbol"].value_counts().index[0]
    own = bars[bars["symbol"] == symbol].sort_values(["end_ms", "revision"]).drop_duplicates("end_ms", keep="last")
    bands = signals[(signals["symbol"] == symbol) & (signals["size"] == SECOND)].sort_values("end_ms")
    figure = _figure(10.0, 6.4)
    day, close_up = figure.subplots(2, 1, height_ratios=(3, 3))
    _day(day, own, bands, symbol)
    _close_up(close_up, own, bands)
    figure.savefig(path, metadata={"Software": None})
    return True


def draw_differences(comparison: Comparison, path: Path) -> bool:
    """The largest difference of each field as a share of its tolerance; False when nothing was compared by value."""
    rows = [(table.name, field) for table in comparison.tables for field in table.fields if field.compared]
    if not rows:
        return False
    figure = _figure(8.6, 1.6 + 0.21 * len(rows))
    axes = figure.subplots()
    axes.axvline(1.0, color=_RED, linewidth=1, linestyle="--", zorder=0)
    for edge in (_LEFT / 2, _RIGHT * 6):
        axes.axvline(edge, color=_LIGHT, linewidth=1)
    for place, (_, field) in enumerate(rows):
        _difference(axes, place, field)
    axes.set_xscale("log")
    axes.set_xlim(_EQUAL / 6, _NULL * 6)
    ticks = {
        _EQUAL: "equal", 1e-8: "1e-8", 1e-6: "1e-6", 1e-4: "1e-4", 1e-2: "1e-2", 1.0: "tolerance", 1e2: "1e2",
        1e4: "1e4", 1e6: "1e6", _EXACT: "differs", _NULL: "null",
    }  # fmt: skip
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), [_label(name, field) for name, field in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_title(
        f"Largest difference of {comparison.found_side} from {comparison.expected_side}, as a share of the tolerance",
        fontsize=10, loc="left",
    )  # fmt: skip
    figure.supxlabel(_caption(rows), fontsize=8, color=_INK)
    _plain(axes)
    figure.savefig(path, metadata={"Software": None})
    return True


def draw_latency(values_ms: Sequence[float], summary: LatencySummary | None, path: Path) -> bool:
    """How latency is distributed; False when there is none."""
    if summary is None or not values_ms:
        return False
    values = np.maximum(np.asarray(values_ms, dtype=float), 1.0)  # a logarithmic axis has no place for less
    low, high = values.min(), max(np.percentile(values, _MOST_PERCENT) * 1.2, values.min() * 2)
    figure = _figure(8.6, 3.2)
    axes = figure.subplots()
    axes.hist(np.minimum(values, high), bins=np.geomspace(low, high, 60).tolist(), color=_GREY)
    axes.margins(x=0.02, y=0.25)
    axes.autoscale_view()
    top = axes.get_ylim()[1]
    for number, (name, value) in enumerate((("p50", summary.p50_ms), ("p95", summary.p95_ms), ("p99", summary.p99_ms))):
        if value is not None:
            axes.axvline(max(value, 1.0), color=_INK, linewidth=1)
            axes.annotate(
                f"{name} {duration(value)}", (max(value, 1.0), top * (0.94 - 0.08 * number)), (4, 0),
                textcoords="offset points", fontsize=8,
            )  # fmt: skip
    axes.set_xscale("log")
    ticks = [float(tick) for tick in _TICKS_MS if low <= tick <= high]
    axes.set_xticks(ticks if len(ticks) > 2 else np.geomspace(low, high, 5).tolist())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("signals", fontsize=8)
    axes.set_title(
        f"Event to signal, {summary.count:,} signals; max {duration(summary.max_ms)}", fontsize=10, loc="left"
    )
    _plain(axes)
    figure.savefig(path, metadata={"Software": None})
    return True


def _day(axes: Axes, bars: pd.DataFrame, bands: pd.DataFrame, symbol: str) -> None:
    count = len(bars)
    bars, bands = _broken(bars), _broken(bands)
    axes.fill_between(
        _times(bands), bands["lower"].to_numpy(dtype=float), bands["upper"].to_numpy(dtype=float),
        color=_LIGHT, linewidth=0, label="Bollinger bands, 20 bars",
    )  # fmt: skip
    axes.plot(_times(bars), bars["c"], ".-", color=_INK, linewidth=0.7, markersize=1.5, label="close of 1 s bars")
    regular = bars["c"].quantile([0.001, 0.999]).to_numpy()
    margin = max(0.15 * (regular[1] - regular[0]), 1e-9 * regular[1])
    axes.set_ylim(regular[0] - margin, regular[1] + margin)
    axes.set_title(f"{symbol}: {count:,} bars", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="best")
    _dated(axes)


def _close_up(axes: Axes, bars: pd.DataFrame, bands: pd.DataFrame) -> None:
    width_ms = int(_CLOSE_UP / timedelta(milliseconds=1))
    busiest = int((bars["end_ms"] // width_ms).value_counts().index[0]) * width_ms
    own, near = (f[(f["end_ms"] > busiest) & (f["end_ms"] <= busiest + width_ms)] for f in (bars, bands))
    axes.fill_between(
        _times(near), near["lower"].to_numpy(dtype=float), near["upper"].to_numpy(dtype=float),
        color=_LIGHT, linewidth=0,
    )  # fmt: skip
    axes.plot(_times(near), near["mid"], color=_GREY, linewidth=1, label="middle band")
    axes.vlines(_times(own), own["l"], own["h"], color=_INK, linewidth=1.1, label="low to high")
    axes.plot(_times(own), own["o"], linestyle="none", marker=0, color=_INK, markersize=3)
    axes.plot(
        _times(own), own["c"], linestyle="none", marker=1, color=_INK, markersize=3, label="open (left), close (right)"
    )
    axes.set_title(f"The busiest five minutes: {len(own):,} bars", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="best", ncols=3)
    _dated(axes)


def _difference(axes: Axes, place: int, field: FieldVerdict) -> None:
    colour = _RED if field.differences else _INK
    if not field.unequal:
        axes.plot(_EQUAL, place, "o", color=_INK, markersize=4.5, markerfacecolor="white")
        return
    if field.worst_share > 0:
        worst, typical = (_placed(share) for share in (field.worst_share, field.typical_share))
        axes.plot([typical, worst], [place, place], color=colour, linewidth=1)
        axes.plot(typical, place, "|", color=colour, markersize=6)
        axes.plot(worst, place, "o", color=colour, markersize=4.5)
    if field.nulls_on_one_side:
        axes.plot(_NULL, place, "X", color=_RED, markersize=6)


def _placed(share: float) -> float:
    return _EXACT if share == np.inf else min(max(share, _LEFT), _RIGHT)


def _label(table: str, field: FieldVerdict) -> str:
    return f"{table}  {field.name}" + ("  (exact)" if field.tolerance == "exact" else "")


def _caption(rows: Sequence[tuple[str, FieldVerdict]]) -> str:
    if not any(field.unequal for _, field in rows):
        return "Every value of every field is equal to the last bit."
    return "Dot: the largest; bar: half of the unequal values differ by less. Hollow: all are equal to the last bit."


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _broken(frame: pd.DataFrame) -> pd.DataFrame:
    """With an empty row where nothing was traded for long: neither line nor band crosses it."""
    before_gap = frame[frame["end_ms"].diff().shift(-1) > _GAP / timedelta(milliseconds=1)]
    empty = before_gap[["end_ms"]] + 1
    return pd.concat([frame, empty]).sort_values("end_ms", kind="stable")


def _times(frame: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(frame["end_ms"], unit="ms", utc=True))


def _dated(axes: Axes) -> None:
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=5, maxticks=12))  # type: ignore[no-untyped-call]
    begin, end = axes.get_xlim()
    clock = "%H:%M" if (end - begin) * timedelta(days=1) > _SECONDS_SHOWN_BELOW else "%H:%M:%S"
    axes.xaxis.set_major_formatter(DateFormatter(clock))  # type: ignore[no-untyped-call]
    axes.set_xlabel("UTC", fontsize=8)
    axes.margins(x=0.01)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, labelsize=8)
