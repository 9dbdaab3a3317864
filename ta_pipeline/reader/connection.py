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
_NO_NODE = -1
"""Of a server that is known by its address only, and of the group's; also the leader of a partition that has none."""


class Connection:
    """Of one consumer: give `take` as its `stats_cb`."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        """What is wrong, twice in a row; None: nothing is."""
        self._seen: str | None = None
        self._is_asking = False

    def take(self, statistics: str, now_seconds: float) -> None:
        """Take in what librdkafka says; what is old was written while nobody listened, and is left out."""
        stats = orjson.loads(statistics)
        if now_seconds - stats["time"] > _OLD_SECONDS:
            return
        found = trouble_in(stats)
        if found is None and self.trouble is not None and (self._is_asking or not is_served(stats)):
            return
        # A partition that was just assigned has no leader for a moment.
        before, self._seen = self._seen, found
        self.trouble = found if before is not None else None

    def asks(self) -> None:
        """It was not told where to read: until it is, Kafka is not back."""
        self._is_asking = True

    def works(self) -> None:
        """It was told where to read."""
        self.trouble = self._seen = None
        self._is_asking = False


def trouble_in(stats: Mapping[str, Any]) -> str | None:
    """Why nothing comes: of the partitions that are read, or where there are none, of the group; None: it may."""
    brokers = {broker["nodeid"]: (name, broker) for name, broker in stats.get("brokers", {}).items()}
    brokers.pop(_NO_NODE, None)
    if not (leaders := _leaders(stats)):
        return _trouble_of_group(stats)
    for what, leader in leaders.items():
        if leader not in brokers:
            return f"{what} has no leader"
        name, broker = brokers[leader]
        if broker["state"] not in _UP:
            return f"{name} is {broker['state']}"
        # Nothing is asked for while the client is full of records that wait for a slow strategy.
        if broker["waitresp_cnt"] and (silent_us := min(broker["rxidle"], broker["txidle"])) > SILENT_SECONDS * 1e6:
            return f"{name} has sent nothing for {silent_us / 1e6:.0f} s"
    return None


def is_served(stats: Mapping[str, Any]) -> bool:
    """Whether it would be seen that nothing comes: partitions are read, or the group has none for us."""
    group = stats.get("cgrp", {})
    return bool(_leaders(stats)) or (group.get("state") == "up" and group.get("join_state") == "steady")


def _leaders(stats: Mapping[str, Any]) -> dict[str, int]:
    """Of the partitions that are read."""
    return {
        f"{topic} partition {number}": partition["leader"]
        for topic, found in stats.get("topics", {}).items()
        for number, partition in found["partitions"].items()
        if partition.get("desired") and partition.get("fetch_state") not in {None, "none", "stopping", "stopped"}
    }


def _trouble_of_group(stats: Mapping[str, Any]) -> str | None:
    brokers, group = stats.get("brokers", {}), stats.get("cgrp")
    if group is None:
        return None
    states = {name: broker["state"] for name, broker in brokers.items() if broker.get("source") != "logical"}
    if states and not _UP & set(states.values()):
        return ", ".join(f"{name} is {state}" for name, state in states.items())
    if group["state"] != "up" and group["stateage"] > SILENT_SECONDS * 1e3:
        return f"the group has no coordinator ({group['state']})"
    return None
