"""Counters of the signal function, made when they first count: a reason nobody has had is not a metric."""

from __future__ import annotations

from pyflink.metrics import Counter, MetricGroup


class Counters:
    """Flink counters by name, under the group `ta`; counted here, and told to Flink by `report`."""

    def __init__(self, group: MetricGroup) -> None:
        self._group = group.add_group("ta")
        self._counters: dict[str, Counter] = {}
        self._pending: dict[str, int] = {}

    def add(self, name: str, number: int) -> None:
        """Count `number` more of `name`; zero makes the counter known."""
        self._pending[name] = self._pending.get(name, 0) + number

    def report(self) -> None:
        """Tell Flink: a call into the JVM for each counter that changed, so not for each row."""
        for name, number in self._pending.items():
            counter = self._counters.get(name)
            if counter is None:
                counter = self._counters[name] = self._group.counter(name)
            if number:
                counter.inc(number)
        self._pending.clear()
