"""What everything says at one time. A component that does not answer is `Unreachable`, never an empty answer.

All are asked at once, each in a thread of its own with short timeouts: one that hangs costs a snapshot
`FIRST_SECONDS`, whatever the others do, and takes nothing away from what they say.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ta_pipeline.errors import FlinkNoAnswerError, TaError
from ta_pipeline.monitoring.flink_source import FlinkStatus, ask_flink
from ta_pipeline.monitoring.kafka_source import KafkaStatus, ask_kafka
from ta_pipeline.monitoring.store_sources import (
    ClickHouseStatus,
    ProbeStatus,
    StoreStatus,
    ask_checkpoint,
    ask_clickhouse,
    ask_probe,
    ask_store,
)
from ta_pipeline.platform import Platform
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings

FIRST_SECONDS = 1.6
"""Longest wait for all answers; with `THEN_SECONDS` and the verdicts a tick stays below 2 s."""
THEN_SECONDS = 0.3
"""For what can only be asked when Flink and S3 have answered: is the checkpoint there that Flink names?"""
_SETTINGS = {
    "flink": "TA_FLINK_REST_URL", "kafka": "TA_KAFKA_BOOTSTRAP", "s3": "TA_S3_ENDPOINT",
    "clickhouse": "TA_CLICKHOUSE_URL", "probe": "TA_PROBE_URL",
}  # fmt: skip
"""Where each component is looked for."""

Question = Callable[[], Any]


@dataclass(frozen=True)
class Unreachable:
    """A component that did not answer; what it would have said is not known, and is not "nothing"."""

    component: str
    reason: str


@dataclass(frozen=True)
class StatusSnapshot:
    """What was asked and answered at `at_ms` (epoch milliseconds)."""

    at_ms: int
    settings: Settings
    """Those in force here."""
    flink: FlinkStatus | Unreachable
    kafka: KafkaStatus | Unreachable
    store: StoreStatus | Unreachable
    """S3: what should run, and whether the checkpoints are there."""
    clickhouse: ClickHouseStatus | Unreachable | None
    """None: there is no table path."""
    probe: ProbeStatus | Unreachable
    is_session_open: Callable[[int], bool]
    """Whether the exchange trades at a time (epoch milliseconds), by `TA_SESSION`. Its calendar is slow to load
    (pandas), so it is asked only where no trades come."""
    checkpoint_stored: bool | None = None
    """Whether S3 has the newest checkpoint Flink names; None: not known, or there is none yet."""
    seconds: float = 0.0
    """How long it took to ask."""


def take_snapshot(platform: Platform, now_ms: int) -> StatusSnapshot:
    """Ask everything; never raises because a component is not there, and takes less than 2 s.

    Args:
        platform: the deployment.
        now_ms: the time all ages count from, epoch milliseconds.
    """
    begin = time.monotonic()
    settings = platform.settings
    questions: dict[str, Question] = {
        "flink": lambda: ask_flink(settings) if platform.is_local else _flink_on_kubernetes(platform),
        "kafka": lambda: ask_kafka(settings, now_ms),
        "s3": lambda: ask_store(settings),
        "probe": lambda: ask_probe(settings),
    }
    if settings.clickhouse_url:
        questions["clickhouse"] = lambda: ask_clickhouse(settings)
    answers = _ask(settings, questions, FIRST_SECONDS)
    return StatusSnapshot(
        at_ms=now_ms,
        settings=settings,
        flink=answers["flink"],
        kafka=answers["kafka"],
        store=answers["s3"],
        clickhouse=answers.get("clickhouse"),
        probe=answers["probe"],
        is_session_open=lambda at_ms: _sessions(settings.session).is_open(at_ms),
        checkpoint_stored=_checkpoint_stored(settings, answers["flink"], answers["s3"]),
        seconds=time.monotonic() - begin,
    )


def _flink_on_kubernetes(platform: Platform) -> FlinkStatus:
    """Of a FlinkDeployment that is suspended, no JobManager is there to answer: the API server says that."""
    try:
        return ask_flink(platform.settings)
    except FlinkNoAnswerError:
        if platform.job.status():
            raise
        return FlinkStatus((), None, None)


def _checkpoint_stored(settings: Settings, flink: Any, store: Any) -> bool | None:
    job = flink.job if isinstance(flink, FlinkStatus) else None
    if job is None or job.checkpoints.latest_path is None or isinstance(store, Unreachable):
        return None
    path, interval_ms = job.checkpoints.latest_path, job.checkpoint_interval_ms
    answer = _ask(settings, {"s3": lambda: ask_checkpoint(settings, path, interval_ms)}, THEN_SECONDS)["s3"]
    return None if isinstance(answer, Unreachable) else answer


def _ask(settings: Settings, questions: Mapping[str, Question], seconds: float) -> dict[str, Any]:
    """The answers by component; `Unreachable` for one that fails or does not answer in time."""
    answered: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def ask(component: str, question: Question) -> None:
        try:
            answered.put((component, question()))
        except TaError as error:
            answered.put((component, Unreachable(component, str(error))))
        except Exception as error:  # an answer nobody can read is no answer either
            reason = settings.without_secrets(
                f"the answer of {component} cannot be used: {type(error).__name__}: {error}"
            )
            answered.put((component, Unreachable(component, reason)))

    for component, question in questions.items():
        # Not waited for when it hangs: its own timeouts end it.
        threading.Thread(target=ask, args=(component, question), name=f"ask-{component}", daemon=True).start()
    answers: dict[str, Any] = {
        component: Unreachable(component, f"{component} ({_SETTINGS[component]}) does not answer within {seconds:g} s")
        for component in questions
    }
    deadline = time.monotonic() + seconds
    for _ in questions:
        try:
            component, answer = answered.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[component] = answer
    return answers


@lru_cache
def _sessions(kind: str) -> Sessions:
    return Sessions(kind)
