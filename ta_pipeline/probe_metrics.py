"""The probe's figures in Prometheus' text format, version 0.0.4; pure.

A figure that is not known is left out: absence is what an alert can see, a zero is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ta_pipeline.histogram import Histogram
from ta_pipeline.latency import LatencySummary
from ta_pipeline.metrics.limits import seconds_of
from ta_pipeline.monitoring.kafka_source import KafkaStatus
from ta_pipeline.probe_around import KEPT_MS, TICK_KEPT_MS, Around, Tick
from ta_pipeline.probe_window import LONG_MS, SHORT_MS, JobBeat, WindowReport
from ta_pipeline.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float | None]


@dataclass(frozen=True)
class Surroundings:
    """What the probe knows beside the records.

    Attributes:
        settings: of the deployment.
        around: what it found when it last looked around.
        tick: what Dagster's sensor said; None: it never has.
        now_ms: the time, epoch milliseconds.
    """

    settings: Settings
    around: Around
    tick: Tick | None
    now_ms: int


def metrics_text(
    report: WindowReport | None, alive_ms: int, dagster_ms: int | None, surroundings: Surroundings | None = None
) -> str:
    """What `/metrics` answers.

    Args:
        report: what was seen; None while Kafka cannot be read.
        alive_ms: when the reading loop last went round, epoch milliseconds.
        dagster_ms: when Dagster last said that it is there; None: never.
        surroundings: what is known beside the records; None: nothing.
    """
    families = [
        _family("ta_probe_heartbeat_timestamp_seconds", "gauge", "when the probe last went round", _one(alive_ms)),
        _family("ta_probe_reading", "gauge", "1 while the output topics are read", [({}, float(report is not None))]),
        _family(
            "ta_dagster_heartbeat_timestamp_seconds", "gauge", "when Dagster's sensor last said that it runs",
            _one(dagster_ms),
        ),
    ]  # fmt: skip
    if surroundings is not None:
        families += _around(surroundings, report.job_beat if report else None)
    if report is not None:
        families += _seen(report)
    return "".join(families)


def _seen(report: WindowReport) -> Iterator[str]:
    yield _histograms(
        "ta_event_to_signal_seconds", "event to signal, as a reader saw it since the probe began", report.histograms
    )
    yield _family(
        "ta_event_to_signal_window_seconds", "gauge", "event to signal, as a reader saw it in the window",
        [*_latencies(report.short, SHORT_MS), *_latencies(report.long, LONG_MS)],
    )  # fmt: skip
    total = report.total
    paths = {"live": total.live, "final": total.final, "final_1m": total.final_1m, "bars": total.bars}
    yield _family(
        "ta_probe_records_total", "counter", "records that came",
        [({"path": name}, path.records) for name, path in paths.items()],
    )  # fmt: skip
    yield _family(
        "ta_probe_duplicates_total", "counter", "records that came again",
        [({"path": name}, path.duplicates) for name, path in paths.items()],
    )  # fmt: skip
    gaps = {"live_without_final": total.live_without_final, "signals_without_bar": total.signals_without_bar}
    yield _family(
        "ta_probe_gaps_total", "counter", "records that did not follow in time",
        [({"kind": name}, finding.count) for name, finding in gaps.items()],
    )  # fmt: skip
    yield _family(
        "ta_probe_gaps_closed_total", "counter", "of them, those whose record came after all",
        [({"kind": name}, finding.closed) for name, finding in gaps.items()],
    )  # fmt: skip
    yield _family(
        "ta_probe_judged_total", "counter", "records that could have had a gap",
        [({"kind": name}, finding.judged) for name, finding in gaps.items()],
    )  # fmt: skip
    yield _family(
        "ta_probe_out_of_order_total", "counter", "final signals behind a newer one of their symbol",
        [({}, total.out_of_order.count)],
    )  # fmt: skip
    yield _family(
        "ta_probe_undecodable_total", "counter", "records that could not be read",
        [({"reason": reason}, count) for reason, count in sorted(total.undecodable.items())],
    )  # fmt: skip
    yield _family(
        "ta_symbol_staleness_seconds", "gauge", "now minus the newest event of the symbol on any topic",
        [({"symbol": symbol}, ms / 1_000) for symbol, ms in total.staleness_ms.items()],
    )  # fmt: skip
    yield _family(
        "ta_job_records_total", "counter", "what the job counted, by its heartbeats",
        [({"kind": kind}, number) for kind, number in sorted(report.job_counts.items())],
    )  # fmt: skip
    beat = report.job_beat
    if beat is not None:
        yield _family(
            "ta_job_heartbeat_timestamp_seconds", "gauge", "when the job's newest heartbeat came", _one(beat.came_ms)
        )
        yield _family(
            "ta_watermark_lag_seconds", "gauge", "how far the job's watermark was behind at its newest heartbeat",
            _one(beat.watermark_lag_ms),
        )  # fmt: skip


def _around(known: Surroundings, beat: JobBeat | None) -> Iterator[str]:
    settings, around = known.settings, known.around
    rates = (beat.trades_per_second, beat.quotes_per_second) if beat else (None, 0.0)
    yield _family(
        "ta_limit_seconds", "gauge", "from where on a figure is bad",
        [({"limit": name}, seconds) for name, seconds in seconds_of(settings, *rates).items()],
    )  # fmt: skip
    yield _family(
        "ta_table_path_enabled", "gauge", "1 when there is a path to ClickHouse",
        [({}, float(bool(settings.clickhouse_url)))],
    )  # fmt: skip
    if known.now_ms - around.at_ms > KEPT_MS:
        around = Around()
    if around.session_open is not None:
        is_open = float(around.session_open)
        yield _family("ta_session_open", "gauge", "1 while the exchange trades", [({}, is_open)])
    if around.kafka_asked:
        answers = float(around.kafka is not None and not around.kafka.missing)
        yield _family("ta_kafka_reachable", "gauge", "1 while the broker answers, with the topics", [({}, answers)])
    if around.kafka is not None:
        yield from _broker(around.kafka, around.open_ages)
    tick = known.tick
    if tick is not None and known.now_ms - tick.at_ms <= TICK_KEPT_MS:
        yield _family(
            "ta_verdict_bad", "gauge", "1 when a verdict of Dagster's sensor calls a person",
            [({"verdict": name}, float(bad)) for name, bad in sorted(tick.verdicts.items())],
        )  # fmt: skip
        wanted: list[Sample] = [] if tick.job_wanted is None else [({}, float(tick.job_wanted))]
        yield _family("ta_job_wanted", "gauge", "1 when the job should run", wanted)


def _broker(kafka: KafkaStatus, open_ages: Mapping[str, float]) -> Iterator[str]:
    newest = kafka.newest_trade_ms
    yield _family("ta_newest_trade_timestamp_seconds", "gauge", "when the newest trade was written", _one(newest))
    waiting: Counter[str] = Counter()
    for end in kafka.ends:
        waiting[end.topic] += end.end - end.stable
    yield _family(
        "ta_uncommitted_records", "gauge", "records that readers of committed ones do not get yet", _by_topic(waiting)
    )
    yield _family(
        "ta_open_transaction_age_seconds", "gauge", "age of the oldest transaction that committed readers wait for",
        _by_topic(open_ages),
    )  # fmt: skip
    if kafka.unread is None:
        return
    backlog, lost, expiring = Counter[str](), Counter[str](), Counter[str]()
    for one in kafka.unread:
        backlog[one.topic] += one.waiting
        lost[one.topic] += one.lost
        expiring[one.topic] = max(expiring[one.topic], int(one.is_expiring))
    yield _family("ta_table_backlog_records", "gauge", "not committed by the table job yet", _by_topic(backlog))
    yield _family("ta_table_expiring", "gauge", "1 when the oldest of them will be gone soon", _by_topic(expiring))
    yield _family("ta_table_lost_records", "gauge", "gone before the table job had them", _by_topic(lost))


def _by_topic(figures: Mapping[str, float]) -> list[Sample]:
    return [({"topic": topic}, figure) for topic, figure in sorted(figures.items())]


def _histograms(name: str, meaning: str, histograms: Mapping[str, Histogram]) -> str:
    lines = []
    for path, histogram in histograms.items():
        lines += [
            f"{name}_bucket{_labels({'path': path, 'le': le})} {number}\n" for le, number in histogram.cumulative()
        ]
        lines.append(f"{name}_sum{_labels({'path': path})} {histogram.sum:.15g}\n")
        lines.append(f"{name}_count{_labels({'path': path})} {histogram.count}\n")
    return f"# HELP {name} {meaning}\n# TYPE {name} histogram\n" + "".join(lines) if lines else ""


def _latencies(summaries: Mapping[str, LatencySummary], window_ms: int) -> Iterator[Sample]:
    for path, summary in summaries.items():
        for quantile, ms in (("0.5", summary.p50_ms), ("0.99", summary.p99_ms)):
            labels = {"path": path, "quantile": quantile, "window": f"{window_ms // 1_000}s"}
            yield labels, None if ms is None else ms / 1_000


def _one(ms: float | None) -> list[Sample]:
    """A figure without labels, in seconds."""
    return [({}, None if ms is None else ms / 1_000)]


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    lines = [f"{name}{_labels(labels)} {value:.15g}\n" for labels, value in samples if value is not None]
    if not lines:
        return ""
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n" + "".join(lines)


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
