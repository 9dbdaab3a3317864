"""What the output topics hold already: a job that begins anew from its inputs gives out only what is not there.

The job computes everything again, so that its indicators are those of an undisturbed run; of what it computes, records
whose key a committed reader has seen are withheld. What counts is a key, not a time: symbols, topics and timeframes do
not stand at the same second.

    bars, 1 s signals   up to the newest second of the symbol; of bars within the revision horizon, each revision
    1 m signals         up to the newest minute of the symbol, and its revision
    late, rejects       up to the newest offset of the input partition

Live signals follow the final ones: nobody waits for the provisional value of a second that is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ta_pipeline.signals.outputs import MINUTE, Late, Output, Reject, Signal


@dataclass
class SymbolPublished:
    """What is on the final topics of one symbol; times are window ends, epoch milliseconds, 0: nothing.

    Attributes:
        bar_ms: the newest bar.
        bar_revisions: of the bars within the horizon before it, by window end: the newest revision.
        signal_ms: the newest 1-second signal.
        minute_ms: the newest 1-minute signal.
        minute_revision: its newest revision.
    """

    bar_ms: int = 0
    bar_revisions: dict[int, int] = field(default_factory=dict)
    signal_ms: int = 0
    minute_ms: int = 0
    minute_revision: int = -1


class Published:
    """Keys that are on the output topics.

    Args:
        horizon_ms: `TA_REVISION_HORIZON_MS`: a bar further behind the newest one is not revised any more.
    """

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._symbols: dict[str, SymbolPublished] = {}
        self._places: dict[str, dict[str, int]] = {"late": {}, "rejects": {}}

    # ---- what is there

    def add_bar(self, symbol: str, end_ms: int, revision: int) -> None:
        """A bar was read from its topic."""
        known = self._of(symbol)
        known.bar_revisions[end_ms] = max(revision, known.bar_revisions.get(end_ms, -1))
        if end_ms > known.bar_ms:
            known.bar_ms = end_ms
            if len(known.bar_revisions) > 2 * self._horizon_ms // 1_000 + 2:
                self._forget(known)

    def add_signal(self, symbol: str, size: str, end_ms: int, revision: int) -> None:
        """A signal was read from its topic."""
        known = self._of(symbol)
        if size != MINUTE:
            known.signal_ms = max(known.signal_ms, end_ms)
        elif (end_ms, revision) > (known.minute_ms, known.minute_revision):
            known.minute_ms, known.minute_revision = end_ms, revision

    def add_place(self, kind: str, topic: str, partition: int, offset: int) -> None:
        """A record of `late` or `rejects` was read, about this record of an input topic."""
        places = self._places[kind]
        place = _place(topic, partition)
        places[place] = max(offset, places.get(place, -1))

    @property
    def symbols(self) -> Mapping[str, SymbolPublished]:
        """By symbol."""
        return self._symbols

    @property
    def newest_ms(self) -> int | None:
        """End of the newest window that is on a final topic; None: they are empty."""
        ends = [max(one.bar_ms, one.signal_ms, one.minute_ms) for one in self._symbols.values()]
        return max(ends, default=None)

    # ---- what is new

    def new_of(self, output: Output) -> Output | None:
        """What of an output is not there yet: a bar may be there, and its signal not. None: all of it is."""
        if not isinstance(output, Signal):
            return output if self._is_new_place(output) else None
        known = self._symbols.get(output.symbol)
        if known is None:
            return output
        if output.size == MINUTE:
            is_new = (output.event_ms, output.revision) > (known.minute_ms, known.minute_revision)
            return output if is_new else None
        has_bar = output.has_bar and self._is_new_bar(known, output.event_ms, output.revision)
        has_signal = output.has_signal and output.event_ms > known.signal_ms
        if not has_bar and not has_signal:
            return None
        return output._replace(has_bar=has_bar, has_signal=has_signal)

    def _is_new_place(self, record: Late | Reject) -> bool:
        places = self._places["late" if isinstance(record, Late) else "rejects"]
        if record.log_topic is None or record.log_partition is None or record.log_offset is None:
            return True
        return record.log_offset > places.get(_place(record.log_topic, record.log_partition), -1)

    def _is_new_bar(self, known: SymbolPublished, end_ms: int, revision: int) -> bool:
        if end_ms > known.bar_ms:
            return True
        if end_ms <= known.bar_ms - self._horizon_ms:
            return False
        return revision > known.bar_revisions.get(end_ms, -1)

    # ---- as plain values

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        for known in self._symbols.values():
            self._forget(known)
        symbols = {
            symbol: [
                one.bar_ms, sorted(one.bar_revisions.items()), one.signal_ms, one.minute_ms, one.minute_revision,
            ]
            for symbol, one in self._symbols.items()
        }  # fmt: skip
        return {"horizon_ms": self._horizon_ms, "symbols": symbols, **self._places}

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `dump`."""
        published = cls(values["horizon_ms"])
        published._symbols = {
            symbol: SymbolPublished(bar_ms, dict(map(tuple, revisions)), *rest)
            for symbol, (bar_ms, revisions, *rest) in values["symbols"].items()
        }
        published._places = {kind: dict(values[kind]) for kind in published._places}
        return published

    def _of(self, symbol: str) -> SymbolPublished:
        known = self._symbols.get(symbol)
        if known is None:
            known = self._symbols[symbol] = SymbolPublished()
        return known

    def _forget(self, known: SymbolPublished) -> None:
        oldest = known.bar_ms - self._horizon_ms
        known.bar_revisions = {end_ms: one for end_ms, one in known.bar_revisions.items() if end_ms > oldest}


def _place(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"
