"""One second of one symbol on its two paths, from its first trade to the final record that a reader sees."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ta_pipeline.drawings.ink import BLACK, GREY, LIGHT, SEEN, save, sheet
from ta_pipeline.settings import Settings

TRADES = (0.07, 0.18, 0.31, 0.52, 0.58, 0.83, 0.94)
"""When they come, seconds after the second's begin."""
CHECKPOINT = 5.4
"""When the next one completes: somewhere within the interval."""
IN, LIVE, FINAL, READER = 3, 2, 1, 0
_NAMES = {
    IN: "trades", LIVE: "live path\nis_final=false", FINAL: "final path\nis_final=true",
    READER: "what a committed\nreader sees",
}  # fmt: skip


def draw(path: Path) -> None:
    """Write the drawing."""
    settings = Settings.model_construct()
    closed = 1.0 + settings.max_out_of_orderness_ms / 1_000
    figure, axes = sheet(9.6, 4.3)
    for row in _NAMES:
        axes.axhline(row, color=LIGHT, lw=1.0, zorder=0)
    axes.add_patch(Rectangle((0, -0.5), 1.0, 4.0, color="#f0f0f0", zorder=-1))
    axes.text(0.5, 3.56, "the second", ha="center", fontsize=9, color=GREY)
    axes.plot([*TRADES, closed], [IN] * (len(TRADES) + 1), "o", color=BLACK, ms=5)
    _live(axes, settings.live_slice_ms / 1_000)
    # The next trades move event time on, and with it the watermark.
    axes.text(closed + 0.1, IN + 0.12, f"a trade of {closed:g} s:\nthe watermark is at 1 s", fontsize=9, color=BLACK)
    _arrow(axes, closed, IN - 0.08, FINAL + 0.06)
    axes.plot([closed, CHECKPOINT], [FINAL] * 2, color=GREY, lw=5, solid_capstyle="butt", alpha=0.6)
    axes.plot(closed, FINAL, "s", color=GREY, ms=7)
    held = "written in an open transaction:\nno committed reader sees it"
    axes.text((closed + CHECKPOINT) / 2, FINAL + 0.14, held, ha="center", fontsize=9, color=GREY)
    _arrow(axes, CHECKPOINT, FINAL, READER + 0.08)
    commits = "a checkpoint completes,\nthe transaction commits"
    axes.text(CHECKPOINT + 0.12, FINAL - 0.12, commits, va="top", fontsize=9, color=BLACK)
    axes.plot(CHECKPOINT, READER, "s", color=SEEN, ms=8)
    axes.text(CHECKPOINT + 0.12, READER + 0.05, "final, revision 0", va="bottom", fontsize=9, color=SEEN)
    axes.set(xlim=(-0.15, 7.4), ylim=(-0.5, 3.8), xlabel="wall clock, seconds after the second began")
    axes.set_yticks(list(_NAMES), list(_NAMES.values()))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    save(figure, path)


def _live(axes: Axes, slice_seconds: float) -> None:
    """A provisional signal at the end of each slice that has a trade."""
    ends = sorted({(int(at / slice_seconds) + 1) * slice_seconds for at in TRADES})
    axes.plot(ends, [LIVE] * len(ends), "o", color=SEEN, ms=6, mfc="white", mew=1.5)
    said = "seen at once;\neach supersedes the last"
    axes.text(1.12, LIVE + 0.1, said, va="bottom", fontsize=9, color=SEEN)


def _arrow(axes: Axes, at: float, begin: float, end: float) -> None:
    axes.annotate("", (at, end), (at, begin), arrowprops={"arrowstyle": "->", "color": BLACK})
