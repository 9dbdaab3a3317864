"""The report's picture: the panels in their rows, as in Grafana, in one PNG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ta_pipeline.figures import duration
from ta_pipeline.metrics.picture_panels import GREY, INK, LIGHT, RED, TONES, draw_panel
from ta_pipeline.metrics.picture_texts import shown
from ta_pipeline.metrics.readings import Asked, Reading

_COLUMNS = 3
_WIDTH, _DPI = 14.0, 100
_MARGIN, _HEAD, _TITLE, _TILE, _PANEL = 0.15, 0.72, 0.42, 0.86, 2.5
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.6, 0.28, 0.3, 0.78
"""Inches, as all of these: what is around the axes of a panel, for its title, numbers and legend."""

Box = tuple[float, float, float, float]
"""Left, top, width and height; the top is measured from the top of the picture."""


def draw(
    readings: Mapping[str, Sequence[Reading]], asked: Asked, opened: Sequence[tuple[float, float]], path: Path
) -> None:
    """Write the picture as PNG.

    Args:
        readings: of each row, by its title.
        asked: time and job.
        opened: when the session was open, as (from, to) in epoch seconds.
        path: of the file.
    """
    # A namespace is a regular expression, and a $ in it begins no formula.
    with rc_context({"text.parse_math": False}):
        _draw(readings, asked, opened, path)


def _draw(
    readings: Mapping[str, Sequence[Reading]], asked: Asked, opened: Sequence[tuple[float, float]], path: Path
) -> None:
    height = _HEAD + sum(_TITLE + _height(row) for row in readings.values()) + _MARGIN
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _head(figure, asked, is_shaded=bool(opened))
    top = _HEAD
    for title, row in readings.items():
        _title(figure, title, top)
        top += _TITLE
        for reading, box in zip(row, _boxes(row, top), strict=True):
            axes = figure.add_axes(_placed(figure, box))
            if _is_now(row):
                _tile(axes, reading)
            else:
                draw_panel(axes, reading, asked.span, opened)
        top += _height(row)
    figure.savefig(path, metadata={"Software": None})


def _boxes(row: Sequence[Reading], top: float) -> Iterator[Box]:
    """Where the axes of a row are."""
    if _is_now(row):
        width = (_WIDTH - _MARGIN) / len(row)
        yield from ((_MARGIN + number * width, top, width - _MARGIN, _TILE - _MARGIN) for number in range(len(row)))
        return
    width = _WIDTH / _COLUMNS
    for number in range(len(row)):
        line, column = divmod(number, _COLUMNS)
        left, above = column * width + _LEFT, top + line * _PANEL + _TOP
        yield left, above, width - _LEFT - _RIGHT, _PANEL - _TOP - _BOTTOM


def _placed(figure: Figure, box: Box) -> Box:
    """A box as shares of the figure, from its bottom."""
    left, top, width, height = box
    wide, high = figure.get_size_inches()
    return left / wide, 1 - (top + height) / high, width / wide, height / high


def _text(figure: Figure, left: float, top: float, text: str, size: float, **more: Any) -> None:
    wide, high = figure.get_size_inches()
    figure.text(left / wide, 1 - top / high, text, fontsize=size, va="center", **more)


def verdict(reading: Reading) -> str:
    """What is to be said of the newest values: `ok`, `above the limit`, `no data`, `none`, a state, or nothing."""
    if not reading.values:
        return "no data" if reading.is_missing else "none"
    if reading.panel.states:
        names = {state.value: state.name for state in reading.panel.states}
        newest = {line.last for line in reading.values}
        return ", ".join(sorted("no data" if math.isnan(one) else names.get(int(one), f"{one:g}") for one in newest))
    if math.isnan(reading.limit):
        return ""
    return "above the limit" if _most_now(reading) >= reading.limit else "ok"


def _height(row: Sequence[Reading]) -> float:
    return _TILE if _is_now(row) else _PANEL * math.ceil(len(row) / _COLUMNS)


def _is_now(row: Sequence[Reading]) -> bool:
    return all(reading.panel.kind == "now" for reading in row)


def _most_now(reading: Reading) -> float:
    return max((line.last for line in reading.values if not math.isnan(line.last)), default=math.nan)


def _head(figure: Figure, asked: Asked, *, is_shaded: bool) -> None:
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (asked.span.start, asked.span.end))
    length = duration((asked.span.end - asked.span.start) * 1_000)
    _text(figure, _MARGIN, 0.27, f"Technical analysis: {asked.deployment}", 17, color=INK)
    text = f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M} UTC ({length}), a point every {asked.span.step:g} s"
    _text(figure, _MARGIN, 0.57, text, 9.5, color=GREY)
    session = "shaded: session open" if is_shaded else "the session was not open, or it is not known"
    _text(figure, _WIDTH - _MARGIN, 0.57, f"red, dashed: a limit; {session}", 9.5, color=GREY, ha="right")


def _title(figure: Figure, title: str, top: float) -> None:
    _text(figure, _MARGIN, top + 0.22, title, 13, color=INK)
    wide, high = figure.get_size_inches()
    height = 1 - (top + 0.02) / high
    figure.add_artist(Line2D([_MARGIN / wide, 1 - _MARGIN / wide], [height, height], color=LIGHT, linewidth=0.8))


def _tile(axes: Axes, reading: Reading) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    colour, text = _of_tile(reading)
    axes.set_facecolor("#f6f6f6")
    axes.add_patch(Rectangle((0, 0), 0.015, 1, transform=axes.transAxes, color=colour, linewidth=0))
    axes.text(0.07, 0.78, reading.panel.title, transform=axes.transAxes, fontsize=8, color=GREY, va="center")
    axes.text(0.07, 0.42, text, transform=axes.transAxes, fontsize=15, color=colour, va="center")
    if not math.isnan(reading.limit):
        limit = f"limit {shown(reading.limit, reading.panel.unit)}"
        axes.text(0.07, 0.13, limit, transform=axes.transAxes, fontsize=7, color=GREY, va="center")


def _of_tile(reading: Reading) -> tuple[str, str]:
    """Colour and text of a figure."""
    value = _most_now(reading) if reading.values else math.nan
    if math.isnan(value):
        return GREY, "no data"
    for state in reading.panel.states:
        if state.value == int(value):
            return TONES[state.tone], state.name
    colour = RED if value >= reading.limit else INK if math.isnan(reading.limit) else TONES["good"]
    return colour, shown(value, reading.panel.unit)
