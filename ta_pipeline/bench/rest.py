"""What a drain asks Flink for: two figures, in two small requests.

The JobManager answers from a copy of the metrics, which it renews when it is asked and at most once in
`metrics.fetcher.update-interval` (2 s on the local stack). So the time of a figure is when it changes.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ta_pipeline.flink_rest import FlinkRest

# Flink writes `_` for the characters ` .:,` in a metric's scope. Only the job as shipped names its operators (uids.py).
_READ = re.compile(r"Source[^.]*trades_log[^.]*\.numRecordsIn")
_GC = "Status.JVM.GarbageCollector.All.Time"


class Source(NamedTuple):
    """Where a job's count of trades read is."""

    path: str
    metric: str


class BenchRest(FlinkRest):
    """Flink's REST API with the figures of a drain."""

    def source(self, job_id: str) -> Source | None:
        """The source of trades of a job; None until its tasks have reported."""
        for vertex in self.vertices(job_id):
            if "trades_log" not in vertex.name:
                continue
            path = f"/jobs/{job_id}/vertices/{vertex.id}/subtasks/metrics"
            for metric in self._get(path):
                if _READ.fullmatch(metric["id"]):
                    return Source(path, metric["id"])
        return None

    def records_read(self, source: Source) -> float:
        """Records the source has read since its (re)start, over its subtasks."""
        return _only(self._get(source.path, get=source.metric, agg="sum"), "sum")

    def gc_seconds(self) -> float:
        """Time the TaskManagers have collected garbage since their start."""
        return _only(self._get("/taskmanagers/metrics", get=_GC, agg="sum"), "sum") / 1_000

    def version(self) -> str:
        """Flink's version."""
        return str(self.overview().get("flink-version", "unknown"))


def _only(answer: Any, name: str) -> float:
    return float(answer[0][name]) if answer else 0.0
