"""What a probe that never ends saw lately: the last minute and the last five, beside its counts since the start.

`ProbeWindow` is fed like `ta_pipeline.probe.Probe`, and with the job's heartbeats. Its report is what the probe's
server (`ta_pipeline.probe_server`) tells, and what monitoring judges.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

from ta_pipeline.decode import Channel, Head, Record, epoch_ms
from ta_pipeline.errors import BadRecordError
from ta_pipeline.histogram import Histogram
from ta_pipeline.latency import LatencySummary, RecentLatency
from ta_pipeline.probe import Probe
from ta_pipeline.probe_report import ProbeReport
from ta_pipeline.settings import Settings
from ta_pipeline.signals.outputs import MINUTE

SHORT_MS, LONG_MS = 60_000, 300_000
"""The two windows: one that an incident leaves soon, one with samples enough for a 99th percentile."""
_STEP_MS = 10_000
_GAPS = ("signals_without_bar", "live_without_final")
PATHS = ("live", "final", "final_1m", "bars")


class Counts(NamedTuple):
    """Counts of a probe since its start, or within a time."""

    live: int = 0
    finals: int = 0
    """Bars and signals, first and revised."""
    final_duplicates: int = 0
    live_duplicates: int = 0
    signals_without_bar: int = 0
    """Those that have none by now; as `live_without_final`, it falls when what was missing comes late."""
    signals_judged: int = 0
    live_without_final: int = 0
    live_judged: int = 0
    out_of_order: int = 0
    undecodable: int = 0

    @classmethod
    def of(cls, report: ProbeReport) -> Self:
        """Of all that a probe saw."""
        return cls(
            report.live.records,
            report.final.records + report.final_1m.records + report.bars.records,
            report.final_duplicates,
            report.live.duplicates,
            report.signals_without_bar.open,
            report.signals_without_bar.judged,
            report.live_without_final.open,
            report.live_without_final.judged,
            report.out_of_order.count,
            sum(report.undecodable.values()),
        )

    def since(self, earlier: Counts) -> Counts:
        """What came after `earlier`."""
        return Counts(*(now - before for now, before in zip(self, earlier, strict=True)))

    def lately(self, earlier: Sequence[Counts]) -> Counts:
        """What came after the first of some earlier ones; of gaps those that were not closed again.

        What comes late closes gaps, also of before: so they are counted from where they were fewest.
        """
        fewest = {name: min(getattr(one, name) for one in (*earlier, self)) for name in _GAPS}
        grown = {name: getattr(self, name) - number for name, number in fewest.items()}
        return self.since(earlier[0])._replace(**grown)


@dataclass(frozen=True)
class JobBeat:
    """The job's newest heartbeat, and how far its watermark was behind in the last minute of them."""

    came_ms: int
    status: str
    reason: str | None
    watermark_lag_ms: int | None
    watermark_lag_p99_ms: float | None
    trades_per_second: float
    quotes_per_second: float


@dataclass(frozen=True)
class Window:
    """What was seen lately; times are epoch milliseconds, latencies as in `ta_pipeline.probe_report`."""

    at_ms: int
    since_ms: int
    short: Mapping[str, LatencySummary]
    """By path (`PATHS`), of the last `SHORT_MS`."""
    long: Mapping[str, LatencySummary]
    """Of the last `LONG_MS`."""
    recent: Counts
    """Of the last `LONG_MS`, or since the start where that is less."""
    newest_event_ms: Mapping[str, int]
    """By channel: the newest `event_ts`, 1-minute signals left out."""
    job_beat: JobBeat | None


