"""One panel on its axes: lines, states, bars, or why there is nothing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ta_pipeline.metrics.panel import Kind, Tone
from ta_pipeline.metrics.picture_texts import axis_of, labels_in, shown, ticks_in
from ta_pipeline.metrics.readings import Line, Reading
from ta_pipeline.metrics.span import Span

INK, GREY, LIGHT, RED, OPEN = "#303030", "#8c8c8c", "#d9d9d9", "#c0392b", "#fdf7e6"
TONES: dict[Tone, str] = {"good": "#5a9e6f", "neutral": "#a0a0a0", "warning": "#e09f3e", "critical": RED}
_LINES = ("#1f6fb4", "#e07b39", "#4a9b8e", "#8a5aa8", "#b0903a", "#5b6b7a")
"""Lines beyond these are grey, and have no name."""
_FAR = 3.0
"""A limit that is so many times above all values is told, not drawn: it would press them to the ground."""
_WRAP = 58
_MOST_STATES = 5


def draw_panel(axes: Axes, reading: Reading, span: Span, opened: Sequence[tuple[float, float]]) -> None:
    """Draw a panel.

    Args:
        axes: where.
        reading: what.
        span: the time from left to right.
        opened: when the session was open; shaded.
    """
    axes.set_title(reading.panel.title, fontsize=9.5, loc="left", color=INK, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(length=2.5, labelsize=7.5, colors=INK)
    if not reading.values:
        _empty(axes, reading)
        return
    _DRAWN[reading.panel.kind](axes, reading, span)
    if reading.panel.kind != "bars":
        _timed(axes, span, opened)


def _empty(axes: Axes, reading: Reading) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("#f6f6f6")
    axes.spines[["left", "bottom"]].set_visible(False)
    head = "no data\n\n" if reading.is_missing else ""
    text = head + textwrap.fill(reading.why_empty, _WRAP, max_lines=7)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=7.5, color=GREY)


def _lines(axes: Axes, reading: Reading, _span: Span) -> None:
    unit = reading.panel.unit
    ranked = sorted(reading.values, key=lambda line: -line.most)
    named = {line.name for line in ranked[: len(_LINES)]}
    for line in reading.values:
        if line.name not in named:
            axes.plot(*_points(line), color=LIGHT, linewidth=0.8, zorder=1)
    shades = iter(_LINES)
    for line in (line for line in reading.values if line.name in named):
        label = f"{line.name}: {shown(line.last, unit)}, max {shown(line.most, unit)}"
        # A point between two gaps is no line.
        size = 2.5 if _is_scattered(line) else 0
        axes.plot(*_points(line), color=next(shades), linewidth=1.3, marker=".", markersize=size, label=label, zorder=2)
    if len(ranked) > len(named):
        axes.plot([], [], color=LIGHT, label=f"and {len(ranked) - len(named)} more")
    highest = max(line.most for line in reading.values)
    top = max([highest, *_limits(axes, reading, highest)])
    axes.set_ylim(0, top * 1.12 if top > 0 else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=unit == "count", steps=[1, 2, 3, 5, 10]))
    axes.yaxis.set_major_formatter(axis_of(unit, top))
    _legend(axes)


def _limits(axes: Axes, reading: Reading, highest: float) -> Iterable[float]:
    """Draw what the values should stay below; gives what was drawn."""
    unit = reading.panel.unit
    dashed: dict[str, Any] = {"color": RED, "linewidth": 1, "linestyle": (0, (5, 3)), "zorder": 3}
    for threshold in reading.panel.thresholds:
        if highest <= 0 or threshold.value <= _FAR * highest:
            axes.axhline(threshold.value, label=f"{threshold.name}: {shown(threshold.value, unit)}", **dashed)
            yield threshold.value
        else:
            axes.plot([], [], label=f"{threshold.name}: {shown(threshold.value, unit)}, far above", **dashed)
    for line in (line for line in reading.lines if line.is_limit):
        if highest <= 0 or line.most <= _FAR * highest:
            axes.plot(*_points(line), label=f"{line.name}: {shown(line.last, unit)}", **dashed)
            yield line.most
        else:
            axes.plot([], [], label=f"{line.name}: {shown(line.last, unit)}, far above", **dashed)


def _states(axes: Axes, reading: Reading, span: Span) -> None:
    colours = {state.value: TONES[state.tone] for state in reading.panel.states}
    lines = reading.values
    if len(lines) > _MOST_STATES:
        # Those that still are something before those that were.
        lines = tuple(sorted(lines, key=lambda line: math.isnan(line.last)))
    for place, line in enumerate(lines[:_MOST_STATES]):
        for begin, end, value in spells(line, span.step):
            colour = colours.get(int(value), GREY)
            axes.barh(place, _day(end) - _day(begin), left=_day(begin), height=0.4, color=colour, linewidth=0)
        # Above its bar, not beside the axes: all panels begin at the same place.
        text = textwrap.shorten(line.name, _WRAP, placeholder="…")
        axes.annotate(
            text,
            (0, place - 0.24),
            (2, 1),
            ("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            va="bottom",
        )
    hidden = len(reading.values) - _MOST_STATES
    if hidden > 0:
        axes.text(1.0, 1.04, f"and {hidden} more", transform=axes.transAxes, ha="right", fontsize=7, color=GREY)
    axes.set_ylim(max(len(reading.values) - max(hidden, 0), 2) - 0.6, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    seen = {int(value) for line in reading.values for _, value in line.points if not math.isnan(value)}
    states = [state for state in reading.panel.states if state.value in seen]
    _legend(axes, [Patch(color=TONES[state.tone], label=state.name) for state in states])


def spells(line: Line, step: float) -> list[tuple[float, float, float]]:
    """From when to when a line had which value; pure. A point speaks for the step before it."""
    found: list[tuple[float, float, float]] = []
    for at, value in line.points:
        if math.isnan(value):
            continue
        if found and found[-1][2] == value and at - step <= found[-1][1]:
            found[-1] = (found[-1][0], at, value)
        else:
            found.append((at - step, at, value))
    return found


def _bars(axes: Axes, reading: Reading, _span: Span) -> None:
    unit, ranked = reading.panel.unit, reading.values
    axes.barh([line.name for line in ranked], [line.last for line in ranked], height=0.6, color=_LINES[0])
    for place, line in enumerate(ranked):
        text = shown(line.last, unit)
        axes.annotate(text, (line.last, place), (3, 0), textcoords="offset points", va="center", fontsize=7, color=INK)
    axes.set_ylim(max(len(ranked), 5) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(axis_of(unit, max((line.last for line in ranked), default=0.0)))


_DRAWN: dict[Kind, Callable[[Axes, Reading, Span], None]] = {
    "now": _lines, "lines": _lines, "states": _states, "bars": _bars,
}  # fmt: skip


def _timed(axes: Axes, span: Span, opened: Sequence[tuple[float, float]]) -> None:
    for begin, end in opened:
        axes.axvspan(_day(begin), _day(end + span.step), color=OPEN, linewidth=0, zorder=0)
    ticks, form = ticks_in(span)
    axes.set_xticks([_day(at) for at in ticks], [f"{datetime.fromtimestamp(at, UTC):{form}}" for at in ticks])
    axes.set_xlim(_day(span.start), _day(span.end))
    axes.grid(axis="y", color=LIGHT, linewidth=0.4, zorder=0)
    axes.set_axisbelow(True)


def _legend(axes: Axes, handles: list[Patch] | None = None) -> None:
    """Below the axes, where it hides nothing."""
    found, labels = axes.get_legend_handles_labels()
    labels, columns = (labels_in(labels)) if handles is None else ([str(one.get_label()) for one in handles], 3)
    axes.legend(
        handles or found, labels, frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(-0.02, -0.115),
        ncols=columns, handlelength=1.4, columnspacing=1.2, labelspacing=0.25, borderaxespad=0.2, labelcolor=INK,
    )  # fmt: skip


def _points(line: Line) -> tuple[list[float], list[float]]:
    return [_day(at) for at, _ in line.points], [value for _, value in line.points]


def _is_scattered(line: Line) -> bool:
    return sum(math.isnan(value) for _, value in line.points) > len(line.points) / 4


def _day(at: float) -> float:
    """Epoch seconds as matplotlib has them: days."""
    return float(date2num(datetime.fromtimestamp(at, UTC)))  # type: ignore[no-untyped-call]
