"""How far event time is, seen from four places: the newest trade, live signals, the watermark, committed finals.

A market of one trade after the other that arrives at once; the default settings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ta_pipeline.drawings.ink import BLACK, GREY, LIGHT, SEEN, save, sheet
from ta_pipeline.settings import Settings

SECONDS = 34.0
FIRST_CHECKPOINT = 4.0
"""Wall-clock time of the first one in the drawing: they do not wait for the market."""


def draw(path: Path) -> None:
    """Write the drawing."""
    settings = Settings.model_construct()
    delay, interval = settings.max_out_of_orderness_ms / 1_000, settings.checkpoint_interval_ms / 1_000
    figure, axes = sheet(9.2, 5.2)
    wall = np.arange(0.0, SECONDS, 0.02)
    checkpoints = np.arange(FIRST_CHECKPOINT, SECONDS, interval)
    # A checkpoint commits the seconds that the watermark has passed by then.
    committed = np.floor(np.maximum(checkpoints - delay, 0.0))
    axes.plot(wall, wall, color=GREY, lw=1.4)
    axes.plot(wall, wall - delay, color=BLACK, lw=1.8)
    axes.step([0.0, *checkpoints, SECONDS], [0.0, *committed, committed[-1]], where="post", color=SEEN, lw=2.4)
    for at in checkpoints:
        axes.axvline(at, color=LIGHT, lw=1.0, zorder=0)
        axes.text(at, -1.2, "checkpoint", ha="center", va="bottom", fontsize=8, color=GREY)
    axes.text(
        9.0, 10.1, "newest trade, and live signals\n0.1 s behind it", ha="right", va="bottom", fontsize=9, color=GREY
    )
    axes.text(33.6, 22.9, f"watermark:\nnewest trade - {delay:g} s", ha="right", fontsize=9, color=BLACK)
    axes.text(
        19.0,
        committed[1] - 0.4,
        "final records that a\nread_committed reader sees",
        fontsize=9,
        color=SEEN,
        va="top",
        ha="center",
    )
    before = checkpoints[2] - 0.1
    _behind(axes, before, committed[1])
    axes.text(
        before + 0.6, 17.0, f"just before a checkpoint:\n{delay:g} s + {interval:g} s behind", fontsize=9, color=SEEN
    )
    _behind(axes, checkpoints[1] + 0.1, committed[1])
    axes.text(checkpoints[1] - 0.4, 16.6, f"just after:\n{delay:g} s behind", fontsize=9, color=SEEN, ha="right")
    axes.set(xlim=(0, SECONDS), ylim=(-1.4, SECONDS), xlabel="wall clock, s", ylabel="event time, s")
    save(figure, path)


def _behind(axes: Axes, at: float, seen: float) -> None:
    """How far readers are behind the newest trade at this moment."""
    style = {"arrowstyle": "<->", "color": SEEN, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (at, at), (at, seen), arrowprops=style)
