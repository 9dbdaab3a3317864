"""Thousands of broken records among good ones, through the real job on files: who is rejected, for what, who is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.compute import OUTPUTS, compute_logs
from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.envelope import KINDS, Kind, kind_of, topic_of, wrap
from ta_pipeline.settings import load_settings
from tests.accounts import Place, place_of, require_accounted, require_as_it_was
from tests.broken_records import Broken, BrokenRecords
from tests.jobs import Message, simulated, without_ingest
from tests.messages import START, read_records

SEED, BROKEN_RECORDS = 20_260_721, 6_000
_LINE_ENDS = (b"\n", b"\r")


class Logs:
    """The four topics as files of numbered lines, and which of the lines are broken records."""

    def __init__(self) -> None:
        self.settings = load_settings()
        self.lines: dict[Kind, list[bytes]] = {kind: [] for kind in KINDS}
        self.broken: dict[Place, Broken] = {}

    def add(self, kind: Kind, value: bytes, broken: Broken | None = None) -> None:
        number = len(self.lines[kind])
        self.lines[kind].append(b"%d\t%b\n" % (number, value))
        if broken is not None:
            self.broken[topic_of(kind, self.settings), 0, number] = broken

    def compute(self, folder: Path) -> dict[str, list[dict[str, Any]]]:
        folder.mkdir()
        for kind, lines in self.lines.items():
            (folder / f"{kind}.jsonl").write_bytes(b"".join(lines))
        compute_logs(folder, folder / "out", {})
        return {name: read_records(folder / "out" / f"{name}.jsonl") for name in OUTPUTS}


def _market() -> list[Message]:
    return simulated(4, 100, 60, seed=5, start=START.timestamp())


def _logs(messages: list[Message], broken: int) -> Logs:
    """The messages, and `broken` broken records evenly among them."""
    logs, sent = Logs(), 0
    with EnvelopeEncoder(logs.settings) as encoder:

        def encode(kind: Kind, envelope: Message) -> bytes:
            return encoder.encode(topic_of(kind, logs.settings), envelope)

        source = BrokenRecords(SEED, encode)
        for number, message in enumerate(messages):
            kind = kind_of(message)
            logs.add(kind, encode(kind, wrap(message, seq=number, ingest_ts=message["t"])))
            due = broken * (number + 1) // len(messages)
            for record in source.take(due - sent, datetime.fromisoformat(message["t"]).timestamp()):
                # A line ends at its line break: what has one is for Kafka, which takes every byte.
                if record.value is not None and not any(end in record.value for end in _LINE_ENDS):
                    logs.add(record.kind, record.value, record)
            sent = due
    return logs


@pytest.mark.timeout(120)
def test_broken_records_are_rejected_for_their_reason_and_good_ones_give_what_they_give_alone(tmp_path: Path) -> None:
    messages = _market()
    alone, mixed = _logs(messages, 0), _logs(messages, BROKEN_RECORDS)
    with ThreadPoolExecutor() as pool:
        right = pool.submit(alone.compute, tmp_path / "alone")
        found = mixed.compute(tmp_path / "mixed")
    symbols = {message["S"] for message in messages}
    for name in ("bars", "signals", "late"):
        of_good = [record for record in found[name] if record["symbol"] in symbols]
        assert without_ingest(of_good) == without_ingest(right.result()[name])
    assert right.result()["bars"]
    require_accounted(mixed.broken, found["rejects"])
    for reject in found["rejects"]:
        require_as_it_was(reject, mixed.broken[place_of(reject)], mixed.settings.max_record_bytes)
