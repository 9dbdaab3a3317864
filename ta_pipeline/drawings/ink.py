"""Colours and sheets that the drawings share: greys, a colour for what a reader sees, and one for what is late."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLACK = "#202020"
GREY = "#7a7a7a"
LIGHT = "#d4d4d4"
SEEN = "#1565c0"
"""What is on a topic, for whoever reads it."""
LATE = "#c0392b"
"""What comes when its second is over."""


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure of this size, in inches, without a frame above and at the right."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, without what differs from one machine to the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