@dataclass(frozen=True)
class WindowReport(Window):
    """What is known now: lately, and since the start."""

    total: ProbeReport
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """Of all latencies since the start, by path."""
    job_counts: Mapping[str, int] = field(default_factory=dict)
    """What the job's heartbeats have counted since the start, by kind of record."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "at_ms": self.at_ms,
            "since_ms": self.since_ms,
            "short": {path: summary.to_dict() for path, summary in self.short.items()},
            "long": {path: summary.to_dict() for path, summary in self.long.items()},
            "recent": self.recent._asdict(),
            "newest_event_ms": dict(self.newest_event_ms),
            "job_beat": asdict(self.job_beat) if self.job_beat else None,
            "total": self.total.to_dict(),
        }


class ProbeWindow:
    """A probe with a memory of minutes; feed it in the order records come. Its memory is bounded, as the probe's is."""

    def __init__(self, settings: Settings, started_ms: int) -> None:
        self._since_ms = started_ms
        self._total = Probe.of(settings, started_ms)
        self._latency = {path: RecentLatency(LONG_MS, LONG_MS // _STEP_MS) for path in PATHS}
        self._lag = RecentLatency(SHORT_MS, SHORT_MS // _STEP_MS)
        self._counts: deque[tuple[int, Counts]] = deque([(started_ms, Counts())])
        self._newest_event_ms: dict[str, int] = {}
        self._histograms = {path: Histogram() for path in PATHS}
        self._job_counts: Counter[str] = Counter()
        self._beat: JobBeat | None = None

    def take(self, channel: Channel, record: Record, now_ms: int) -> None:
        """Take in one record that came at `now_ms`; of other channels than the probe's, the heartbeat.

        Raises:
            BadRecordError: a time in it cannot be read; nothing was taken in.
        """
        if channel == "status":
            self._take_beat(record, now_ms)
            return
        head = self._total.take(channel, record, now_ms)
        if head is None:
            return
        if head.size != MINUTE:
            self._newest_event_ms[channel] = max(head.event_ms, self._newest_event_ms.get(channel, 0))
        if channel == "live" or not head.revision:
            path, took_ms = _path(channel, head), now_ms - head.measured_from_ms
            self._latency[path].add(took_ms, now_ms)
            self._histograms[path].add(took_ms / 1_000)

    def undecodable(self, reason: str) -> None:
        """A record could not be read."""
        self._total.undecodable(reason)

    def report(self, now_ms: int) -> WindowReport:
        """What is known now. Ask at least every few seconds: that is how finely `recent` begins."""
        total = self._total.report(now_ms)
        counts = Counts.of(total)
        if now_ms - self._counts[-1][0] >= _STEP_MS:
            self._counts.append((now_ms, counts))
        while len(self._counts) > 1 and self._counts[1][0] <= now_ms - LONG_MS:
            self._counts.popleft()
        return WindowReport(
            at_ms=now_ms,
            since_ms=self._since_ms,
            short={path: latency.summary(now_ms, SHORT_MS) for path, latency in self._latency.items()},
            long={path: latency.summary(now_ms) for path, latency in self._latency.items()},
            recent=counts.lately([earlier for _, earlier in self._counts]),
            newest_event_ms=dict(self._newest_event_ms),
            job_beat=self._beat,
            total=total,
            histograms={path: histogram.copy() for path, histogram in self._histograms.items()},
            job_counts=dict(self._job_counts),
        )

    def _take_beat(self, record: Record, now_ms: int) -> None:
        lag_ms, window, counts = record.get("watermark_lag_ms"), record.get("window"), record.get("counts") or {}
        if window is None or not isinstance(lag_ms, int | None):
            raise BadRecordError("missing_field", f"a heartbeat with window {window!r}, watermark_lag_ms {lag_ms!r}")
        self._job_counts.update({str(kind): int(number or 0) for kind, number in counts.items()})
        seconds = max(0.001, (epoch_ms(window["end"]) - epoch_ms(window["start"])) / 1_000)
        if lag_ms is not None:
            self._lag.add(lag_ms, now_ms)
        self._beat = JobBeat(
            came_ms=now_ms,
            status=record["status"],
            reason=record.get("status_reason"),
            watermark_lag_ms=lag_ms,
            watermark_lag_p99_ms=self._lag.summary(now_ms).p99_ms,
            trades_per_second=(counts.get("trades") or 0) / seconds,
            quotes_per_second=(counts.get("quotes") or 0) / seconds,
        )


def _path(channel: Channel, head: Head) -> str:
    if channel == "signals":
        return "final_1m" if head.size == MINUTE else "final"
    return channel
