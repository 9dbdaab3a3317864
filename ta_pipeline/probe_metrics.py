"""The probe's figures in Prometheus' text format, version 0.0.4; pure.

A figure that is not known is left out: absence is what an alert can see, a zero is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ta_pipeline.latency import LatencySummary
from ta_pipeline.probe_window import LONG_MS, SHORT_MS, WindowReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float | None]


def metrics_text(report: WindowReport | None, alive_ms: int, dagster_ms: int | None) -> str:
    """What `/metrics` answers.

    Args:
        report: what was seen; None while Kafka cannot be read.
        alive_ms: when the reading loop last went round, epoch milliseconds.
        dagster_ms: when Dagster last said that it is there; None: never.
    """
    families = [
        _family("ta_probe_heartbeat_timestamp_seconds", "gauge", "when the probe last went round", _one(alive_ms)),
        _family("ta_probe_reading", "gauge", "1 while the output topics are read", [({}, float(report is not None))]),
        _family(
            "ta_dagster_heartbeat_timestamp_seconds", "gauge", "when Dagster's sensor last said that it runs",
            _one(dagster_ms),
        ),
    ]  # fmt: skip
    if report is not None:
        families += _seen(report)
    return "".join(families)


def _seen(report: WindowReport) -> Iterator[str]:
    yield _family(
        "ta_event_to_signal_seconds", "gauge", "event to signal, as a reader saw it in the window",
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
    beat = report.job_beat
    if beat is not None:
        yield _family(
            "ta_job_heartbeat_timestamp_seconds", "gauge", "when the job's newest heartbeat came", _one(beat.came_ms)
        )
        yield _family(
            "ta_watermark_lag_seconds", "gauge", "how far the job's watermark was behind at its newest heartbeat",
            _one(beat.watermark_lag_ms),
        )  # fmt: skip


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
