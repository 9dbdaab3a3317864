"""Whether Kafka answers a consumer, by what librdkafka says of itself every second.

A consumer is not told when a broker is back: in a quiet market nothing would come, and nobody would know why. The
statistics have each broker's state, and how long it has sent nothing; a broker that works answers a fetch twice a
second, with records or without. Definition: librdkafka, STATISTICS.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

INTERVAL_MS = 1_000
SILENT_SECONDS = 10.0
"""A broker that is asked twice a second and says nothing for so long hangs."""
_OLD_SECONDS = 5.0
_UP = {"UP", "UPDATE"}
_BOOTSTRAP = -1
"""Of a server that is known by its address only; also the leader of a partition that has none."""


class Connection:
    """Of one consumer: give `take` as its `stats_cb`."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        """What is wrong, twice in a row; None: nothing is."""
        self._seen: str | None = None

    def take(self, statistics: str, now_seconds: float) -> None:
        """Take in what librdkafka says; what is old was written while nobody listened, and is left out."""
        stats = orjson.loads(statistics)
        if now_seconds - stats["time"] <= _OLD_SECONDS:
            # A partition that was just assigned has no leader for a moment.
            before, self._seen = self._seen, trouble_in(stats)
            self.trouble = self._seen if before is not None else None


def trouble_in(stats: Mapping[str, Any]) -> str | None:
    """Why partitions that are read get nothing; None: they may."""
    brokers = {broker["nodeid"]: (name, broker) for name, broker in stats.get("brokers", {}).items()}
    brokers.pop(_BOOTSTRAP, None)
    for topic, found in stats.get("topics", {}).items():
        for number, partition in found["partitions"].items():
            if not partition.get("desired") or partition.get("fetch_state") in {None, "none", "stopping", "stopped"}:
                continue
            leader = partition["leader"]
            if leader not in brokers:
                return f"{topic} partition {number} has no leader"
            name, broker = brokers[leader]
            if broker["state"] not in _UP:
                return f"{name} is {broker['state']}"
            if broker["rxidle"] > SILENT_SECONDS * 1e6:
                return f"{name} has sent nothing for {broker['rxidle'] / 1e6:.0f} s"
    return None
