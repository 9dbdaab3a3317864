"""What a campaign found, as Markdown with a picture under docs/benchmarks/."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ta_pipeline.bench.machine import machine
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.settings import Settings
from tests.faults.campaign import RATE, SYMBOLS, Outcome, Proof
from tests.faults.faults import KILL
from tests.jobs import FAST

FOLDER = REPOSITORY / "docs" / "benchmarks"
_GREYS = {"broken": "#e4e4e4", "ready": "#b0b0b0", "committed": "#606060"}


def write(proof: Proof, seed: int, settings: Settings, left_out: Sequence[str], folder: Path = FOLDER) -> Path:
    """Write report and picture; returns the report's path.

    Args:
        proof: of a campaign that ended well.
        seed: it was drawn with.
        settings: that point at the stack.
        left_out: faults that this machine does not allow.
        folder: for both files.
    """
    when = datetime.now(UTC)
    report = folder / f"faults-{when:%Y-%m-%d-%H%M}.md"
    picture = report.with_suffix(".png")
    draw(proof.outcomes, picture)
    flink = str(FlinkRest(settings.flink_rest_url).overview()["flink-version"])
    rows = [_row(number, outcome) for number, outcome in enumerate(proof.outcomes, 1)]
    parts = [
        f"# Faults, {when:%Y-%m-%d %H:%M} UTC",
        f"{len(proof.outcomes)} faults, seed {seed}, in {proof.seconds / 60:.0f} minutes under a market of {RATE} "
        f"messages/s in {SYMBOLS} symbols, {proof.sent:,} in all; a checkpoint every "
        f"{FAST['checkpoint_interval_ms'] / 1_000:g} s. Nothing was lost and nothing doubled: {proof.bars:,} bars and "
        f"{proof.signals:,} signals are what a bounded run gives for the log as it was written, key by key, value by "
        f"value and in the order of each symbol; ClickHouse has {proof.rows:,} keys with the same values; every final "
        f"key has a live update ({proof.live_keys:,} keys).",
        *([f"Left out, this machine does not allow it: {', '.join(left_out)}."] if left_out else []),
        "## Aims",
        _table(("aim", "figure", ""), _aims(proof.outcomes)),
        f"![Recovery from each fault]({picture.name})",
        "## Recovery by kind",
        "From the kill, or from the end of the fault, in seconds: median, 95th percentile, longest.",
        _table(
            ("fault", "times", "committed again", "of it after the component was back", "no live record for"),
            _kinds(proof),
        ),
        "## Every fault, in its order",
        _table(
            (
                "",
                "at",
                "fault",
                "lasted",
                "back",
                "all ready",
                "committed",
                "no committed record for",
                "no live record for",
            ),
            rows,
        ),
        "## Machine",
        _table(("", ""), list(machine(flink).items())),
    ]
    report.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return report


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """One line a fault: how long it lasted, until all was ready, until records were committed again."""
    figure = Figure(figsize=(8.5, 0.6 + 0.24 * len(outcomes)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, outcome in enumerate(outcomes):
        label = {name: name if row == 0 else "_" for name in ("broken", "ready", "committed", "live")}
        start, back = outcome.broken, outcome.broken + outcome.back
        axes.barh(row, start, 0.7, color=_GREYS["broken"], label=label["broken"])
        axes.barh(row, outcome.back, 0.7, left=start, color=_GREYS["ready"], label=label["ready"])
        axes.barh(
            row, outcome.committed_after_back, 0.7, left=back, color=_GREYS["committed"], label=label["committed"]
        )
        axes.plot(outcome.live_silence, row, "|", color="black", markersize=8, label=label["live"])
    axes.set_yticks(range(len(outcomes)), [outcome.fault.name for outcome in outcomes], fontsize=7)
    axes.invert_yaxis()
    axes.set_ylim(len(outcomes) - 0.4, -0.6)
    axes.set_xlabel("seconds since the fault began", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    handles, _ = axes.get_legend_handles_labels()
    texts = [
        "the fault lasts",
        "until the component is ready",
        "until records are committed again",
        "longest time without a live record",
    ]
    order = {"broken": 0, "ready": 1, "committed": 2, "live": 3}
    handles.sort(key=lambda handle: order[str(handle.get_label())])
    axes.legend(handles, texts, frameon=False, fontsize=7, ncols=4, loc="lower left", bbox_to_anchor=(-0.3, 1.0))
    figure.savefig(path, metadata={"Software": None})


def _aims(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """What recovery has an aim for: text, figure, verdict."""
    rows = []
    for text, component, aim, figure in (
        ("TaskManager killed: signals again within 20 s, 95th percentile", "taskmanager", 20.0, "live_silence"),
        ("JobManager killed: records committed again within 40 s, 95th percentile", "jobmanager", 40.0, "committed"),
        ("broker killed: within 20 s after it is back, longest", "kafka", 20.0, "committed_after_back"),
    ):
        found = [getattr(o, figure) for o in outcomes if (o.fault.kind, o.fault.component) == (KILL, component)]
        worst = max(found) if component == "kafka" else float(np.percentile(found, 95))
        rows.append((text, f"{worst:.1f} s of {len(found)}", "met" if worst <= aim else "not met"))
    return rows


def _kinds(proof: Proof) -> list[tuple[str, ...]]:
    names = sorted({outcome.fault.name for outcome in proof.outcomes})
    groups = [(name, [o for o in proof.outcomes if o.fault.name == name]) for name in names]
    return [
        (
            name, str(len(group)), _spread([o.committed for o in group]),
            _spread([o.committed_after_back for o in group]), _spread([o.live_silence for o in group]),
        )
        for name, group in groups
    ]  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    p50, p95 = np.percentile(values, [50, 95])
    return f"{p50:.1f} / {p95:.1f} / {max(values):.1f}"


def _row(number: int, outcome: Outcome) -> tuple[str, ...]:
    at = time.strftime("%M:%S", time.gmtime(outcome.at))
    figures = (outcome.broken, outcome.back, outcome.ready, outcome.committed, outcome.silence, outcome.live_silence)
    return (str(number), at, outcome.fault.name, *(f"{value:.1f} s" for value in figures))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
