"""Counters of the signal function, made when they first count: a reason nobody has had is not a metric."""

from __future__ import annotations

from pyflink.metrics import Counter, MetricGroup


class Counters:
    """Flink counters by name, under the group `ta`."""

    def __init__(self, group: MetricGroup) -> None:
        self._group = group.add_group("ta")
        self._counters: dict[str, Counter] = {}

    def add(self, name: str, number: int) -> None:
        """Count `number` more of `name`; zero makes the counter known."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = self._group.counter(name)
        if number:
            counter.inc(number)
