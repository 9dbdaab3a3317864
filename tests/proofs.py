"""What is committed is what should be: nothing lost, nothing doubled, nothing else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ta_pipeline.settings import Settings
from tests.jobs import Message, decoded, expected, without_ingest
from tests.stack import Record, RunningStack

QUIET_SECONDS = 8.0
"""Whatever was still to be committed would have come: the clock closes the last second 5 s after its last trade."""

Say = Callable[[str], None]
"""Puts a measured figure on the terminal."""


@contextmanager
def stopped_at_exit() -> Iterator[threading.Event]:
    """An event that ends the feed, whatever becomes of the test."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def all_committed(stack: RunningStack, settings: Settings, *topics: str) -> list[list[dict[str, Any]]]:
    """What is on each output topic once nothing more has come to it for a while, in the order of the topic."""
    with ThreadPoolExecutor(len(topics)) as pool:
        return list(pool.map(lambda topic: decoded(settings, topic, stack.consume(topic, _quiet())), topics))


def require_as_undisturbed(
    stack: RunningStack, settings: Settings, folder: Path, messages: Sequence[Message]
) -> tuple[list[Message], list[Message]]:
    """The committed bars and signals, once nothing more has come: those that a bounded run gives of `messages`.

    Args:
        stack: with the job.
        settings: of the job.
        folder: for the bounded run.
        messages: all that was sent.
    """
    with ThreadPoolExecutor() as pool:
        undisturbed = pool.submit(expected, folder, settings, messages)
        bars, signals = all_committed(stack, settings, settings.bars_topic, settings.signals_topic)
        right = undisturbed.result()
    require_equal(settings.bars_topic, bars, right["bars"])
    require_equal(settings.signals_topic, signals, right["signals"])
    return bars, signals


def _quiet() -> Callable[[Sequence[Record]], bool]:
    """For `RunningStack.consume`: nothing more has come for a while."""
    grown = time.monotonic()
    count = -1

    def holds(records: Sequence[Record]) -> bool:
        nonlocal grown, count
        if len(records) != count:
            grown, count = time.monotonic(), len(records)
        return time.monotonic() - grown > QUIET_SECONDS

    return holds


def require_equal(topic: str, found: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    """The same records, symbol by symbol and in the same order; fails with those that are lost, doubled or others."""
    have, want = Counter(map(_identity, found)), Counter(map(_identity, right))
    lost, doubled = sorted((want - have).elements()), sorted((have - want).elements())
    assert not lost, f"{topic}: {len(lost)} of {len(right)} lost, the first {lost[:5]}; {len(doubled)} too many"
    assert not doubled, f"{topic}: {len(doubled)} too many, the first {doubled[:5]}"
    have_records, want_records = _by_symbol(found), _by_symbol(right)
    others = [
        (_identity(record), {name: (record[name], value) for name, value in wanted.items() if record[name] != value})
        for symbol, records in want_records.items()
        for record, wanted in zip(have_records[symbol], records, strict=True)
        if record != wanted
    ]
    assert not others, f"{topic}: {len(others)} of {len(right)} differ; (found, wanted) of the first: {others[:3]}"


def _identity(record: Message) -> tuple[str, str, int]:
    return record["symbol"], record["event_ts"], record["revision"]


def _by_symbol(records: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """In their order, without the time at which they were emitted."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record["symbol"], []).extend(without_ingest([record]))
    return found
