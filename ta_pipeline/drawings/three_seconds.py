"""Three seconds on each topic, one of them with a late trade, and when a reader is handed which record of them."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from ta_pipeline.drawings.ink import BLACK, GREY, LATE, LIGHT, SEEN, save, sheet

_LANES = {"bars": 0.0, "signals": 1.0, "live": 2.0, "market": 3.0}
_SECONDS = {"A": 0.0, "B": 1.0, "C": 2.0}
_COMMITS = (6.0, 16.0)
_LATE_AT = 5.2
"""A trade of second B comes so late."""
_END = 18.0


def draw(path: Path) -> None:
    """Write the drawing."""
    figure, axes = sheet(11.0, 4.5)
    _lanes(axes)
    for name, begin in _SECONDS.items():
        _second(axes, name, begin)
    _commits(axes)
    _revision(axes)
    axes.set_xlim(-2.9, _END)
    axes.set_ylim(-0.85, 3.4)
    axes.set_yticks([])
    axes.set_xticks(range(0, int(_END) + 1, 2))
    axes.set_xlabel("seconds by the clock", fontsize=9, color=BLACK)
    axes.tick_params(labelsize=8, colors=BLACK)
    axes.spines["left"].set_visible(False)
    save(figure, path)


def _lanes(axes: Axes) -> None:
    labels = {
        "market": "the market", "live": "ta.signals.live.v1", "signals": "ta.signals.v1", "bars": "ta.bars.1s.v1",
    }  # fmt: skip
    notes = {"market": "trades and quotes", "live": "at once", "signals": "when committed", "bars": "when committed"}
    for lane, height in _LANES.items():
        axes.plot([-0.2, _END], [height, height], color=LIGHT, linewidth=1, zorder=0)
        axes.text(-0.4, height + 0.05, labels[lane], ha="right", va="bottom", fontsize=9, color=BLACK)
        axes.text(-0.4, height - 0.05, notes[lane], ha="right", va="top", fontsize=8, color=GREY)


def _second(axes: Axes, name: str, begin: float) -> None:
    axes.barh(_LANES["market"], 0.94, left=begin + 0.03, height=0.3, color=LIGHT, edgecolor=GREY, linewidth=0.8)
    axes.text(begin + 0.5, _LANES["market"], name, ha="center", va="center", fontsize=10, color=BLACK)
    updates = [begin + 0.2 + 0.1 * number for number in range(9)]
    axes.scatter(updates, [_LANES["live"]] * len(updates), s=16, color=SEEN, zorder=3)


def _commits(axes: Axes) -> None:
    for at in _COMMITS:
        axes.plot([at, at], [-0.35, 1.45], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.text(at, 1.5, "a checkpoint\ncommits", ha="center", va="bottom", fontsize=8, color=GREY)
    for lane in ("signals", "bars"):
        # Emitted when the watermark, two seconds behind, passes the end of each second.
        for name, begin in _SECONDS.items():
            emitted = begin + 3.0
            axes.scatter([emitted], [_LANES[lane]], s=26, facecolor="white", edgecolor=BLACK, linewidth=1, zorder=3)
            axes.text(emitted, _LANES[lane] + 0.14, name, ha="center", va="bottom", fontsize=8, color=GREY)
        axes.scatter([_COMMITS[0]], [_LANES[lane]], s=46, color=BLACK, zorder=4)
        axes.text(
            _COMMITS[0] + 0.25, _LANES[lane] + 0.1, "A B C, is_final=true, revision 0", ha="left", va="bottom",
            fontsize=8.5, color=BLACK,
        )  # fmt: skip
    axes.text(
        3.2, _LANES["live"] + 0.09, "is_final=false, revision 1, 2, 3, ...: \"newest\", each supersedes the last",
        ha="left", va="bottom", fontsize=8.5, color=SEEN,
    )  # fmt: skip
    axes.annotate(
        "written, not seen by read_committed", (4.0, _LANES["bars"] - 0.08), (1.2, -0.62), fontsize=8, color=GREY,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.7},
    )  # fmt: skip
    axes.text(
        _COMMITS[0] + 0.25, _LANES["signals"] - 0.1, "handed out: \"settles\" where live signals have gone on",
        ha="left", va="top", fontsize=8, color=GREY,
    )  # fmt: skip


def _revision(axes: Axes) -> None:
    axes.scatter([_LATE_AT], [_LANES["market"]], s=34, marker="v", color=LATE, zorder=4)
    axes.text(
        _LATE_AT + 0.2, _LANES["market"] + 0.07, "a trade of B, reported late", ha="left", va="bottom", fontsize=8.5,
        color=LATE,
    )  # fmt: skip
    lane = _LANES["bars"]
    axes.scatter([_COMMITS[1]], [lane], s=46, color=LATE, zorder=4)
    axes.text(
        _COMMITS[1] - 0.2, lane - 0.12, "B again, revision 1: \"revises\", never the newest value", ha="right",
        va="top", fontsize=8.5, color=LATE,
    )  # fmt: skip
