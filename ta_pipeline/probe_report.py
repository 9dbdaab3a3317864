"""What `ta probe` found: the report, what in it is a failure, and how it looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ta_pipeline.figures import duration
from ta_pipeline.latency import LatencySummary

SHOWN_SYMBOLS = 20


@dataclass(frozen=True)
class PathReport:
    """One path of the records: live, final, ..."""

    records: int
    symbols: int
    per_second: float
    duplicates: int
    """The same key and revision again; on a final topic that breaks exactly-once."""
    latency: LatencySummary
    """The reader's clock minus `last_event_ts`, first revisions only on final topics; of 1-minute signals minus the
    end of the bar."""


@dataclass(frozen=True)
class Finding:
    """Something that should not be: how often, of how many that could be judged, and a few examples."""

    count: int
    judged: int
    examples: tuple[str, ...] = ()
    closed: int = 0
    """Those whose missing record came after all, within ten minutes."""

    @property
    def open(self) -> int:
        """Those that are still missing something."""
        return self.count - self.closed


@dataclass(frozen=True)
class ProbeReport:
    """What a probe saw in `seconds`."""

    seconds: float
    live: PathReport
    final: PathReport
    """Final signals of 1 second."""
    final_1m: PathReport
    bars: PathReport
    revised_bars: int
    """Bars given again because a trade, cancel or correction came late."""
    signals_without_bar: Finding
    out_of_order: Finding
    """Final signals behind a newer one of their symbol and timeframe."""
    live_without_final: Finding
    """Seconds with live updates whose bar or signal did not come within `final_within_ms`. A cancel that takes the
    only volume of a second does that too."""
    final_within_ms: int
    staleness_ms: Mapping[str, int]
    """By symbol: now minus the newest `last_event_ts` on any topic."""
    undecodable: Mapping[str, int]
    """Records that could not be read, by reason."""

    @property
    def final_duplicates(self) -> int:
        """Duplicates on the final topics together."""
        return self.final.duplicates + self.final_1m.duplicates + self.bars.duplicates

    @property
    def failures(self) -> tuple[str, ...]:
        """Why the probe failed; empty when it did not."""
        found = []
        if self.final_duplicates:
            found.append(f"duplicates on the final topics, which are exactly-once: {self.final_duplicates}")
        finals = self.final.records + self.final_1m.records + self.bars.records
        if not finals and not self.live.records:
            found.append(
                f"nothing was received in {self.seconds:.0f} s; is the job running (`ta job status`), and fed?"
            )
        elif self.seconds * 1_000 <= self.final_within_ms:
            pass  # too short to say that one of the two paths is silent
        elif not finals:
            found.append(
                f"nothing final was received in {self.seconds:.0f} s though live signals were; do its checkpoints "
                "complete (`ta job status`)?"
            )
        elif not self.live.records:
            found.append(f"no live signal was received in {self.seconds:.0f} s though final records were")
        return tuple(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth a look, and no failure."""
        found = []
        if self.live.duplicates:
            found.append(f"duplicates on the live topic, which is at-least-once: {self.live.duplicates}")
        for finding, text in (
            (self.signals_without_bar, "final signals without a bar"),
            (self.out_of_order, "final signals behind a newer one of their symbol"),
            (self.live_without_final, f"live seconds with nothing final within {self.final_within_ms / 1_000:g} s"),
        ):
            if finding.count:
                examples = ", ".join(finding.examples)
                later = f" ({finding.closed} came later)" if finding.closed else ""
                found.append(f"{text}: {finding.count} of {finding.judged}{later}, {examples}")
        for reason, count in sorted(self.undecodable.items()):
            found.append(f"records that could not be read, {reason}: {count}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        report = asdict(self)
        report["staleness_ms"] = dict(self.staleness_ms)
        report["undecodable"] = dict(self.undecodable)
        report["final_duplicates"] = self.final_duplicates
        report["failures"] = list(self.failures)
        report["warnings"] = list(self.warnings)
        return report


def render(report: ProbeReport) -> RenderableType:
    """The report as tables and lines."""
    title = Text(f"event to signal, over {report.seconds:.0f} s", "bold")
    parts: list[RenderableType] = [title, _paths(report), _findings(report)]
    if report.staleness_ms:
        parts.append(_staleness(report.staleness_ms))
    parts += [Text(f"! {line}", style="yellow") for line in report.warnings]
    parts += [Text(f"✗ {line}", style="bold red") for line in report.failures]
    if not report.failures:
        finals = report.final.records + report.final_1m.records + report.bars.records
        parts.append(Text(f"✓ no duplicates among {finals:,} final records", style="green"))
    return Group(*parts)


def _paths(report: ProbeReport) -> Table:
    table = Table("", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("records", "per s", "symbols", "p50", "p95", "p99", "max", "twice"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, path in (
        ("live signals", report.live), ("final signals", report.final), ("1-minute signals", report.final_1m),
        ("final bars", report.bars),
    ):  # fmt: skip
        times = (path.latency.p50_ms, path.latency.p95_ms, path.latency.p99_ms, path.latency.max_ms)
        duplicates = Text(str(path.duplicates), style="" if not path.duplicates else "bold red")
        table.add_row(
            name, f"{path.records:,}", f"{path.per_second:.1f}", str(path.symbols), *map(duration, times), duplicates
        )
    return table


def _findings(report: ProbeReport) -> Table:
    table = Table("gaps", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("found", justify="right")
    table.add_column("of", justify="right")
    within = f"{report.final_within_ms / 1_000:g} s"
    for name, finding in (
        ("final signals without a bar", report.signals_without_bar),
        ("final signals out of order", report.out_of_order),
        (f"live seconds with nothing final within {within}", report.live_without_final),
    ):
        found = Text(f"{finding.count:,}", style="yellow" if finding.count else "green")
        table.add_row(name, found, f"{finding.judged:,}")
    table.add_row("bars given again (late trades, cancels)", f"{report.revised_bars:,}", f"{report.bars.records:,}")
    return table


def _staleness(staleness_ms: Mapping[str, int]) -> Text:
    stalest = sorted(staleness_ms.items(), key=lambda item: (-item[1], item[0]))
    text = Text("staleness   ", style="bold")
    for symbol, ms in stalest[:SHOWN_SYMBOLS]:
        text.append(f"{symbol} ", style="not bold")
        text.append(duration(ms), style="not bold yellow" if ms > 30_000 else "not bold dim")
        text.append("   ")
    if len(stalest) > SHOWN_SYMBOLS:
        text.append(f"and {len(stalest) - SHOWN_SYMBOLS} fresher ones", style="not bold dim")
    return text
