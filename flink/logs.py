"""The function's log: JSON lines on standard error, beside Flink's own and with the same fields (docs/logs.md).

Flink's log4j does not see what Python logs in thread mode. A market that misbehaves must not flood the disk, so each
kind of message is written at most once a second, with the number of those left out.
"""

from __future__ import annotations

import logging

from ta_pipeline.logs.formatting import JsonFormatter
from ta_pipeline.logs.output import STDERR, Lines

PERIOD_MS = 1_000
COMPONENT = "taskmanager"
"""Its process: Python runs inside of it."""
_LOGGER = logging.getLogger("ta.signals")


class Log:
    """Messages of the signal function, by kind."""

    def __init__(self) -> None:
        if not _LOGGER.handlers:
            lines = Lines(STDERR)
            lines.setFormatter(JsonFormatter(COMPONENT))
            _LOGGER.addHandler(lines)
            _LOGGER.setLevel(logging.INFO)
            _LOGGER.propagate = False
        self._written_ms: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def write(self, kind: str, message: str, now_ms: int, **fields: object) -> None:
        """Write one message unless its kind was written less than a second ago.

        `fields` are of the table of `ta_pipeline.logs.fields`: symbol, channel, event_ts and watermark (epoch ms), ...
        """
        if now_ms - self._written_ms.get(kind, 0) < PERIOD_MS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._written_ms[kind] = now_ms
        left_out = self._left_out.pop(kind, 0)
        extra = {"left_out": left_out} if left_out else {}
        _LOGGER.info(message, extra={"kind": kind, **fields, **extra})
