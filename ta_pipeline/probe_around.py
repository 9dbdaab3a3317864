"""What Prometheus is told beside the records that the probe reads: the exchange's hours, and what the broker says.

Asked every few seconds in a thread of its own, so that a broker that hangs holds up neither the reading nor an answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ta_pipeline.errors import TaError
from ta_pipeline.monitoring.kafka_source import KafkaStatus, ask_kafka
from ta_pipeline.sessions import Sessions
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.age import OpenTransactions

PERIOD_SECONDS = 15.0
KEPT_MS = 60_000
"""What was seen longer ago is not known any more: the look hangs."""
TICK_KEPT_MS = 600_000
"""What the sensor said in its last tick is of no use after so long."""
WANTED_KEPT_MS = 3_600_000
"""Where S3 is away, the record of rollouts cannot be read, and none is made either: what it said last still holds. Not
for ever, as somebody may have started the job without a rollout."""
_log = logging.getLogger("ta.probe")


@dataclass(frozen=True)
class Around:
    """What is known now.

    Attributes:
        at_ms: when the last look ended, epoch milliseconds.
        session_open: whether the exchange trades; None: its calendar is not loaded yet.
        kafka: what the broker says; None: it does not answer.
        kafka_asked: it was asked.
        open_ages: seconds that the oldest open transaction is old, by topic; topics without an answer are left out.
    """

    at_ms: int = 0
    session_open: bool | None = None
    kafka: KafkaStatus | None = None
    kafka_asked: bool = False
    open_ages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tick:
    """What Dagster's sensor said when it last ran.

    Attributes:
        at_ms: when it came, epoch milliseconds.
        verdicts: whether each is bad or unknown and calls a person; empty: it did not say.
        job_wanted: whether a job should run; None: it does not know.
        wanted_ms: when it knew that last, epoch milliseconds; 0: never.
    """

    at_ms: int
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    job_wanted: bool | None = None
    wanted_ms: int = 0

    def after(self, before: Tick | None) -> Tick:
        """With what the sensor knew before of whether a job should run, where it does not know that now."""
        if before is None or self.job_wanted is not None or self.at_ms - before.wanted_ms > WANTED_KEPT_MS:
            return self
        return replace(self, job_wanted=before.job_wanted, wanted_ms=before.wanted_ms)


def parse_tick(body: object, at_ms: int) -> Tick:
    """From the JSON of a heartbeat; what is not of its form is left out, the heartbeat counts.

    Args:
        body: `{"verdicts": {"job_state": false, ...}, "job_wanted": true}`.
        at_ms: when it came.
    """
    if not isinstance(body, dict):
        return Tick(at_ms)
    verdicts, wanted = body.get("verdicts"), body.get("job_wanted")
    return Tick(
        at_ms,
        {str(name): bad for name, bad in verdicts.items() if isinstance(bad, bool)}
        if isinstance(verdicts, dict)
        else {},
        wanted if isinstance(wanted, bool) else None,
        at_ms if isinstance(wanted, bool) else 0,
    )


class Lookout:
    """Looks around every `PERIOD_SECONDS`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sessions = Sessions(settings.session)
        self._lock = threading.Lock()
        self._around = Around()

    @property
    def around(self) -> Around:
        """What the last look found."""
        with self._lock:
            return self._around

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        transactions = OpenTransactions(self._settings)
        try:
            while not stop.is_set():
                self._keep(self._kafka(transactions))
                # Second: its calendar takes seconds to load, once.
                self._keep(replace(self.around, session_open=self._sessions.is_open(_now_ms())))
                stop.wait(PERIOD_SECONDS)
        finally:
            transactions.close()

    def _kafka(self, transactions: OpenTransactions) -> Around:
        before, now_ms = self.around, _now_ms()
        try:
            status = ask_kafka(self._settings, now_ms)
        except TaError as error:
            if before.kafka is not None or not before.kafka_asked:
                _log.warning("the broker does not say where its topics end: %s", error)
            return replace(before, at_ms=_now_ms(), kafka=None, kafka_asked=True, open_ages={})
        ages = transactions.ages(status.ends, now_ms)
        return replace(before, at_ms=_now_ms(), kafka=status, kafka_asked=True, open_ages=ages)

    def _keep(self, around: Around) -> None:
        with self._lock:
            self._around = around


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
