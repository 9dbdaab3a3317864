"""What a reader costs in one round, and what it may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ta_pipeline.latency import LatencySummary

RATE = 10_000
"""Records a second."""
FORMATS = ("json", "avro-confluent")
MOST_CORES = 0.5
LEAST_SHARE = 0.98
"""Of the rate: with less, the market was too slow to say anything about the reader."""


@dataclass(frozen=True)
class Reading:
    """One round."""

    form: str
    number: int
    seconds: float
    records: int
    cpu_seconds: float
    latency: LatencySummary
    """From when a record was due to be sent until it was handed out, milliseconds."""
    others: int
    """Events that were told: nothing is wrong, so there are none."""

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def cores(self) -> float:
        """CPU of the reader's process, on average."""
        return self.cpu_seconds / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU for each record, microseconds."""
        return self.cpu_seconds / self.records * 1e6 if self.records else math.nan
