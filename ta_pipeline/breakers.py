"""The breakers between the table job and ClickHouse, as the job's metrics tell them.

One for each table, in flink/java (`ta.flink.clickhouse.Breaker`); over the subtasks of a sink the worst one counts.

    closed      rows are inserted as they come
    open        so many inserts failed in a row: the sink waits, and the rows wait in the topics
    half-open   one insert is tried; it decides
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ta_pipeline.figures import duration
from ta_pipeline.flink_answers import TaskMetric, Vertex
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.job_options import table_job_name
from ta_pipeline.kubernetes.deployment import rest_url
from ta_pipeline.settings import Settings

STATES = ("closed", "half-open", "open")
"""By the number in the metric `breaker.state`."""
TIMEOUT_SECONDS = 1.0
_GROUP = ".breaker."
_FIGURES = ("state", "sinceMillis", "opened", "tried", "closed", "failedInserts", "waitingRows")
METRICS = tuple(_GROUP + name for name in _FIGURES)
"""The ends of the metrics' names that are numbers."""
_LAST_ERROR = _GROUP + "lastError"
_SINK = "_sink"


@dataclass(frozen=True)
class Breaker:
    """One of them; counters begin at zero with each (re)start of the job.

    Attributes:
        table: what it is in front of.
        state: closed, half-open or open.
        since_ms: when it was last opened or closed again (or the sink started), epoch milliseconds.
        opened: how often it opened.
        tried: how often it tried a single insert.
        closed: how often that succeeded.
        failed_inserts: attempts that failed, in any state.
        waiting_rows: in the sink; the others wait in the topics.
        last_error: of the newest failed attempt; empty: none failed, or it was not asked for.
    """

    table: str
    state: str
    since_ms: int
    opened: int
    tried: int
    closed: int
    failed_inserts: int
    waiting_rows: int
    last_error: str = ""

    @property
    def is_closed(self) -> bool:
        """Rows are inserted."""
        return self.state == "closed"

    def text(self, now_ms: int) -> str:
        """For a person, in one line."""
        state = f"{self.table} is {self.state}, for {duration(max(0, now_ms - self.since_ms))}"
        if self.is_closed:
            return state
        error = f": {self.last_error}" if self.last_error else ""
        return f"{state}, after {self.failed_inserts} failed inserts; {self.waiting_rows} rows are in the sink{error}"


def breakers_of(metrics: Iterable[TaskMetric], errors: dict[str, str] | None = None) -> tuple[Breaker, ...]:
    """From the metrics of a job's tasks; pure. A breaker whose state is not among them is left out.

    Args:
        metrics: those whose names end with `METRICS`, among others.
        errors: the last error of each table.
    """
    found: dict[str, dict[str, TaskMetric]] = {}
    for metric in metrics:
        owner, is_one, name = metric.name.partition(_GROUP)
        if is_one and name in _FIGURES:
            found.setdefault(_table(owner), {})[name] = metric
    return tuple(
        Breaker(
            table=table,
            state=STATES[int(figures["state"].most)],
            since_ms=int(figures["sinceMillis"].most),
            opened=int(figures["opened"].total),
            tried=int(figures["tried"].total),
            closed=int(figures["closed"].total),
            failed_inserts=int(figures["failedInserts"].total),
            waiting_rows=int(figures["waitingRows"].total),
            last_error=(errors or {}).get(table, ""),
        )
        for table, figures in sorted(found.items())
        # Flink's answers come from tasks one by one.
        if figures.keys() == set(_FIGURES)
    )


def last_errors(rest: FlinkRest, job_id: str, tasks: Iterable[Vertex]) -> dict[str, str]:
    """The last error of each table that had one.

    Raises:
        FlinkError: nothing was heard, or the job is not known.
    """
    texts = rest.task_texts(job_id, tasks, _LAST_ERROR)
    # "0.ta_microbars_sink__Writer.breaker.lastError": the subtask stands in front.
    return {_table(name.partition(".")[2].partition(_GROUP)[0]): text for name, text in sorted(texts.items()) if text}


def ask_breakers(rest: FlinkRest, job_id: str) -> tuple[Breaker, ...]:
    """The breakers of a running job, with what they failed of.

    Raises:
        FlinkError: nothing was heard, or the job is not known.
    """
    tasks = rest.vertices(job_id)
    return breakers_of(rest.task_metrics(job_id, tasks, METRICS), last_errors(rest, job_id, tasks))


def waiting(settings: Settings, now_ms: int) -> str | None:
    """What the table job waits for behind its breakers, for a person; None: nothing, or it does not run.

    Raises:
        FlinkError: nothing was heard.
    """
    name = table_job_name(settings)
    rest = FlinkRest(rest_url(settings, name), TIMEOUT_SECONDS)
    jobs = [job for job in rest.jobs() if job.name == name and not job.is_ended]
    parked = [one for one in ask_breakers(rest, jobs[0].id) if not one.is_closed] if jobs else []
    return "; ".join(one.text(now_ms) for one in parked) or None


def _table(owner: str) -> str:
    """From the operator's name as it is in a metric's."""
    return owner.partition(_SINK)[0]
