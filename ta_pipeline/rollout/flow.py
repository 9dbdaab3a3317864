"""What flows through the topics around a rollout: records in, live records out, final records committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Self

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.rollout.verify import moved
from ta_pipeline.settings import Settings

_POLL_SECONDS = 0.1


class Flow:
    """Counts by end offsets, so that nothing has to be read. Live records are seen at once, final ones when committed.

    Whether a version is alive is told by the live topic alone: it has no transactions, whose markers take offsets too.
    """

    def __init__(self, settings: Settings) -> None:
        # Quotes alone make no bar and no live signal.
        self._inputs = (settings.trades_topic,)
        self._live = (settings.live_topic,)
        self._final = (settings.bars_topic, settings.signals_topic)
        self._offsets = Offsets(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._offsets.close()

    def committed(self) -> dict[str, int]:
        """End offsets of all topics that matter to a rollout, by topic.

        Raises:
            KafkaSetupError: the broker cannot be reached.
        """
        return self._offsets.ends((*self._inputs, *self._live, *self._final))

    def since(self, before: Mapping[str, int]) -> tuple[int, int]:
        """Records that came in, and live records that went out, since `before`.

        Raises:
            KafkaSetupError: the broker cannot be reached.
        """
        now = self._offsets.ends((*self._inputs, *self._live))
        inputs = {topic: end for topic, end in now.items() if topic in self._inputs}
        outputs = {topic: end for topic, end in now.items() if topic in self._live}
        return moved(inputs, before), moved(outputs, before)

    def committed_since(self, before: Mapping[str, int]) -> int:
        """Final records that were committed since `before`; the markers of transactions are counted with them.

        Raises:
            KafkaSetupError: the broker cannot be reached.
        """
        return moved(self._offsets.ends(self._final), before)

    def committed_after(self, at_ms: int) -> int:
        """Final records that were committed after a time, epoch milliseconds; counted as by `committed_since`.

        Raises:
            KafkaSetupError: the broker cannot be reached.
        """
        return moved(self._offsets.ends(self._final), self._offsets.at(self._final, at_ms))

    @contextmanager
    def first_record(self) -> Iterator[Callable[[], float | None]]:
        """Watch for the next live record from now on; what is given tells when it came, epoch seconds.

        A broker that does not answer is no reason to end what is watched: then it is not known.
        """
        try:
            before = self._offsets.ends(self._live)
        except KafkaSetupError:
            yield lambda: None
            return
        came: list[float] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set() and not came:
                with suppress(KafkaSetupError):
                    if moved(self._offsets.ends(self._live), before):
                        came.append(time.time())
                stop.wait(_POLL_SECONDS)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield lambda: came[0] if came else None
        finally:
            stop.set()
            thread.join()
