"""The report: one picture of all panels, and a page that says what each of them shows now, and why one is empty."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ta_pipeline.errors import SettingsError
from ta_pipeline.metrics.panel import Row
from ta_pipeline.metrics.panels import ROWS
from ta_pipeline.metrics.picture import draw, verdict
from ta_pipeline.metrics.picture_texts import shown
from ta_pipeline.metrics.prometheus import Prometheus
from ta_pipeline.metrics.readings import Asked, Reading, open_spans, read, targets_of

PAGE, PICTURE = "report.md", "report.png"


def write_report(prometheus: Prometheus, asked: Asked, out: Path, rows: Sequence[Row] = ROWS) -> list[Reading]:
    """Ask Prometheus, and write `report.md` and `report.png` to `out`, made when missing; gives what was read.

    Raises:
        PrometheusError: Prometheus refused a query, or does not answer.
        SettingsError: `out` is no folder, or cannot be written to.
    """
    targets, unknown = targets_of(prometheus)
    readings = read(prometheus, rows, asked, targets)
    opened = open_spans(prometheus, asked)
    try:
        out.mkdir(parents=True, exist_ok=True)
        draw(readings, asked, opened, out / PICTURE)
        (out / PAGE).write_text(page(readings, asked, prometheus.place, unknown), encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"--out {str(out)!r} is not allowed: nothing can be written there ({error.strerror}: {error.filename}); "
            f"give a folder in which {PAGE} and {PICTURE} may be made, or one that is to be made"
        ) from None
    return [reading for row in readings.values() for reading in row]


def page(readings: Mapping[str, Sequence[Reading]], asked: Asked, source: str, unknown: str = "") -> str:
    """The page, as Markdown; pure.

    Args:
        readings: of each row, by its title.
        asked: time and job.
        source: Prometheus' URL.
        unknown: why it is not known which endpoints are scraped; empty: it is.
    """
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (asked.span.start, asked.span.end))
    everything = [reading for row in readings.values() for reading in row]
    lines = [
        f"# Technical analysis: {asked.deployment}",
        "",
        f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC, from {source}",
        "",
        f"![All panels]({PICTURE})",
        "",
        *_above(everything),
        *_empty(everything),
        *_unknown(unknown),
    ]
    for title, row in readings.items():
        lines += [f"## {title}", "", "| panel | line | now | most | limit | |", "| --- | --- | --- | --- | --- | --- |"]
        lines += [text for reading in row for text in _rows(reading)]
        lines.append("")
    return "\n".join(lines)


def _above(readings: Iterable[Reading]) -> Iterator[str]:
    found = [reading for reading in readings if verdict(reading) == "above the limit"]
    if found:
        yield "## Above the limit now"
        yield ""
        yield from (f"- **{_cell(one.panel.title)}**: {_cell(one.panel.description)}" for one in found)
        yield ""


def _empty(readings: Iterable[Reading]) -> Iterator[str]:
    found = [reading for reading in readings if reading.is_missing]
    if found:
        yield "## Without data"
        yield ""
        yield from (f"- **{_cell(one.panel.title)}**: {_cell(one.why_empty)}" for one in found)
        yield ""


def _unknown(why: str) -> Iterator[str]:
    if why:
        yield "## Endpoints"
        yield ""
        yield (
            "Which endpoints are scraped is not known, so none of the reasons here says that one is away, and a panel "
            f"of what is seldom may be empty for that: {_cell(why)}"
        )
        yield ""


def _rows(reading: Reading) -> Iterator[str]:
    unit = reading.panel.unit
    title, limit = _cell(reading.panel.title), "" if math.isnan(reading.limit) else shown(reading.limit, unit)
    if not reading.values:
        yield f"| {title} | | | | {limit} | {verdict(reading)} |"
    for number, line in enumerate(reading.values):
        first = not number
        values = [_value(line.last, reading), _value(line.most, reading)]
        yield (
            f"| {title if first else ''} | {_cell(line.name)} | {' | '.join(values)} | {limit if first else ''} | "
            + (f"{verdict(reading) if first and not reading.panel.states else ''} |")
        )


def _value(value: float, reading: Reading) -> str:
    names = {state.value: state.name for state in reading.panel.states}
    if names and not math.isnan(value):
        return names.get(int(value), f"{value:g}")
    return shown(value, reading.panel.unit)


def _cell(text: str) -> str:
    """In a table, and no markup."""
    return text.replace("|", "\\|").replace("\n", " ")
