"""Values, times and names as the picture and the page have them; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter

from ta_pipeline.figures import compact, duration
from ta_pipeline.metrics.panel import Unit
from ta_pipeline.metrics.span import Span

_TICKS = 8
_EVERY = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0, 86_400.0)
_LEGEND_ROWS, _LEGEND_CHARACTERS = 4, 72
"""What has place below a panel; a row has one name or two."""


def shown(value: float, unit: Unit) -> str:
    """A value with its unit, short."""
    if math.isnan(value):
        return "-"
    if unit == "seconds":
        return duration(value * 1_000)
    if unit == "share":
        return f"{value:.0%}"
    if unit == "bytes":
        return _sized(value)
    number = compact(round(value)) if unit == "count" or abs(value) >= 100 else f"{value:.3g}"
    return f"{number}/s" if unit == "per second" else number


def _sized(size: float) -> str:
    for name in ("B", "kB", "MB"):
        if abs(size) < 1_000:
            return f"{size:.3g} {name}"
        size /= 1_000
    return f"{size:.3g} GB"


def axis_of(unit: Unit, top: float) -> FuncFormatter:
    """The numbers of an axis that ends at `top`, all in the unit that fits its end."""
    if unit == "bytes":
        return FuncFormatter(lambda value, _: _sized(value) if value else "0")
    size, name = 1.0, {"per second": "/s"}.get(unit, "")
    if unit == "share":
        size, name = 0.01, "%"
    elif unit == "seconds":
        steps = ((1.0, 0.001, " ms"), (180.0, 1.0, " s"), (10_800.0, 60.0, " min"))
        size, name = next(((size, name) for below, size, name in steps if top < below), (3_600.0, " h"))
    return FuncFormatter(lambda value, _: "0" if value == 0 else _tick(value / size) + name)


def _tick(value: float) -> str:
    return compact(value) if value >= 10_000 else f"{value:,.4g}"


def ticks_in(span: Span) -> tuple[list[float], str]:
    """Round times within a span, at most `_TICKS` of them, and how they are written."""
    every = next((every for every in _EVERY if (span.end - span.start) / every <= _TICKS), _EVERY[-1] * 7)
    first = math.ceil(span.start / every) * every
    ticks = [first + every * number for number in range(_TICKS + 1)]
    form = "%H:%M:%S" if every < 60 else "%H:%M" if every < 86_400 else "%m-%d"
    return [at for at in ticks if at <= span.end], form


def labels_in(labels: Sequence[str]) -> tuple[list[str], int]:
    """The labels as they have place below a panel, and in how many columns; what is cut is the name, not its values."""
    half = _LEGEND_CHARACTERS // 2
    columns = 1 if len(labels) <= _LEGEND_ROWS - 1 and max(map(len, labels), default=0) > half else 2
    most = _LEGEND_CHARACTERS // columns
    cut = []
    for label in labels:
        name, colon, values = label.rpartition(": ") if ": " in label else (label, "", "")
        room = max(4, most - len(colon) - len(values))
        cut.append((name if len(name) <= room else name[: room - 1] + "…") + colon + values)
    return cut, columns
