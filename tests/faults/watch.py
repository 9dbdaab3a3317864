"""What a reader sees while things break: when records came, and when they were emitted."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import NamedTuple

import orjson

from ta_pipeline.readers import Arrivals, final_reader, live_reader
from ta_pipeline.settings import Settings
from tests.stack import wait_for
from tests.table_rows import seconds

COMMITTED, LIVE = "committed", "live"


class Seen(NamedTuple):
    """One batch of records: epoch seconds."""

    arrived: float
    emitted: float
    """By the job: the newest of the batch."""


class Watch:
    """A committed and a live reader that run all the time."""

    def __init__(self, settings: Settings) -> None:
        self._live_topic = settings.live_topic
        self._arrivals = Arrivals([final_reader(settings), live_reader(settings)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.seen: dict[str, list[Seen]] = {COMMITTED: [], LIVE: []}
        self.error: Exception | None = None

    def __enter__(self) -> Watch:
        self._arrivals.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._arrivals.close()

    def first(self, path: str, emitted_after: float) -> float | None:
        """When the first record came that was emitted after an instant; None: none did yet."""
        return next((seen.arrived for seen in self.seen[path] if seen.emitted > emitted_after), None)

    def await_first(self, path: str, emitted_after: float, timeout_seconds: float) -> float:
        """As `first`, but waits for it."""
        wait_for(f"a {path} record that was emitted later", lambda: self._has(path, emitted_after), timeout_seconds)
        found = self.first(path, emitted_after)
        assert found is not None
        return found

    def longest_gap(self, path: str, start: float, end: float) -> float:
        """The longest time without a record within an interval."""
        arrived = [start, *(seen.arrived for seen in self.seen[path] if start < seen.arrived < end), end]
        return max(later - earlier for earlier, later in pairwise(arrived))

    def _has(self, path: str, emitted_after: float) -> bool:
        if self.error is not None:
            raise self.error
        return self.first(path, emitted_after) is not None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                newest: dict[str, Seen] = {}
                for arrival in self._arrivals.take(0.2):
                    path = LIVE if arrival.topic == self._live_topic else COMMITTED
                    emitted = seconds(orjson.loads(arrival.value or b"{}")["ingest_ts"])
                    newest[path] = Seen(arrival.now_ms / 1_000, emitted)
                for path, seen in newest.items():
                    self.seen[path].append(seen)
        except Exception as error:  # raised again where somebody waits
            self.error = error
