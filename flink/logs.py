"""The function's log: one JSON object a line on standard error, beside Flink's own (the same fields).

Flink's log4j does not see what Python logs in thread mode. A market that misbehaves must not flood the disk, so each
kind of message is written at most once a second, with the number of those left out.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

PERIOD_MS = 1_000
_LOGGER = logging.getLogger("ta.signals")


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        written = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "ts": written.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, default=str)


class Log:
    """Messages of the signal function, by kind."""

    def __init__(self) -> None:
        if not _LOGGER.handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(_JsonFormatter())
            _LOGGER.addHandler(handler)
            _LOGGER.setLevel(logging.INFO)
            _LOGGER.propagate = False
        self._written_ms: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def write(self, kind: str, message: str, now_ms: int, **fields: object) -> None:
        """Write one message unless its kind was written less than a second ago.

        `fields` are symbol, channel, event_ts, watermark (epoch ms), lag_ms and whatever else applies.
        """
        if now_ms - self._written_ms.get(kind, 0) < PERIOD_MS:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._written_ms[kind] = now_ms
        left_out = self._left_out.pop(kind, 0)
        extra = {"left_out": left_out} if left_out else {}
        _LOGGER.info(message, extra={"fields": {"kind": kind, **fields, **extra}})
