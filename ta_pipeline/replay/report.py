"""The report of a replay: Markdown with its pictures, as files beside it or inside of it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ta_pipeline.figures import duration
from ta_pipeline.replay.fields import CLOSE
from ta_pipeline.replay.plots import draw_differences, draw_latency, draw_price
from ta_pipeline.replay.validate import Replay
from ta_pipeline.replay.verdict import Comparison, FieldVerdict, TableVerdict

REPORT = "report.md"
_SHOWN = (
    "bar_rules", "session", "symbols", "max_out_of_orderness_ms", "revision_horizon_ms", "vwap_window_seconds",
    "realized_vol_window_seconds", "quote_stale_after_ms", "dedup",
)  # fmt: skip
_MOST_PROBLEMS = 30


@dataclass(frozen=True)
class Picture:
    """One picture of a report."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its file's."""
        return self.path.name

    @property
    def uri(self) -> str:
        """The picture itself, as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def write_report(replay: Replay, out: Path) -> Path:
    """Write `report.md` and its pictures to `out`, made when missing; returns the report's path."""
    pictures = draw(replay, out)
    path = out / REPORT
    path.write_text(render(replay, {picture.text: picture.name for picture in pictures}), encoding="utf-8")
    return path


def draw(replay: Replay, out: Path) -> list[Picture]:
    """Draw what there is to draw as PNG files in `out`, made when missing."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = []
    price = out / "price.png"
    if draw_price(replay.found, price):
        pictures.append(Picture(price, "Price with bars and Bollinger bands"))
    for comparison in replay.verdict.comparisons:
        differences = out / f"differences-{comparison.found_side}.png"
        if draw_differences(comparison, differences):
            pictures.append(Picture(differences, f"Differences of {comparison.found_side}"))
    latency = out / "latency.png"
    if draw_latency(replay.latencies_ms, replay.latency, latency):
        pictures.append(Picture(latency, "Latency"))
    return pictures


def render(replay: Replay, pictures: Mapping[str, str]) -> str:
    """The report.

    Args:
        replay: what was found.
        pictures: where each picture is, by its text: a file's name or a data URI.
    """
    verdict = replay.verdict
    colour = "green" if verdict.is_green else "RED"
    parts = [f"# Replay of {replay.symbol} on {replay.day}: {colour}", verdict.summary() + "."]
    problems = verdict.problems()
    if problems:
        more = [f"and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
        parts.append("\n".join(f"- {line}" for line in [*problems[:_MOST_PROBLEMS], *more]))
    parts += ["## What was replayed", _table(("", ""), _facts(replay))]
    parts += _picture(pictures, "Price")
    for comparison in verdict.comparisons:
        parts += _comparison(comparison)
        parts += _picture(pictures, f"Differences of {comparison.found_side}")
    parts += ["## Latency", *_latency(replay), *_picture(pictures, "Latency")]
    settings = [
        (f"`TA_{name.upper()}`", f"`{value}`" if (value := getattr(replay.settings, name)) != "" else "(all)")
        for name in _SHOWN
    ]
    parts += ["## Settings that decide numbers", _table(("", ""), settings)]
    return "\n\n".join(parts) + "\n"


def _facts(replay: Replay) -> list[tuple[str, str]]:
    read = ", ".join(f"{count:,} {kind}" for kind, count in replay.read.items() if count)
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in replay.steps.items())
    return [
        ("messages", read),
        ("from", replay.source),
        ("replay", replay.replay_id),
        ("time", f"{replay.seconds:.1f} s: {steps}"),
    ]


def _comparison(comparison: Comparison) -> list[str]:
    parts = [f"## {comparison.found_side.capitalize()} against {comparison.expected_side}"]
    counts = [
        (table.name, *(f"{number:,}" for number in (table.expected, table.found, table.missing, table.extra)),
         f"{table.duplicates:,}", f"{table.out_of_order:,}" if table.fields else "-", f"{table.differences:,}")
        for table in comparison.tables
    ]  # fmt: skip
    header = ("records", "expected", "found", "missing", "extra", "twice", "out of order", "values that differ")
    parts.append(_table(header, counts))
    if comparison.notes:
        parts.append("\n".join(f"- {note}" for note in comparison.notes))
    examples = comparison.examples()
    if examples:
        rows = [(example.record, example.field, example.expected, example.found) for example in examples]
        parts += ["First of what differs:", _table(("record", "field", "expected", "found"), rows)]
    fields = [_field(table, field) for table in comparison.tables for field in table.fields]
    names = (
        "",
        "field",
        "compared",
        "tolerance",
        "beyond it",
        "not equal to the last bit",
        "largest",
        "of the value",
        "of the tolerance",
    )
    return [*parts, _table(names, fields)]


def _field(table: TableVerdict, field: FieldVerdict) -> tuple[str, ...]:
    name = f"{field.name} (close)" if field.name == CLOSE else field.name
    worst = ("0", "0", "0")
    if field.unequal:
        worst = (f"{field.worst_absolute:.3g}", f"{field.worst_relative:.1e}", f"{field.worst_share:.1e}")
    if field.nulls_on_one_side:
        worst = (*worst[:2], f"{worst[2]}, {field.nulls_on_one_side:,} nulls")
    beyond = f"**{field.differences:,}**" if field.differences else "0"
    return (table.name, name, f"{field.compared:,}", field.tolerance, beyond, f"{field.unequal:,}", *worst)


def _latency(replay: Replay) -> list[str]:
    found = replay.latency
    if found is None:
        return [replay.latency_note]
    values = (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    row = (f"{found.count:,}", *(duration(value) for value in values))
    return [replay.latency_note, _table(("signals", "p50", "p95", "p99", "max"), [row])]


def _picture(pictures: Mapping[str, str], begins: str) -> Sequence[str]:
    return [f"![{text}]({place})" for text, place in pictures.items() if text.startswith(begins)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
