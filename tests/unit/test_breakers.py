from __future__ import annotations

from ta_pipeline.breakers import METRICS, Breaker, breakers_of
from ta_pipeline.flink_answers import TaskMetric

NOW_MS = 1_767_364_200_000


def told(table: str, **figures: float) -> list[TaskMetric]:
    """What one sink's subtasks tell: the sum is the largest, as of one subtask."""
    every = {metric.removeprefix(".breaker."): 0.0 for metric in METRICS} | figures
    return [
        TaskMetric("a task", f"{table}_sink__Writer.breaker.{name}", value, 0.0, value) for name, value in every.items()
    ]


def test_each_table_has_a_breaker_and_other_metrics_are_none() -> None:
    metrics = [
        *told("ta_signals", state=2, sinceMillis=NOW_MS, opened=2, tried=7, closed=1, failedInserts=9, waitingRows=4),
        *told("ta_microbars", sinceMillis=NOW_MS - 60_000),
        TaskMetric("a task", "backPressuredTimeMsPerSecond", 12.0, 12.0, 12.0),
    ]  # fmt: skip
    assert breakers_of(metrics, {"ta_signals": "refused"}) == (
        Breaker("ta_microbars", "closed", NOW_MS - 60_000, 0, 0, 0, 0, 0),
        Breaker("ta_signals", "open", NOW_MS, 2, 7, 1, 9, 4, "refused"),
    )


def test_the_worst_subtask_counts() -> None:
    metrics = [
        metric if not metric.name.endswith(".state") else TaskMetric("a task", metric.name, 3.0, 1.0, 2.0)
        for metric in told("ta_signals")
    ]
    assert [breaker.state for breaker in breakers_of(metrics)] == ["open"]


def test_a_breaker_of_which_not_all_is_known_is_left_out() -> None:
    assert breakers_of(told("ta_signals")[1:]) == ()
    assert breakers_of([]) == ()


def test_a_line_says_what_waits_and_why_only_when_something_does() -> None:
    (well,) = breakers_of(told("ta_signals", sinceMillis=NOW_MS - 60_000))
    assert well.text(NOW_MS) == "ta_signals is closed, for 60.0 s"
    (parked,) = breakers_of(
        told("ta_signals", state=1, sinceMillis=NOW_MS - 60_000, failedInserts=5, waitingRows=7),
        {"ta_signals": "refused"},
    )
    assert (
        parked.text(NOW_MS)
        == "ta_signals is half-open, for 60.0 s, after 5 failed inserts; 7 rows are in the sink: refused"
    )
